"""What processes do: the real tasks, over stores that one process at a time may touch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import replace

from kpi.contract.model import Contract
from tests.simulation.backend import SECRET
from tests.simulation.contracts import CONTRACT, CONTRACTS
from tests.simulation.history import History, Transform
from tests.simulation.invariants import Violation
from tests.simulation.model import HEADERS, MENDED, promise_of
from tests.simulation.places import ALL_TABLES, START, Places
from tests.simulation.schedule import Process
from tests.simulation.stores import SteppedState, SteppedStore
from worker.clean import Workspace
from worker.clean.rejects import read_rejects
from worker.maintenance.adoption import Proposal, stage_and_adopt
from worker.maintenance.audit import audit
from worker.maintenance.erasure.erase import erase
from worker.maintenance.erasure.purge import purge
from worker.maintenance.erasure.request import Request
from worker.maintenance.raw_objects import RawObjects
from worker.maintenance.rebuild import rebuild
from worker.maintenance.repair.cells import Form
from worker.maintenance.repair.corrected_rows import CorrectedRow
from worker.maintenance.repair.repair import RepairTask
from worker.maintenance.upkeep import keep_up
from worker.objects import ObjectInfo, ObjectStore
from worker.objects.location import Location
from worker.objects.source import source_id
from worker.state import Adoption, Ruling
from worker.state.contract_in_force import contract_of
from worker.state.records import Decision, ErasureMode
from worker.transform import plan_days, transform
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.transform.task import TransformTask
from worker.validate import range_task
from worker.validate.context import ValidationContext
from worker.validate.range_planner import plan_ranges
from worker.validate.validate_source import validate

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


class NoThreads(Executor):
    """The simulation's loop runs inline what is given to an executor."""


class Workers:
    """Bodies of processes.

    Attributes:
        erases: Whether a customer was erased, or is about to be.
    """

    def __init__(self, history: History, places: Places) -> None:
        self._history = history
        self._places = places
        self.erases = self._versions = False
        # In one history of four key index, checkpoint and sums have to be built.
        self._limits = {0: INDEXED, 1: STREAMED}.get(history.schedule % 4, DEFAULT_LIMITS)

    def validate(
        self, info: ObjectInfo, split_bytes: int
    ) -> Callable[[Process], Awaitable[object]]:
        """Validate an upload, in byte ranges of a length if that is not 0."""

        async def whole(process: Process) -> None:
            state, workspace = self._places.stores(process)
            context = await _context(workspace, state)
            await validate(self._places.source(info, process), context)

        async def in_ranges(process: Process) -> None:
            state, workspace = self._places.stores(process)
            context = await _context(workspace, state)
            source = self._places.source(info, process)
            if context.contract.shop is not None:
                await validate(source, context)  # its files are not split
                return
            ranges = await plan_ranges(source, CONTRACT, split_bytes)
            await _together([range_task.validate_range(source, one, context) for one in ranges])
            await range_task.commit_ranges(source, context)

        return in_ranges if split_bytes else whole

    def transform(self, step: Transform) -> Callable[[Process], Awaitable[object]]:
        """Bring KPI tables up to date."""

        async def run(process: Process) -> None:
            state, workspace = self._places.stores(process)
            tables = frozenset(step.tables) or ALL_TABLES

            async def once(of: frozenset[str] = tables, **options: object) -> None:
                await transform(
                    contract=CONTRACT,
                    workspace=workspace,
                    state=state,
                    tables=of,
                    limits=self._limits,
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

    def rule(self, info: ObjectInfo, kind: Decision) -> Callable[[Process], Awaitable[object]]:
        """Retract or restore an upload."""

        async def run(process: Process) -> None:
            state, _ = self._places.stores(process)
            entry = await state.find(source_id(info))
            if entry is not None:
                ruling = Ruling(
                    kind=kind,
                    ruling_id=process.name,
                    source_id=entry.source_id,
                    url=entry.url,
                    reason="",
                    recorded_at=self._places.now,
                )
                await state.rule(ruling)

        return run

    def repair(self, info: ObjectInfo) -> Callable[[Process], Awaitable[object]]:
        """Correct the rejected rows of an upload."""

        async def run(process: Process) -> None:
            state, workspace = self._places.stores(process)
            context = await _context(workspace, state)
            entry = await context.find(source_id(info))
            if entry is None:
                return
            dataset = info.key.split("/")[0]
            promises = {"orders": ("num_of_item",)}.get(dataset, ())
            mended = (*MENDED[dataset], *(promise_of(MENDED[dataset]) for _ in promises))
            rows = [
                CorrectedRow(line=one.row, row=one.row, digest=one.digest, cells=mended)
                async for one in read_rejects(entry, context.workspace)
            ]
            if rows:
                await RepairTask(
                    source=self._places.source(info, process),
                    form=Form(headers=(*HEADERS[dataset], *promises), delimiter=","),
                    rows=rows,
                    context=context,
                ).run()

        return run

    def adopt(self, number: int) -> Callable[[Process], Awaitable[object]]:
        """Bring another contract into force."""

        async def run(process: Process) -> None:
            state, workspace = self._places.stores(process)
            so_far = await state.adoption()
            if so_far is None:
                return
            others = [one for one in CONTRACTS if one.digest != so_far.digest]
            contract = others[number % len(others)]
            if VERSIONED_BY_CUSTOMER in contract.text:
                if self.erases:
                    return  # a pseudonym would be the later version
                self._versions = True

            async def open_store(location: Location) -> ObjectStore:
                store = self._places.moved if location.bucket == "moved" else self._places.raw
                return SteppedStore(
                    store, self._places.scheduler, process, self._places.invariants.check
                )

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

    def erase(self, customer: str, mode: ErasureMode) -> Callable[[Process], Awaitable[object]]:
        """Erase a customer."""

        async def run(process: Process) -> None:
            state, workspace = self._places.stores(process)
            in_force = await contract_of(state, await state.adoption(), CONTRACT)
            if self._versions or VERSIONED_BY_CUSTOMER in in_force.contract.text:
                return
            self.erases = True
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
            self._places.keep()
            done = await erase(request)
            await purge(workspace, state)
            if done.entries:  # else none is recorded, and a later upload may have it
                self._places.erased.add(customer)

        return run

    async def rebuild(self, process: Process) -> None:
        """Make everything once more that derives from ledger and clean zone."""
        state, workspace = self._places.stores(process)
        if not await state.head():
            return
        task = TransformTask(
            contract=CONTRACT,
            workspace=workspace,
            state=state,
            tables=ALL_TABLES,
            limits=self._limits,
        )
        await rebuild(task, now=self._places.age)

    async def maintain(self, process: Process) -> None:
        """Merge, write a checkpoint, and delete what nothing names."""
        state, workspace = self._places.stores(process)
        await keep_up(CONTRACT, workspace, state, now=self._places.age)

    async def audit(self, process: Process) -> None:
        """Compare what is published with the clean zone."""
        state, workspace = self._places.stores(process)
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
