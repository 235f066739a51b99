"""One history, run: workers with the real protocol over stores in memory, one turn at a time."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace

from tests.simulation.backend import Backend, substituted
from tests.simulation.ending import check_end
from tests.simulation.history import (
    Adopt,
    Audit,
    Erase,
    History,
    Put,
    PutBack,
    Rebuild,
    Repair,
    Rule,
    Step,
    Transform,
    Validate,
    Wait,
)
from tests.simulation.invariants import Violation
from tests.simulation.loop import SimulationLoop
from tests.simulation.places import Places
from tests.simulation.schedule import Crash, Fault, Process, Scheduler
from tests.simulation.workers import Workers
from worker.errors import (
    ConfigError,
    ContractChanged,
    CustomersErased,
    SourceError,
    SourceMissing,
    StoreError,
    WorkerError,
)

MAINTAINED = 16
"""One history of so many has maintenance beside each transform."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a history.

    Attributes:
        violation: The first promise that was broken; None where all were kept.
        trace: Every turn taken.
        ended: What became of each process.
    """

    violation: str | None
    trace: tuple[str, ...]
    ended: tuple[str, ...]


def run_history(history: History, backend: Backend | None = None) -> Outcome:
    """Run a history to its end, then let everything be delivered and transformed once more."""
    backend = backend or Backend()
    scheduler = Scheduler(Random(history.schedule), history.calm)
    with asyncio.Runner(loop_factory=lambda: SimulationLoop(scheduler.choose)) as runner:
        clock = SimpleNamespace(perf_counter=runner.get_loop().time)
        # Receipts hold wall times, which would make runs of one seed differ.
        with substituted(backend, clock):
            world = _World(history, scheduler, backend)
            runner.get_loop().set_exception_handler(world.unhandled)
            runner.run(world.run())
    violation = world.violation
    return Outcome(violation=violation, trace=tuple(scheduler.trace), ended=tuple(world.ended))


class _World:
    def __init__(self, history: History, scheduler: Scheduler, backend: Backend) -> None:
        self._history = history
        self._scheduler = scheduler
        self._places = Places(history, scheduler, backend)
        self._workers = Workers(history, self._places)
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: list[Process] = []
        # In some of the histories that have a key index; directed ones have small numbers.
        self._maintains = history.schedule >= 1_000 and history.schedule % MAINTAINED == 0
        self.violation: str | None = None
        self.ended: list[str] = []

    async def run(self) -> None:
        driver = Process("driver")
        for step in self._history.steps:
            await self._scheduler.turn(driver, type(step).__name__, idle=isinstance(step, Wait))
            if self.violation:
                break
            match step:
                case Put():
                    await self._places.put(step.upload)
                case Validate() if self._places.infos:
                    info = self._places.infos[step.number % len(self._places.infos)]
                    self._start(
                        "validate", self._workers.validate(info, step.split_bytes), step.fault
                    )
                case Transform():
                    self._start("transform", self._workers.transform(step), step.fault)
                    if self._maintains:
                        self._start("maintain", self._workers.maintain, step.fault)
                case Rule() if self._places.infos:
                    info = self._places.infos[step.number % len(self._places.infos)]
                    self._start(step.kind, self._workers.rule(info, step.kind), step.fault)
                case Repair() if self._places.infos:
                    info = self._places.infos[step.number % len(self._places.infos)]
                    self._start("repair", self._workers.repair(info), step.fault)
                case Adopt():
                    self._start("adopt", self._workers.adopt(step.number), step.fault)
                case Erase():
                    self._start("erase", self._workers.erase(step.customer, step.mode), step.fault)
                case _:
                    await self._look_after(step)
        await self._settle()
        if self.violation is None:
            await self._quiesce()

    async def _look_after(self, step: Step) -> None:
        """Do what nobody but an operator does."""
        match step:
            case Rebuild():
                self._start("rebuild", self._workers.rebuild, step.fault)
            case PutBack():
                await self._settle()
                await self._put_back(step)
            case Audit():
                self._start("audit", self._workers.audit, step.fault)

    def unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Handle errors that no task waited for."""
        error = context.get("exception")
        if not isinstance(error, Crash | Violation | WorkerError):
            self._violated(f"unhandled: {context}")

    def _violated(self, message: str) -> None:
        self.violation = self.violation or message
        for process in self._processes:
            self._scheduler.kill(process)

    def _start(
        self, kind: str, body: Callable[[Process], Awaitable[object]], fault: Fault | None
    ) -> asyncio.Task[None]:
        process = Process(f"{len(self._processes)}-{kind}", fault)
        self._processes.append(process)

        async def supervise() -> None:
            try:
                await body(process)
                ended = "done"
            except Crash:
                ended = "dead"
            except Violation as violation:
                ended = "violation"
                self._violated(str(violation))
            except WorkerError as error:
                ended = f"failed: {error}"
                if not (self._may_fail(error) or process.dead):
                    self._violated(f"{process.name} failed: {error}")
            except Exception:  # noqa: BLE001  (a bug counts as a violation)
                ended = "bug"
                self._violated(traceback.format_exc())
            self._scheduler.ended += 1
            self.ended.append(f"{process.name} {ended}")

        task = asyncio.create_task(supervise())
        self._tasks.append(task)
        return task

    def _may_fail(self, error: WorkerError) -> bool:
        """Failures that a retry cures, for reasons that lie outside of the worker."""
        if isinstance(error, ContractChanged | CustomersErased):
            return True
        if isinstance(error, ConfigError) and "were repaired after" in str(error):
            return True  # an adoption under another name validates them anew
        if self._workers.erases and (
            isinstance(error, SourceMissing) or "not all ranges" in str(error)
        ):
            return True  # its objects were deleted meanwhile
        if isinstance(error, StoreError):
            return "made to fail" in str(error) or "gave up" in str(error)
        # An upload was overwritten before it was read, or a piece while it was.
        return isinstance(error, SourceError) and "no longer the version" in str(error)

    async def _settle(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks)
            self._tasks = [task for task in self._tasks if not task.done()]

    async def _put_back(self, step: PutBack) -> None:
        """Put ledger and KPI tables back, and rebuild what derives from them."""
        if self.violation is not None or not self._places.put_back():
            return
        for fault in (step.fault, None):
            await self._start("rebuild", self._workers.rebuild, fault)
        self._places.invariants.put_right()

    async def _quiesce(self) -> None:
        """Deliver everything that is there, transform, and see that there is nothing left to do.

        What is there is two days old by then: where nothing names it, it may be deleted.
        """
        self._places.days = 2
        for number, info in enumerate([one async for one in self._places.raw.list("")]):
            if self._maintains and number < 2:
                self._start("maintain", self._workers.maintain, None)
            await self._start("validate", self._workers.validate(info, 0), None)
        await self._settle()
        await self._start("transform", self._workers.transform(Transform()), None)
        if self.violation is None:
            try:
                await check_end(self._places, maintains=self._maintains)
            except Violation as violation:
                self._violated(str(violation))
        await self._start("audit", self._workers.audit, None)
