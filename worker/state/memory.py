"""Ledger and KPI tables in memory, for simulations and unit tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import date, datetime

from kpi.aggregation.tables import KPI_TABLES
from worker.errors import ContractChanged, CustomersErased, HeadMoved
from worker.state import (
    Adoption,
    DayKpis,
    Effect,
    Entry,
    Erasure,
    Lease,
    Outcome,
    Pointer,
    Progress,
    Record,
    Row,
    Ruling,
    Sighting,
)
from worker.state.day_guard import Guard, this_second
from worker.state.entry import name_of_staged, staged_name
from worker.state.kpi_rows import stored_row
from worker.state.marks import KeptTogether


class MemoryState(KeptTogether):
    """In-memory `worker.state.State`. No method awaits anything, so each is one transaction."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._effects: dict[str, Effect] = {}
        self._sightings: dict[str, Sighting] = {}
        self._erasure_key: bytes | None = None
        self._progress = Progress()
        self._lease = Lease()
        self._guards: dict[str, Guard] = {}
        # Table -> ISO date -> rows, ascending by group key.
        self._rows: dict[str, dict[str, list[Row]]] = {name: {} for name in KPI_TABLES}

    async def find(self, source_id: str) -> Entry | None:
        return self._find(source_id)

    async def find_staged(self, source_id: str, contract: str) -> Entry | None:
        return self._find_staged(staged_name(source_id, contract))

    async def pointers(
        self, source_ids: Collection[str], *, staged_for: str | None = None
    ) -> dict[str, Pointer]:
        found = {}
        for one in source_ids:
            entry = (
                self._find(one)
                if staged_for is None
                else self._find_staged(staged_name(one, staged_for))
            )
            if entry is not None:
                found[one] = Pointer(sequence=entry.sequence, accepted=entry.verdict == "accepted")
        return found

    async def entries_at(self, sequences: Collection[int]) -> list[Entry]:
        found = (self._records[one - 1] for one in sorted({*sequences}) if self._has(one))
        return [record for record in found if isinstance(record, Entry)]

    def _has(self, sequence: int) -> bool:
        return 0 < sequence <= len(self._records)

    async def stage(self, entry: Entry) -> Entry:
        earlier = self._find_staged(name_of_staged(entry))
        if earlier is not None:
            return earlier
        self._check_erased(entry)
        committed = entry.at(len(self._records) + 1)
        self._records.append(committed)
        return committed

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        earlier = self._find(entry.source_id)
        if earlier is not None and earlier.stands(entry.contract, replaces):
            return earlier
        self._check_erased(entry)
        if adoption is not None and entry.verdict == "accepted":
            in_force = self._adoption()
            if in_force is None:
                self._records.append(adoption.at(len(self._records) + 1))
            elif in_force.digest != adoption.digest:
                raise ContractChanged(expected=adoption.digest, actual=in_force.digest)
        committed = entry.at(len(self._records) + 1)
        self._records.append(committed)
        return committed

    async def adoption(self) -> Adoption | None:
        return self._adoption()

    async def adopt(
        self, adoption: Adoption, *, replaces: int, head: int | None = None
    ) -> Adoption:
        in_force = self._adoption()
        if (0 if in_force is None else in_force.sequence) != replaces:
            raise ContractChanged(actual=in_force and in_force.digest)
        if head is not None and head != len(self._records):
            raise HeadMoved(expected=head, actual=len(self._records))
        committed = adoption.at(len(self._records) + 1, replaces=replaces)
        self._records.append(committed)
        return committed

    def _adoption(self) -> Adoption | None:
        found = [record for record in self._records if isinstance(record, Adoption)]
        return found[-1] if found else None

    def _find(self, source_id: str) -> Entry | None:
        found = [
            record
            for record in self._records
            if isinstance(record, Entry) and record.source_id == source_id and not record.staged
        ]
        return found[-1] if found else None

    def _find_staged(self, name: str) -> Entry | None:
        return next(
            (
                record
                for record in self._records
                if isinstance(record, Entry) and record.staged and name_of_staged(record) == name
            ),
            None,
        )

    def _check_erased(self, entry: Entry) -> None:
        erasures = [record for record in self._records if isinstance(record, Erasure)]
        if entry.erased != (erasures[-1].sequence if erasures else 0):
            raise CustomersErased(url=entry.url)

    async def erase(self, erasure: Erasure, *, head: int) -> Erasure:
        if head != len(self._records):
            raise HeadMoved(expected=head, actual=len(self._records))
        committed = erasure.at(head + 1)
        self._records.append(committed)
        return committed

    async def erasures(self) -> list[Erasure]:
        return [record for record in self._records if isinstance(record, Erasure)]

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        found = [
            record
            for record in self._records
            if isinstance(record, Entry) and record.erasure == erasure_id
        ]
        return sorted(found, key=lambda entry: entry.rewrites)

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None:
        self._erasure_key = self._erasure_key or proposed
        return self._erasure_key

    async def rule(self, ruling: Ruling) -> Ruling:
        for record in self._records:
            if isinstance(record, Ruling) and record.ruling_id == ruling.ruling_id:
                return record
        committed = ruling.at(len(self._records) + 1)
        self._records.append(committed)
        return committed

    async def head(self) -> int:
        return len(self._records)

    async def entries(self, *, after: int = 0, up_to: int | None = None) -> list[Entry]:
        records = await self.records(after=after, up_to=up_to)
        return [record for record in records if isinstance(record, Entry)]

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        return self._records[max(after, 0) : None if up_to is None else max(up_to, 0)]

    async def rulings(self) -> list[Ruling]:
        return [record for record in self._records if isinstance(record, Ruling)]

    async def record_effects(self, effects: Mapping[str, Effect]) -> None:
        for source_id, effect in effects.items():
            earlier = self._effects.get(source_id)
            if earlier is None or earlier.as_of <= effect.as_of:
                self._effects[source_id] = effect

    async def effects(self, source_ids: Sequence[str]) -> dict[str, Effect]:
        return {one: self._effects[one] for one in source_ids if one in self._effects}

    async def record_sighting(self, source_id: str, sighting: Sighting) -> None:
        self._sightings[source_id] = sighting

    async def sightings(self, source_ids: Sequence[str]) -> dict[str, Sighting]:
        return {one: self._sightings[one] for one in source_ids if one in self._sightings}

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        order_date = day.order_date.isoformat()
        guard = self._guards.get(order_date, Guard())
        verdict = guard.verdict(day.tables, as_of)
        if verdict is not None:
            return verdict
        # All rows are built before any is stored: a wrong row leaves the day as it was.
        tables: dict[str, list[Row]] = {
            name: [stored_row(KPI_TABLES[name], row) for row in rows]
            for name, rows in day.tables.items()
        }
        for name, rows in tables.items():
            self._rows[name][order_date] = rows
        self._guards[order_date] = guard.next(as_of, day.tables, this_second())
        return Outcome.PUBLISHED

    async def progress(self) -> Progress:
        return self._progress

    async def advance(self, progress: Progress) -> Progress:
        self._progress = self._progress.merge(progress)
        return self._progress

    async def lease(self) -> Lease:
        return self._lease

    async def put_lease(self, lease: Lease) -> bool:
        if lease.version != self._lease.version + 1:
            return False
        self._lease = lease
        return True

    async def publication_times(
        self, *, first: date | None = None, last: date | None = None
    ) -> dict[date, datetime]:
        low, high = first or date.min, last or date.max
        return {
            day: guard.published_at
            for iso, guard in self._guards.items()
            if guard.published_at is not None and low <= (day := date.fromisoformat(iso)) <= high
        }

    async def days(self) -> dict[date, Mapping[str, int]]:
        return {date.fromisoformat(day): one.published for day, one in self._guards.items()}

    async def rows(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        group: str | None = None,
    ) -> AsyncIterator[Row]:
        low, high = (first or date.min).isoformat(), (last or date.max).isoformat()
        group_key = KPI_TABLES[table].group_key
        days = sorted(day for day in self._rows[table] if low <= day <= high)
        found = [
            {**row, "as_of": self._guards.get(day, Guard()).as_of(table)}
            for day in days
            for row in self._rows[table][day]
            if group is None or (group_key is not None and row[group_key] == group)
        ]
        for row in found:
            yield row

    async def create_tables(self) -> list[str]:
        return []

    async def close(self) -> None:
        """Do nothing: no resource is held."""
