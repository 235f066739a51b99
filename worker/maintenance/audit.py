"""Published days held against the clean zone: computed anew, compared row by row.

The stores are asked what they claim: how far each table has come (the progress record), and at
which sequence each day of it is whole (`KpiStore.days`). What must be there follows from both, and
no claim excuses a row from being compared: a day that claims a later sequence than its table, or
has none to keep to, is computed at its own; a sequence that the ledger has not come to is wrong.

Why there is no false alarm while others publish. The progress record is read before the days: every
day that it promises has been begun by then, and stands at its sequence or a later one, or its KPIs
have not changed since. Rows are read between two readings of the days, whose sequences never fall.
Where a day says the same before and after, the rows between were those of that sequence. Where it
does not, whoever publishes it may have caused the difference, as may whoever has begun a day and
not ended it: such a day is left out and counted as unsettled. Of a day that is not ended, rows up
to the promised sequence are judged all the same: they are what is left of the elder state.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days, to_date, to_day
from kpi.aggregation.day_slice import Products
from kpi.aggregation.tables import DEFAULT_TABLES, KPI_TABLES
from kpi.contract.model import Contract
from kpi.errors import KpiError
from worker.clean import Workspace
from worker.state import Row, State
from worker.state.paging import entries_in_pages
from worker.transform.day_batches import cut
from worker.transform.day_loader import Seen, kpis, latest_products, load
from worker.transform.day_ranges import possible_days
from worker.transform.latest_versions import Versions
from worker.transform.publish import rows_by_day
from worker.transform.snapshot import Zone, open_zone

Cell = tuple[str, date]
"""A KPI table and a day."""

Span = tuple[date | None, date | None]
"""First and last of some days that follow each other; None for no bound."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A published row that is not what the clean zone gives.

    Attributes:
        table: KPI table.
        order_date: Its day.
        group: Its category or product; None where the table has one row a day.
        published: The row that is there, with its `as_of`; None where it is missing.
        expected: The row that should be; None where there should be none.
    """

    table: str
    order_date: date
    group: str | None
    published: Row | None
    expected: Row | None

    @property
    def cell(self) -> Cell:
        return self.table, self.order_date


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found.

    Attributes:
        as_of: Sequence that every day of every table has been published up to, as the progress
            record has it; 0 where no transform of all days has ended.
        days: Days compared: each has been published, should have been, or has rows.
        differences: What is wrong with them.
        unsettled: Days left out: what is there may be the doing of whoever was publishing them.
        unpublished: Tables of which no day was ever published although the ledger has accepted
            files, ascending.
        failed: Days that cannot be computed, so that nothing is known of them, and why.
    """

    as_of: int
    days: int
    differences: tuple[Difference, ...]
    unsettled: int = 0
    unpublished: tuple[str, ...] = ()
    failed: Mapping[date, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Claims:
    """What the stores say of themselves.

    Attributes:
        reached: KPI table -> sequence up to which every day of it is said to be published.
        begun: As `KpiStore.days`.
        head: The ledger's head, read last: no honest claim is beyond it.
    """

    reached: Mapping[str, int]
    begun: Mapping[date, Mapping[str, int]]
    head: int

    @classmethod
    async def read(cls, state: State, tables: Collection[str]) -> _Claims:
        record = await state.progress()
        begun = await state.days()
        head = await state.head()
        reached = {name: min(record.published.get(name, 0), head) for name in tables}
        return cls(reached=reached, begun=begun, head=head)

    def whole(self, cell: Cell) -> int | None:
        """The sequence that a day of a table is said to be whole at; None where it may not be."""
        table, day = cell
        return self.begun.get(day, {}).get(table)

    def is_open(self, cell: Cell) -> bool:
        """Whether the day was begun and this table of it is not known to be whole."""
        return cell[1] in self.begun and self.whole(cell) is None

    def sequence(self, cell: Cell) -> int:
        """The sequence whose KPIs must be there; 0 where nothing must."""
        whole = self.whole(cell) or 0
        return max(self.reached[cell[0]], whole if whole <= self.head else 0)

    def as_of(self, cell: Cell, published: Row | None) -> int:
        """What a right row says: the day's sequence, or what it likes where that is not known."""
        claimed = self.whole(cell)
        if claimed is None and published is not None:
            claimed = int(published["as_of"])
        return self.sequence(cell) if claimed is None or claimed > self.head else claimed

    @property
    def latest(self) -> int:
        """The latest sequence of any table of any day."""
        every = (self.sequence((name, day)) for day in self.begun for name in self.reached)
        return max([*self.reached.values(), *every])


async def audit(
    *,
    contract: Contract,
    workspace: Workspace,
    state: State,
    tables: frozenset[str] = DEFAULT_TABLES,
    first: date | None = None,
    last: date | None = None,
    sample: int | None = None,
) -> Audit:
    """Compare published days with what the ledger's entries up to their sequence give.

    Args:
        contract: What the clean rows mean.
        workspace: Where they lie.
        state: Ledger and KPI tables.
        tables: KPI tables to compare.
        first: First day; None for no bound.
        last: Last day.
        sample: Number of published days, chosen by chance, and at most as many others that an order
            may stand on; None for all days, with those that should have neither order nor row.

    Errors: `SourceError` or `StoreError` where a retry may help; `ConfigError` where the contract
        does not fit the clean zone.
    """
    claims = await _Claims.read(state, tables)
    latest = claims.latest
    zone = await open_zone(state, latest, workspace, contract)
    begun = _within(np.array(sorted(map(to_day, claims.begun)), np.int32), first, last)
    others = np.setdiff1d(_within(await possible_days(zone.orders), first, last), begun)
    gaps: Span | None = (first, last)
    if sample is not None:
        begun, others, gaps = _some(begun, sample), _some(others, sample), None

    # A day that has lost all of its orders is compared as well: nothing must be there.
    compared = {
        day
        for day in map(to_date, begun.tolist())
        if any(claims.sequence((name, day)) for name in tables)
    }
    suspects: list[Difference] = []
    doubted: dict[int, set[date]] = defaultdict(set)
    # Most days have not changed since they were published: one state of the zone tells. What is
    # not right as of then may be as of its own sequence.
    failed: dict[date, str] = {}
    async for cell, found in _cells(zone, state, claims, np.union1d(begun, others), gaps):
        compared.add(cell[1])
        own = claims.sequence(cell)
        if own not in (0, latest):
            if found:
                doubted[own].add(cell[1])
        elif isinstance(found, KpiError):
            failed[cell[1]] = str(found)
        else:
            suspects += found
    for own, days in sorted(doubted.items()):
        elder = await open_zone(state, own, workspace, contract)
        these = np.array(sorted(map(to_day, days)), np.int32)
        async for cell, found in _cells(elder, state, claims, these):
            if claims.sequence(cell) != own:
                continue
            if isinstance(found, KpiError):
                failed[cell[1]] = str(found)
            else:
                suspects += found

    after = await _Claims.read(state, tables) if suspects else claims
    certain = [one for one in suspects if _is_certain(one, claims, after)]
    wrong = {one.order_date for one in certain}
    unsettled = {one.order_date for one in suspects} - wrong
    return Audit(
        as_of=min(claims.reached.values()),
        days=len(compared - unsettled - failed.keys()),
        differences=tuple(sorted(certain, key=lambda one: (one.order_date, one.table))),
        unsettled=len(unsettled),
        unpublished=await _unpublished(state, claims),
        failed=failed,
    )


def _is_certain(one: Difference, before: _Claims, after: _Claims) -> bool:
    """Whether no writer can have caused it."""
    was_begun, is_begun = (one.order_date in claims.begun for claims in (before, after))
    if was_begun != is_begun or before.whole(one.cell) != after.whole(one.cell):
        return False
    if not before.is_open(one.cell):
        return True
    # A later state has put the row, or deleted it: or there is no such state.
    return one.published is not None and not (
        before.sequence(one.cell) < int(one.published["as_of"]) <= after.head
    )


async def _cells(
    zone: Zone, state: State, claims: _Claims, days: Days, gaps: Span | None = None
) -> AsyncIterator[tuple[Cell, list[Difference] | KpiError]]:
    """Each table of some days that has rows, or must have some, and where they differ, or why that
    cannot be told.

    Args:
        zone: The clean zone at the sequence that the rows are compared at.
        state: Where the rows are.
        claims: Tell what tables to compare, and what rows may say of themselves.
        days: Ascending.
        gaps: Days between these, and around them, are looked through for rows as well.
    """
    tables = frozenset(claims.reached)
    products = Products(*await latest_products(zone.products))
    versions = Versions(zone.orders), Versions(zone.items)
    plan = await cut(days, zone)

    async def compute(part: Days, failed: dict[date, KpiError]) -> dict[str, dict[date, list[Row]]]:
        """The rows of some days; those that have none to be computed go into `failed`."""
        if not len(part):
            return {name: {} for name in tables}
        try:
            day_slice = await load(part, zone, products, *versions, tables, Seen(), plan)
            made = kpis(day_slice, tables)
        except KpiError as error:
            if len(part) == 1:
                failed[to_date(part[0])] = error
                return {name: {} for name in tables}
            half = len(part) // 2
            ahead, behind = [await compute(one, failed) for one in (part[:half], part[half:])]
            return {name: ahead[name] | behind[name] for name in tables}
        return {name: rows_by_day(name, table) for name, table in made.items()}

    for part, spans in _parts(plan.slices, gaps):
        failed: dict[date, KpiError] = {}
        expected = await compute(part, failed)
        for name, of_day in sorted(expected.items()):
            for day, error in failed.items():
                yield (name, day), error
            for span in spans:
                async for day, there in _rows_by_day(state, name, span):
                    cell = name, day
                    if day not in failed:
                        yield cell, _compare(cell, there, of_day.pop(day, []), claims)
            for day, missing in of_day.items():
                cell = name, day
                if claims.sequence(cell):
                    yield cell, _compare(cell, [], missing, claims)


def _parts(slices: Sequence[Days], gaps: Span | None) -> Iterator[tuple[Days, list[Span]]]:
    """The slices, with the days whose rows are to be read beside each."""
    if gaps is None:
        for part in slices:
            yield part, [(day, day) for day in map(to_date, part.tolist())]
        return
    start, last = gaps
    for part in slices[:-1]:
        yield part, [(start, to_date(part[-1]))]
        start = to_date(part[-1] + 1)
    yield slices[-1] if slices else NO_DAYS, [(start, last)]


async def _rows_by_day(
    state: State, table: str, span: Span
) -> AsyncIterator[tuple[date, list[Row]]]:
    """The rows of each day that has some, ascending."""
    rows: list[Row] = []
    async for row in state.rows(table, first=span[0], last=span[1]):
        if rows and row["order_date"] != rows[0]["order_date"]:
            yield date.fromisoformat(str(rows[0]["order_date"])), rows
            rows = []
        rows.append(row)
    if rows:
        yield date.fromisoformat(str(rows[0]["order_date"])), rows


def _compare(
    cell: Cell, there: list[Row], expected: list[Row], claims: _Claims
) -> list[Difference]:
    """The rows of a day of a table that differ, ascending by group."""
    table, day = cell
    key = KPI_TABLES[table].group_key

    def by_group(rows: list[Row]) -> dict[str | None, Row]:
        return {str(row[key]) if key else None: row for row in rows}

    differences = []
    found, wanted = by_group(there), by_group(expected if claims.sequence(cell) else [])
    for group in sorted({*found, *wanted}, key=str):
        published, right = found.get(group), wanted.get(group)
        if right is not None:
            right = {**right, "as_of": claims.as_of(cell, published)}
        if published != right:
            differences.append(
                Difference(
                    table=table, order_date=day, group=group, published=published, expected=right
                )
            )
    return differences


async def _unpublished(state: State, claims: _Claims) -> tuple[str, ...]:
    """See `Audit`."""
    published = set().union(*claims.begun.values())
    names = [name for name, at in claims.reached.items() if not at and name not in published]
    if names:
        async for entries in entries_in_pages(state, claims.head):
            if any(entry.verdict == "accepted" for entry in entries):
                return tuple(sorted(names))
    return ()


def _within(days: Days, first: date | None, last: date | None) -> Days:
    low, high = to_day(first or date.min), to_day(last or date.max)
    return days[(days >= low) & (days <= high)]


def _some(days: Days, most: int) -> Days:
    """At most so many of them, chosen by chance, ascending."""
    if len(days) <= most:
        return days
    return days[sorted(random.sample(range(len(days)), most))]
