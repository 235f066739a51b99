"""Run a command's coroutine: event loop, signals, garbage collection."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from worker.cli.options import T
from worker.errors import Interrupted
from worker.runtime import allocator

FEWEST_THREADS = 2
"""So that one may wait for a disk while the other computes."""


GARBAGE = 20_000
"""So many objects more than were freed, and garbage is looked for. Requests leave little: Python's
default of 700 takes a fifteenth of the time of publishing a year."""


def run_async(work: Callable[[], Coroutine[Any, Any, T]], *, clean_stop: bool = True) -> T:
    """Run `work` in an event loop.

    Args:
        work: What to run.
        clean_stop: SIGTERM and SIGINT cancel it. Not for what prints as it goes: that may wait for
            its reader, where the loop would not hear of them: they end the process as they are.

    Errors: `Interrupted` where a signal cancelled it.
    """
    import uvloop  # noqa: PLC0415

    allocator.set_up()
    gc.set_threshold(GARBAGE)
    # The loop would leave Python's own handlers, not those that it found.
    before = {which: signal.getsignal(which) for which in (signal.SIGTERM, signal.SIGINT)}

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        # Threads that compute beyond the number of cores only wait for each other.
        loop.set_default_executor(ThreadPoolExecutor(max(os.cpu_count() or 1, FEWEST_THREADS)))
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
            raise Interrupted(
                f"stopped by {name}; what was committed stays, the rest can be run again"
            ) from None

    try:
        return uvloop.run(guarded())
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
