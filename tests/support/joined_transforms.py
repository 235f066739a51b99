"""Transforms that join each other, in a time that passes only where all of them sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from kpi.aggregation.tables import record_names
from worker.state import Progress
from worker.state.memory import MemoryState
from worker.transform.joining import JoinTimings, transform_jointly
from worker.transform.report import Report

TABLES = frozenset({"order_kpis"})


@dataclass
class Time:
    """Time that passes only where all tasks sleep."""

    now_s: float = 0.0
    sleepers: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now_s + seconds, len(self.sleepers), woken))
        await woken

    async def pass_until(self, work: asyncio.Future[Any]) -> None:
        """Let time pass until some work is done."""
        while not work.done():
            for _ in range(50):
                await asyncio.sleep(0)
            waiting = [one for one in self.sleepers if not one[2].done()]
            self.sleepers[:] = waiting
            if not work.done() and waiting:
                first = min(waiting)
                self.now_s = max(self.now_s, first[0])
                first[2].set_result(None)


@dataclass
class Transform:
    """A transform of some length in seconds, which publishes the head that it began with."""

    state: MemoryState
    time: Time
    seconds: float = 10.0
    runs: int = 0
    at_once: int = 0
    most_at_once: int = 0
    began_s: float = 0.0

    async def __call__(self) -> Report:
        self.runs += 1
        self.began_s = self.time.now_s
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            head = await self.state.head()
            await self.time.sleep(self.seconds)
            await self.state.advance(
                Progress(published=dict.fromkeys(record_names(TABLES), head), waiting_as_of=head)
            )
            return Report(as_of=head)
        finally:
            self.at_once -= 1


@dataclass
class Slice(Transform):
    """Some days of a transform, which leaves the progress record as it is."""

    async def __call__(self) -> Report:
        self.runs += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.time.sleep(self.seconds)
        self.at_once -= 1
        return Report(as_of=await self.state.head())


def joined(
    state: MemoryState, time: Time, run: Callable[[], Awaitable[Report]], **options: Any
) -> Awaitable[Report]:
    timings = JoinTimings(sleep=time.sleep, clock=lambda: time.now_s)
    return transform_jointly(
        state, TABLES, run, timings=replace(timings, **options.pop("timings", {})), **options
    )


def run(scene: Callable[[MemoryState, Time], Awaitable[None]]) -> None:
    async def main() -> None:
        time = Time()
        work = asyncio.ensure_future(scene(MemoryState(), time))
        await time.pass_until(work)
        await work

    asyncio.run(main())
