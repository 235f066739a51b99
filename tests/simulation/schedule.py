"""Who goes on next: processes of a history take turns at their store operations."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Literal, TypeVar

from worker.errors import StoreError

T = TypeVar("T")
What = Literal["crash", "error", "nap"]

TIMER_RATE = 0.1
"""How often a sleeping task wakes up although others could go on."""


class Crash(BaseException):
    """A process is dead: no `except Exception` may keep it alive, and no store listens to it."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What befalls a process at one of its store operations.

    Attributes:
        what: `crash` drops the process; `error` makes the operation raise `StoreError`, as one
            whose retries are used up; `nap` lets the process sleep until others have ended.
        operation: Method of a store.
        nth: How many such operations of the process go well before.
        applied: Whether the operation takes effect before.
        naps: Processes that end before it wakes up; it wakes up anyway when no other can go on.
    """

    what: What
    operation: str
    nth: int = 0
    applied: bool = False
    naps: int = 1


@dataclass(eq=False)
class Process:
    """A worker: tasks that die together."""

    name: str
    fault: Fault | None = None
    dead: bool = False
    wakes_at: int = 0
    done: Counter[str] = field(default_factory=Counter)


_caller: ContextVar[Process] = ContextVar("caller")


@dataclass(eq=False)
class _Turn:
    process: Process
    future: asyncio.Future[None]
    label: str
    idle: bool


class Scheduler:
    """Lets one waiting operation go on at a time, chosen by a random number generator.

    Args:
        random: Decides.
        calm: How often the process of the last turn goes on, from 0 (never on purpose) to 1.

    Attributes:
        trace: Every turn taken.
        ended: Processes that have ended.
    """

    def __init__(self, random: Random, calm: float) -> None:
        self._random = random
        self._calm = calm
        self._waiting: list[_Turn] = []
        self._last: Process | None = None
        self.trace: list[str] = []
        self.ended = 0

    def choose(self, timer: bool) -> bool:
        """Let one operation go on; False to let time pass."""
        awake = [turn for turn in self._waiting if turn.process.wakes_at <= self.ended]
        ready = [turn for turn in awake if not turn.idle]
        if timer and (not ready or self._random.random() < TIMER_RATE):
            return False
        waiting = ready or awake or self._waiting
        if not waiting:
            return False
        processes = list(dict.fromkeys(turn.process for turn in waiting))
        if self._last in processes and self._random.random() < self._calm:
            chosen = self._last
        else:
            chosen = self._random.choice(processes)
        turn = self._random.choice([one for one in waiting if one.process is chosen])
        turn.process.wakes_at = 0
        self._waiting.remove(turn)
        self._last = turn.process
        self.trace.append(f"{turn.process.name} {turn.label}")
        turn.future.set_result(None)
        return True

    async def turn(self, process: Process, label: str, *, idle: bool = False) -> None:
        """Wait until the process may go on; `idle`: until all others have ended or sleep."""
        if process.dead:
            raise Crash
        turn = _Turn(process, asyncio.get_running_loop().create_future(), label, idle)
        self._waiting.append(turn)
        try:
            await turn.future
        except asyncio.CancelledError:  # nobody waits for it any more
            if turn in self._waiting:
                self._waiting.remove(turn)
            raise

    async def step(
        self, process: Process, operation: str, detail: str, work: Callable[[], Awaitable[T]]
    ) -> T:
        """A store operation: a turn before its effect, and one before the process learns of it."""
        fault = process.fault
        if fault is not None and (fault.operation, fault.nth) != (
            operation,
            process.done[operation],
        ):
            fault = None
        process.done[operation] += 1
        label = f"{operation} {detail}"
        if fault is not None and not fault.applied:
            self._befall(process, fault, label)
        await self.turn(process, label)
        _caller.set(process)
        result = await work()
        if fault is not None and fault.applied:
            self._befall(process, fault, label)
        await self.turn(process, f"{label} .")
        return result

    async def between(self) -> None:
        """A step of its own in the midst of an operation that is more than one transaction."""

        async def nothing() -> None:
            pass

        await self.step(_caller.get(), "between", "", nothing)

    def kill(self, process: Process) -> None:
        """No operation of the process goes on any more."""
        process.dead = True
        for turn in [turn for turn in self._waiting if turn.process is process]:
            self._waiting.remove(turn)
            turn.future.set_exception(Crash())

    def _befall(self, process: Process, fault: Fault, label: str) -> None:
        self.trace.append(f"{process.name} {label} {fault.what}")
        if fault.what == "nap":
            process.wakes_at = self.ended + fault.naps
        elif fault.what == "error":
            raise StoreError(f"{operation_name(fault)} was made to fail")
        else:
            self.kill(process)
            raise Crash


def operation_name(fault: Fault) -> str:
    """As messages show it."""
    return f"{fault.operation} number {fault.nth}"
