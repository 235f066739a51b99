"""An event loop in which nothing but a choice of ours decides what happens next.

Threads run inline, time is virtual, and whenever every task waits, a callback picks who goes on.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


class SimulationLoop(asyncio.SelectorEventLoop):
    """Runs tasks in the order in which they became ready; `asyncio.to_thread` runs inline.

    Args:
        on_idle: Called when no task can go on, with whether a timer is set. Returns True where it
            made one ready; else time moves on to that timer.
    """

    def __init__(self, on_idle: Callable[[bool], bool]) -> None:
        self._now_s = 0.0
        super().__init__(_IdleSelector(on_idle, self._advance))

    def time(self) -> float:
        return self._now_s

    def run_in_executor(  # type: ignore[override]  # typeshed's is made for threads
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  (the awaiting task gets it)
            future.set_exception(error)
        return future

    def _advance(self, wait_s: float) -> None:
        self._now_s += wait_s


class _IdleSelector(selectors.SelectSelector):
    """Asked for events when the loop has nothing to do: the moment to choose."""

    def __init__(self, on_idle: Callable[[bool], bool], advance: Callable[[float], None]) -> None:
        super().__init__()
        self._on_idle = on_idle
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0 or self._on_idle(timeout is not None):
            return []
        if timeout is None:
            raise DeadlockError
        self._advance(timeout)
        return []


class DeadlockError(RuntimeError):
    """Every task waits for another one."""

    def __init__(self) -> None:
        super().__init__("every task waits, and no timer is set")
