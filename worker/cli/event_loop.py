"""Run a command's coroutine: event loop, signals, garbage collection."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import uvloop

from worker.errors import Interrupted
from worker.runtime import allocator
from worker.runtime.open_files import ensure_open_files

T = TypeVar("T")

MIN_THREADS = 2
"""Threads of the loop on one core: one may wait for a disk while the other computes."""

GC_THRESHOLD = 20_000
"""Allocations before a garbage collection. Python's default (700) costs 7 % of publishing a
year."""


def run_async(work: Callable[[], Coroutine[Any, Any, T]], *, clean_stop: bool = True) -> T:
    """Run `work` in an event loop.

    Args:
        work: What to run.
        clean_stop: SIGTERM and SIGINT cancel it. False lets them end the process at once: a command
            that prints rows may wait for its reader, and the loop would not see the signal.

    Raises:
        Interrupted: A signal cancelled it.
        ConfigError: The process may open too few files.
    """
    ensure_open_files()
    allocator.set_up()
    gc.set_threshold(GC_THRESHOLD)
    # The loop would restore Python's own handlers, not the ones that it replaced.
    before = {which: signal.getsignal(which) for which in (signal.SIGTERM, signal.SIGINT)}

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        # More computing threads than cores only wait for each other.
        loop.set_default_executor(ThreadPoolExecutor(max(os.cpu_count() or 1, MIN_THREADS)))
        task = asyncio.ensure_future(work())
        received: list[signal.Signals] = []

        def stop(which: signal.Signals) -> None:
            received.append(which)
            task.cancel()

        for which in before:
            if clean_stop:
                loop.add_signal_handler(which, stop, which)
            else:
                signal.signal(which, signal.SIG_DFL)
        try:
            return await task
        except asyncio.CancelledError:
            name = received[0].name if received else "a cancellation"
            hint = "what was committed stays, the rest can be run again"
            raise Interrupted(f"stopped by {name}", hint=hint) from None

    try:
        return uvloop.run(guarded())
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
