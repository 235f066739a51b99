"""One history, run: workers with the real protocol over stores in memory, one turn at a time."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq

from kpi.aggregation.tables import table_names
from kpi.contract.model import Contract
from kpi.erasure.digests import Digests
from tests.simulation.backend import Backend, substituted
from tests.simulation.contracts import CONTRACT, CONTRACTS
from tests.simulation.history import (
    Adopt,
    Audit,
    Erase,
    History,
    Put,
    Rule,
    Transform,
    Validate,
    Wait,
)
from tests.simulation.invariants import Invariants, Violation
from tests.simulation.loop import SimulationLoop
from tests.simulation.model import Upload
from tests.simulation.schedule import Crash, Fault, Process, Scheduler
from tests.simulation.stores import SteppedState, SteppedStore, VersionedStore
from worker.clean import Workspace
from worker.errors import (
    ContractChanged,
    CustomersErased,
    SourceError,
    SourceMissing,
    StoreError,
    WorkerError,
)
from worker.maintenance.adoption import Proposal, stage_and_adopt
from worker.maintenance.audit import audit
from worker.maintenance.derived import compare_derived
from worker.maintenance.erasure.erase import erase
from worker.maintenance.erasure.purge import purge
from worker.maintenance.erasure.request import Request
from worker.maintenance.raw_objects import RawObjects
from worker.maintenance.upkeep import keep_up
from worker.objects import ObjectInfo, ObjectStore
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.objects.source import Source, source_id
from worker.state import Adoption, Ruling
from worker.state.contract_in_force import contract_of
from worker.state.erasures import read_erasures
from worker.state.memory import MemoryState
from worker.state.records import Decision, ErasureMode
from worker.transform import plan_days, transform
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.validate import range_task
from worker.validate.context import ValidationContext
from worker.validate.range_planner import plan_ranges
from worker.validate.validate_source import validate

ALL_TABLES = table_names(["order", "category", "product"])
INDEXED = TransformLimits(
    unindexed_files=0,
    stride_pointers=3,
    tail_records=1,
    unpacked_files=2,
    summed_orders=1,
    summed_at_once=1,
    touched_orders=6,
)
"""Ids are looked up in the key index, and days have sums, while few orders change."""

STREAMED = TransformLimits(
    held_reference_rows=0,
    shop_batch_orders=1,
    shop_scattered_batch_orders=1,
    read_rows=1,
    tail_records=1,
)
"""A day is a batch, and no reference is held, of a contract of language 2."""

VERSIONED_BY_CUSTOMER = 'version = "user_id"'
"""In a contract by which the greater id of a customer is the later version."""

MAINTAINED = 16
"""One history of so many has maintenance beside each transform."""

SECRET = b"s" * 32
"""Of the digests of erased customers: one that is drawn would make runs of one seed differ."""

START = datetime(2025, 4, 1, tzinfo=UTC)


class NoThreads(Executor):
    """The simulation's loop runs inline what is given to an executor."""


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
        self._state = backend.state(scheduler)
        self._now = START
        self._days = 0
        raw = VersionedStore if history.versioned else MemoryStore
        self._raw = raw("raw", clock=lambda: self._now)
        self._moved = MemoryStore("moved")
        self._clean = backend.clean(scheduler)
        self._clean._clock = self._age
        self._infos: list[ObjectInfo] = []
        self._uploads: dict[str, Upload] = {}
        self._invariants = Invariants(self._state, self._clean, self._uploads, torn=backend.torn)
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: list[Process] = []
        self._erases = self._versions = False
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
                    await self._put(step.upload)
                case Validate() if self._infos:
                    info = self._infos[step.number % len(self._infos)]
                    self._start("validate", self._validate(info, step.split_bytes), step.fault)
                case Transform():
                    self._start("transform", self._transform(step), step.fault)
                    if self._maintains:
                        self._start("maintain", self._maintain, step.fault)
                case Rule() if self._infos:
                    info = self._infos[step.number % len(self._infos)]
                    self._start(step.kind, self._rule(info, step.kind), step.fault)
                case Adopt():
                    self._start("adopt", self._adopt(step.number), step.fault)
                case Erase():
                    self._start("erase", self._erase(step.customer, step.mode), step.fault)
                case Audit():
                    self._start("audit", self._audit, step.fault)
        await self._settle()
        if self.violation is None:
            await self._quiesce()

    def unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Handle errors that no task waited for."""
        error = context.get("exception")
        if not isinstance(error, Crash | Violation | WorkerError):
            self._violated(f"unhandled: {context}")

    def _violated(self, message: str) -> None:
        self.violation = self.violation or message
        for process in self._processes:
            self._scheduler.kill(process)

    async def _put(self, upload: Upload) -> None:
        self._now = START + timedelta(seconds=upload.second)
        await self._raw.delete(upload.key)  # the same bytes are a new version, as in a bucket
        async with self._raw.create(upload.key) as writer:
            await writer.write(upload.text)
        info = await self._raw.stat(upload.key)
        source = self._source(info, Process("-"))
        # A later upload replaces the raw object; what was moved before stays.
        async with self._moved.create(f"archive/{source.source_id}/{upload.key}") as writer:
            await writer.write(upload.text)
        self._infos.append(info)
        self._uploads[source.source_id] = upload

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
        if self._erases and (isinstance(error, SourceMissing) or "not all ranges" in str(error)):
            return True  # its objects were deleted meanwhile
        if isinstance(error, StoreError):
            return "made to fail" in str(error) or "gave up" in str(error)
        # An upload was overwritten before it was read, or a piece while it was.
        return isinstance(error, SourceError) and "no longer the version" in str(error)

    async def _settle(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks)
            self._tasks = [task for task in self._tasks if not task.done()]

    async def _quiesce(self) -> None:
        """Deliver everything that is there, transform, and see that there is nothing left to do.

        What is there is two days old by then: where nothing names it, it may be deleted.
        """
        self._days = 2
        for number, info in enumerate([one async for one in self._raw.list("")]):
            if self._maintains and number < 2:
                self._start("maintain", self._maintain, None)
            await self._start("validate", self._validate(info, 0), None)
        await self._settle()
        await self._start("transform", self._transform(Transform()), None)
        if self.violation is None:
            try:
                await self._check_end()
            except Violation as violation:
                self._violated(str(violation))
        await self._start("audit", self._audit, None)

    async def _check_end(self) -> None:
        await self._invariants.check()
        await self._check_erased()
        if self._maintains:
            await self._check_derived()
        entries = await MemoryState.entries(self._state)
        committed = {entry.source_id for entry in entries}
        current = [info async for info in self._raw.list("")]
        missing = [info.url for info in current if source_id(info) not in committed]
        if missing:
            raise Violation(f"never committed: {missing}")
        head = await MemoryState.head(self._state)
        wanted = self._invariants.expected(head)
        for table, of_table in wanted.items():
            found = [row async for row in MemoryState.rows(self._state, table)]
            rows = [{name: row[name] for name in row if name != "as_of"} for row in found]
            every = [row for day in sorted(of_table) for row in of_table[day]]
            if rows != every:
                raise Violation(f"{table} ends as {rows}, not {every}")
        progress = await MemoryState.progress(self._state)
        if any(progress.published.get(table, 0) != head for table in ALL_TABLES):
            raise Violation(f"{head} records, but {progress}")

    def _source(self, info: ObjectInfo, process: Process) -> Source:
        store = SteppedStore(self._raw, self._scheduler, process, self._invariants.check)
        return Source(info=info, dataset=info.key.split("/")[0], store=store)

    def _stores(self, process: Process) -> tuple[SteppedState, Workspace]:
        check = self._invariants.check
        store = SteppedStore(self._clean, self._scheduler, process, check)
        workspace = Workspace(store=store, location=Location(bucket="clean", key=""))
        return SteppedState(self._state, self._scheduler, process, check), workspace

    def _validate(
        self, info: ObjectInfo, split_bytes: int
    ) -> Callable[[Process], Awaitable[object]]:
        async def whole(process: Process) -> None:
            state, workspace = self._stores(process)
            context = await _context(workspace, state)
            await validate(self._source(info, process), context)

        async def in_ranges(process: Process) -> None:
            state, workspace = self._stores(process)
            context = await _context(workspace, state)
            source = self._source(info, process)
            if context.contract.shop is not None:
                await validate(source, context)  # its files are not split
                return
            ranges = await plan_ranges(source, CONTRACT, split_bytes)
            await _together([range_task.validate_range(source, one, context) for one in ranges])
            await range_task.commit_ranges(source, context)

        return in_ranges if split_bytes else whole

    def _transform(self, step: Transform) -> Callable[[Process], Awaitable[object]]:
        async def run(process: Process) -> None:
            state, workspace = self._stores(process)
            tables = frozenset(step.tables) or ALL_TABLES
            # In one history of four key index, checkpoint and sums have to be built.
            limits = {0: INDEXED, 1: STREAMED}.get(self._history.schedule % 4, DEFAULT_LIMITS)

            async def once(of: frozenset[str] = tables, **options: object) -> None:
                await transform(
                    contract=CONTRACT,
                    workspace=workspace,
                    state=state,
                    tables=of,
                    limits=limits,
                    **options,  # type: ignore[arg-type]
                )

            if step.planned:
                slices = await plan_days(
                    contract=CONTRACT, workspace=workspace, state=state, tables=tables, days=1
                )
                await _together([once(first=first, last=last) for first, last in slices])
                await once()
            else:
                await once(first=step.first, last=step.last, everything=step.everything)

        return run

    def _rule(self, info: ObjectInfo, kind: Decision) -> Callable[[Process], Awaitable[object]]:
        async def run(process: Process) -> None:
            state, _ = self._stores(process)
            entry = await state.find(source_id(info))
            if entry is not None:
                ruling = Ruling(
                    kind=kind,
                    ruling_id=process.name,
                    source_id=entry.source_id,
                    url=entry.url,
                    reason="",
                    recorded_at=self._now,
                )
                await state.rule(ruling)

        return run

    def _adopt(self, number: int) -> Callable[[Process], Awaitable[object]]:
        async def run(process: Process) -> None:
            state, workspace = self._stores(process)
            so_far = await state.adoption()
            if so_far is None:
                return
            others = [one for one in CONTRACTS if one.digest != so_far.digest]
            contract = others[number % len(others)]
            if VERSIONED_BY_CUSTOMER in contract.text:
                if self._erases:
                    return  # a pseudonym would be the later version
                self._versions = True

            async def open_store(location: Location) -> ObjectStore:
                store = self._moved if location.bucket == "moved" else self._raw
                return SteppedStore(store, self._scheduler, process, self._invariants.check)

            context = await _context(workspace, state)
            proposal = Proposal(
                adoption=_adoption(contract),
                in_force=await contract_of(state, so_far, CONTRACT),
                so_far=so_far,
                context=replace(context, contract=contract, adoption=None, in_force=None),
                raw=RawObjects(open_store, [Location(bucket="moved", key="")]),
            )
            await stage_and_adopt(proposal)

        return run

    def _erase(self, customer: str, mode: ErasureMode) -> Callable[[Process], Awaitable[object]]:
        async def run(process: Process) -> None:
            state, workspace = self._stores(process)
            in_force = await contract_of(state, await state.adoption(), CONTRACT)
            if self._versions or VERSIONED_BY_CUSTOMER in in_force.contract.text:
                return
            self._erases = True
            secret = await state.erasure_key(SECRET)
            assert secret is not None
            request = Request(
                ledger=state,
                workspace=workspace,
                in_force=in_force,
                customer=customer,
                mode=mode,
                secret=secret,
            )
            await erase(request)
            await purge(workspace, state)

        return run

    async def _check_erased(self) -> None:
        """Check that no clean row in effect has an erased customer."""
        erasures = await read_erasures(self._state)
        if not erasures.records:
            return
        known = Digests(erasures.key, "customer")
        erased = {one for one in range(1, 10) if known.of(str(one)).hex() in erasures.customers}
        for entry in await MemoryState.entries(self._state):
            if entry.dataset != "orders" or entry.erasure:
                continue
            for part in erasures.effective(entry).parts:
                info = await self._clean.stat(part.key)
                data = await self._clean.read(info, 0, info.size_bytes)
                users = pq.read_table(pa.BufferReader(data)).column("user_id").to_pylist()
                if not erased.isdisjoint(users):
                    raise Violation(f"{entry.url} has an erased customer")

    def _age(self) -> datetime:
        return START + timedelta(days=self._days)

    async def _maintain(self, process: Process) -> None:
        """Merge, write a checkpoint, and delete what nothing names."""
        state, workspace = self._stores(process)
        in_force = await contract_of(state, await state.adoption(), CONTRACT)
        workspace = replace(workspace, generation=in_force.erasures.generation)
        await keep_up(CONTRACT, workspace, state, now=self._age)

    async def _check_derived(self) -> None:
        """Check that index and checkpoint hold what they would if built from nothing."""
        workspace = Workspace(store=self._clean, location=Location(bucket="clean", key=""))
        found = await compare_derived(CONTRACT, workspace, self._state)
        if found:
            raise Violation(f"{found}")

    async def _audit(self, process: Process) -> None:
        state, workspace = self._stores(process)
        found = await audit(contract=CONTRACT, workspace=workspace, state=state, tables=ALL_TABLES)
        if found.differences:
            raise Violation(f"the audit as of {found.as_of} found {found.differences}")


async def _context(workspace: Workspace, ledger: SteppedState) -> ValidationContext:
    """Validate by the contract in force, as `worker.jobs.open_session` has it."""
    in_force = await contract_of(ledger, await ledger.adoption(), CONTRACT)
    context = ValidationContext(
        contract=in_force.contract,
        adoption=_adoption(in_force.contract),
        in_force=in_force,
        workspace=workspace,
        ledger=ledger,
        executor=NoThreads(),
    )
    return context.under(in_force.erasures)


def _adoption(contract: Contract) -> Adoption:
    return Adoption(
        digest=contract.digest,
        text=contract.text,
        tables=tuple(sorted(ALL_TABLES)),
        recorded_at=START,
    )


async def _together(work: list[Awaitable[object]]) -> None:
    """All of it at once; the first failure is raised when all have ended."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
