"""What the stores claim of the published days: the sequences that their rows must be of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import date

from kpi.aggregation.tables import DEFAULT_TABLES, KPI_TABLES, record_names
from worker.state import Entry, Row, State
from worker.state.paging import entries_in_pages, records_in_pages
from worker.transform.day_ranges import DateRange

Cell = tuple[str, date]
"""A KPI table and a day."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What the progress record and the days' guards say.

    Attributes:
        reached: KPI table -> sequence up to which every day of it is said to be published.
        begun: As `KpiStore.days`.
        head: The ledger's head, read last: no honest claim is beyond it.
    """

    reached: Mapping[str, int]
    begun: Mapping[date, Mapping[str, int]]
    head: int

    @classmethod
    async def read(cls, state: State, tables: Collection[str]) -> Claims:
        record = await state.progress()
        begun = await state.days()
        head = await state.head()
        reached = {name: min(record.published.get(name, 0), head) for name in tables}
        return cls(reached=reached, begun=begun, head=head)

    def whole(self, cell: Cell) -> int | None:
        """Return the sequence that a day of a table claims to be whole at; None where none."""
        table, day = cell
        return self.begun.get(day, {}).get(table)

    def is_of_earlier_release(self, cell: Cell) -> bool:
        """Return whether a release without attributes of completeness has published the row."""
        of_day = self.begun.get(cell[1], {})
        return cell[0] in of_day and any(
            of_day.get(name) != of_day[cell[0]] for name in record_names([cell[0]])
        )

    def is_open(self, cell: Cell) -> bool:
        """Return whether the day was begun and this table of it is not known to be whole."""
        return cell[1] in self.begun and self.whole(cell) is None

    def sequence(self, cell: Cell) -> int:
        """Return the sequence whose KPIs must be there; 0 where nothing must."""
        whole = self.whole(cell) or 0
        return max(self.reached[cell[0]], whole if whole <= self.head else 0)

    def expected_as_of(self, cell: Cell, published: Row | None) -> int:
        """Return the `as_of` of a right row: the day's sequence, or any where it is unknown."""
        claimed = self.whole(cell)
        if claimed is None and published is not None:
            claimed = int(str(published["as_of"]))
        return self.sequence(cell) if claimed is None or claimed > self.head else claimed

    @property
    def latest(self) -> int:
        """The latest sequence of any table of any day."""
        of_days = (self.sequence((name, day)) for day in self.begun for name in self.reached)
        return max([*self.reached.values(), *of_days])


async def published_days(
    state: State, table: str, date_range: DateRange
) -> AsyncIterator[tuple[date, list[Row]]]:
    """Yield the published rows of each day that has some, ascending."""
    rows: list[Row] = []
    async for row in state.rows(table, first=date_range.first, last=date_range.last):
        if rows and row["order_date"] != rows[0]["order_date"]:
            yield date.fromisoformat(str(rows[0]["order_date"])), rows
            rows = []
        rows.append(row)
    if rows:
        yield date.fromisoformat(str(rows[0]["order_date"])), rows


async def unpublished_tables(state: State, claims: Claims) -> tuple[str, ...]:
    """Return the tables without any published day; none where no file was accepted."""
    published = set().union(*claims.begun.values())
    names = [name for name, at in claims.reached.items() if not at and name not in published]
    if names:
        async for entries in entries_in_pages(state, claims.head):
            if any(entry.verdict == "accepted" for entry in entries):
                return tuple(sorted(names))
    return ()


async def workspace_tables(state: State) -> frozenset[str]:
    """Return the tables that the ledger has switched on or that were ever published.

    Where there are none, these are the tables that a first run publishes.
    """
    adoption = await state.adoption()
    switched_on = set(adoption.tables) if adoption is not None else set()
    published = {name for name, at in (await state.progress()).published.items() if at}
    begun = set().union(*(await state.days()).values())
    return frozenset(KPI_TABLES.keys() & (switched_on | published | begun)) or DEFAULT_TABLES


async def deleted_cells(state: State, claims: Claims) -> set[Cell]:
    """Return the days from which a customer was deleted, and that are not published since.

    Their rows are of clean rows that are gone: nobody can compute them any more.
    """
    return {
        (name, date.fromisoformat(day))
        for erasure in await state.erasures()
        if erasure.mode == "delete"
        for name, reached in claims.reached.items()
        if reached < erasure.sequence
        for day in erasure.days
    }


async def tables_behind(state: State, claims: Claims) -> dict[str, int]:
    """Find the tables that lack what the ledger had when the claims were read.

    Returns:
        Table -> sequence that it has been published up to. Refused files change no table.
    """
    published = (await state.progress()).published
    reached = {name: published.get(name, 0) for name in claims.reached}
    behind: dict[str, int] = {}
    since = min(reached.values(), default=claims.head)
    async for page in records_in_pages(state, claims.head, since):
        for record in page:
            if isinstance(record, Entry) and (record.verdict == "refused" or record.staged):
                continue
            behind |= {name: at for name, at in reached.items() if at < record.sequence}
    return dict(sorted(behind.items()))
