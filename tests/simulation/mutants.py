"""Stores that break one rule of the protocol each: the simulation must find every one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta

from kpi.aggregation.tables import KPI_TABLES, record_names
from tests.simulation.backend import Backend
from tests.simulation.places import START
from tests.simulation.schedule import Scheduler
from tests.simulation.shop_mutants import SHOP_MUTANTS
from tests.simulation.torn import TornState
from worker.objects.memory import MemoryStore, MemoryWriter
from worker.state import Adoption, DayKpis, Entry, Erasure, Outcome, Progress, Record, Ruling
from worker.state.counted import CountedUploads
from worker.state.day_guard import Guard
from worker.state.decision import Decision
from worker.state.kpi_rows import stored_row
from worker.state.memory import MemoryState
from worker.state.upload import Run


class _Mutant(MemoryState):
    """Can let others go on in the midst of what should be one transaction."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    async def pause(self) -> None:
        await self._scheduler.between()


class NoGuard(_Mutant):
    """Publishes without the condition on `as_of`."""

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        self._guards.pop(day.order_date.isoformat(), None)
        return await super().publish(day, as_of)


class GuardForgotten(TornState):
    """Reads the guard before the first of a day's transactions, and does not look at it again."""

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        order_date = day.order_date.isoformat()
        guard = self._guards.get(order_date, Guard())
        verdict = guard.verdict(day.tables, as_of)
        if verdict is not None:
            return verdict
        for name in sorted(day.tables):
            await self._scheduler.between()
            self._rows[name][order_date] = [
                stored_row(KPI_TABLES[name], row) for row in day.tables[name]
            ]
            self.written[order_date, name] = as_of
        self._guards[order_date] = guard.next(as_of, day.tables)
        return Outcome.PUBLISHED


class DeletesNothing(_Mutant):
    """Leaves the rows of a day that has lost all of its orders."""

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        order_date = day.order_date.isoformat()
        before = {name: rows.get(order_date, []) for name, rows in self._rows.items()}
        outcome = await super().publish(day, as_of)
        for name, rows in day.tables.items():
            if not rows:
                self._rows[name][order_date] = before[name]
        return outcome


class RetractionForgetsATable(_Mutant):
    """Leaves the rows of one table on the days that are published after a ruling."""

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        order_date, table = day.order_date.isoformat(), "product_kpis"
        before = self._rows[table].get(order_date, [])
        outcome = await super().publish(day, as_of)
        if outcome is Outcome.PUBLISHED and isinstance(self._records[as_of - 1], Ruling):
            self._rows[table][order_date] = before
        return outcome


class NoLedgerCheck(_Mutant):
    """Neither looks a source object up nor sees that it has been committed."""

    async def find(self, source_id: str) -> Entry | None:  # noqa: ARG002  (as the base has it)
        return None

    async def commit(
        self,
        entry: Entry,
        *,
        adoption: Adoption | None = None,  # noqa: ARG002
        replaces: int = 0,  # noqa: ARG002
    ) -> Entry:
        committed = entry.at(len(self._records) + 1)
        self._records.append(committed)
        return committed


class NeverFinds(_Mutant):
    """Does not look a source object up before it is read."""

    async def find(self, source_id: str) -> Entry | None:  # noqa: ARG002  (as the base has it)
        return None

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        earlier = await MemoryState.find(self, entry.source_id)
        return (
            await super().commit(entry, adoption=adoption, replaces=replaces)
            if earlier is None
            else earlier
        )


class CheckBeforehand(_Mutant):
    """Sees whether an object has been committed in one transaction, and commits in another."""

    async def commit(
        self,
        entry: Entry,
        *,
        adoption: Adoption | None = None,  # noqa: ARG002
        replaces: int = 0,  # noqa: ARG002
    ) -> Entry:
        earlier = await self.find(entry.source_id)
        if earlier is not None:
            return earlier
        await self.pause()
        committed = entry.at(len(self._records) + 1)
        self._records.append(committed)
        return committed


class SameSequence(_Mutant):
    """Reads the counter in one transaction and moves it in another."""

    async def commit(
        self,
        entry: Entry,
        *,
        adoption: Adoption | None = None,  # noqa: ARG002
        replaces: int = 0,  # noqa: ARG002
    ) -> Entry:
        earlier = await self.find(entry.source_id)
        if earlier is not None:
            return earlier
        sequence = len(self._records) + 1
        await self.pause()
        committed = entry.at(sequence)
        self._records.append(committed)
        return committed


class CounterFirst(_Mutant):
    """Moves the counter in one transaction, and appends the entry in another."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._begun = 0

    async def head(self) -> int:
        return max(self._begun, len(self._records))

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        self._begun = len(self._records) + 1
        await self.pause()
        return await super().commit(entry, adoption=adoption, replaces=replaces)


class LateEntries(_Mutant):
    """Reads entries as an index does that lags behind: the last one is not there yet."""

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        found = await super().records(after=after, up_to=up_to)
        return found[:-1] if len(found) > 1 else found


class OrderOfCommit(_Mutant):
    """Lets the object that was committed last win, not the one that was uploaded last."""

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        found = await super().records(after=after, up_to=up_to)
        return [
            replace(one, uploaded_at=START + timedelta(seconds=one.sequence))
            if isinstance(one, Entry)
            else one
            for one in found
        ]


class ProgressAhead(_Mutant):
    """Takes the head at which the progress record is written, not the one it was computed at."""

    async def advance(self, progress: Progress) -> Progress:
        head = len(self._records)
        published = dict.fromkeys(progress.published, head)
        return await super().advance(replace(progress, published=published))


class SlicesAreWhole(_Mutant):
    """Says of every day that it stands at the sequence of the last one published."""

    async def days(self) -> dict[date, Mapping[str, int]]:
        found = await super().days()
        last = max((guard.claim for guard in self._guards.values()), default=0)
        return {day: dict.fromkeys(known, last) for day, known in found.items()}


class StagedCounts(_Mutant):
    """Takes what was staged for a contract that is not in force for entries like others."""

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        found = await super().records(after=after, up_to=up_to)
        in_force = await super().adoption()
        return [
            replace(one, staged=False, contract=in_force.digest)
            if isinstance(one, Entry) and one.staged and in_force is not None
            else one
            for one in found
        ]


class AdoptsBlindly(_Mutant):
    """Does not see that uploads were committed since those that are staged were listed."""

    async def adopt(
        self,
        adoption: Adoption,
        *,
        replaces: int,
        head: int | None = None,  # noqa: ARG002
    ) -> Adoption:
        return await super().adopt(adoption, replaces=replaces)


class AdoptionLeavesADay(_Mutant):
    """Takes the first day for published by the contract in force, whatever published it."""

    async def days(self) -> dict[date, Mapping[str, int]]:
        found = await super().days()
        adoption = await super().adoption()
        if found and adoption is not None and adoption.replaces:
            found[min(found)] = dict.fromkeys(record_names(KPI_TABLES), len(self._records))
        return found


class ForgetsErasures(_Mutant):
    """Commits what was made without knowing that a customer is erased."""

    def _check_erased(self, entry: Entry) -> None:
        """Check nothing."""


class ErasesBlindly(_Mutant):
    """Does not see that uploads were committed since those that are rewritten were listed."""

    async def erase(self, erasure: Erasure, *, head: int) -> Erasure:  # noqa: ARG002
        return await super().erase(erasure, head=len(self._records))


class ErasesByHalves(_Mutant):
    """Forgets one of the entries that were rewritten for an erasure."""

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        found = await super().rewritten(erasure_id)
        committed = {one.erasure_id for one in await super().erasures()}
        return found[1:] if erasure_id in committed else found


class RepairsRankLast(_Mutant):
    """Lets a repair count as an upload of its own time."""

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        if entry.repair is not None:
            entry = replace(entry, uploaded_at=entry.uploaded_at + timedelta(hours=1))
        return await super().commit(entry, adoption=adoption, replaces=replaces)


class RepairsBlindly(_Mutant):
    """Lets a repair replace an entry that its writer has not seen."""

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        last = await MemoryState.find(self, entry.source_id)
        if entry.repair is not None and last is not None:
            replaces = last.sequence
        return await super().commit(entry, adoption=adoption, replaces=replaces)


class LostObjects(MemoryStore):
    """Says that an object is written, and forgets it now and then."""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket)
        self._created = 0

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[MemoryWriter]:
        self._created += 1
        writer = MemoryWriter()
        yield writer
        if self._created % 5:
            async with super().create(key) as into:
                await into.write(bytes(writer.data))


class CountsTheLast(CountedUploads):
    """Lets a run of equals count as its last upload."""

    def _decide(self, name: tuple[str, str], up_to: int | None = None) -> Decision:
        found = super()._decide(name, up_to)
        last = {upload.sequence: run[-1].sequence for run in found.runs for upload in run}
        return replace(found, counted=frozenset(last[one] for one in found.counted))


class ForgetsADataset(CountedUploads):
    """Replaces whole files of every dataset but one."""

    def __init__(self, replaces_file: Callable[[str], bool] = lambda _: False) -> None:
        super().__init__(lambda dataset: dataset != "order_items" and replaces_file(dataset))


class RulesOnOne(CountedUploads):
    """Sees no rulings but those on the first of equals."""

    def _is_retracted(self, run: Run, up_to: int | None = None) -> bool:
        return super()._is_retracted(run[:1], up_to)


class RetractsBeforeItCompares(CountedUploads):
    """Takes out each upload that was ruled on, and no equal one."""

    def _decide(self, name: tuple[str, str], up_to: int | None = None) -> Decision:
        every = self._uploads[name]
        self._uploads[name] = [one for one in every if not self._is_retracted([one], up_to)]
        try:
            return super()._decide(name, up_to)
        finally:
            self._uploads[name] = every


class SeesTheEndsAlone(CountedUploads):
    """Compares what counts now with what counted then, not with what counted between."""

    def _states(self, name: tuple[str, str], sequence: int) -> list[frozenset[int]]:
        states = super()._states(name, sequence)
        return [states[0], states[-1]]


COUNTED = (CountsTheLast, ForgetsADataset, RetractsBeforeItCompares)
STATES = (
    *(NoGuard, DeletesNothing, RetractionForgetsATable, SlicesAreWhole, ProgressAhead),
    *(NoLedgerCheck, CheckBeforehand, SameSequence, CounterFirst, LateEntries, OrderOfCommit),
)
MUTANTS: dict[str, Backend] = {
    **{state.__name__: Backend(state=state) for state in STATES},
    **{counted.__name__: Backend(counted=counted) for counted in COUNTED},
    GuardForgotten.__name__: Backend(state=GuardForgotten, torn=True),
    LostObjects.__name__: Backend(clean=lambda _: LostObjects("clean")),
    **SHOP_MUTANTS,
}
OF_RULINGS = {one.__name__: Backend(counted=one) for one in (RulesOnOne, SeesTheEndsAlone)}
"""Mutants that need rulings at the right moment, likewise."""

OF_ADOPTIONS = {
    state.__name__: Backend(state=state)
    for state in (StagedCounts, AdoptsBlindly, AdoptionLeavesADay)
}
"""Mutants that need an adoption at the right moment; `test_mutants` has a history for each."""

OF_ERASURES = {
    state.__name__: Backend(state=state)
    for state in (ForgetsErasures, ErasesBlindly, ErasesByHalves)
}
"""Mutants that need an erasure at the right moment, likewise."""

OF_REPAIRS = {state.__name__: Backend(state=state) for state in (RepairsRankLast, RepairsBlindly)}
"""Mutants that need a repair at the right moment, likewise."""

HARMLESS = Backend(state=NeverFinds)
"""Costs work and nothing else: the commit itself sees what has been committed."""
