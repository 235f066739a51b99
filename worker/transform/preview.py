"""Preview a transform: the published rows that it would change, without writing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from kpi.aggregation.calendar import Days, to_date
from kpi.aggregation.products import Products
from kpi.aggregation.tables import KPI_TABLES
from worker.state import Adoption, Entry, Erasure, Record, Row, State, Value
from worker.state.contract_in_force import adopted_contract
from worker.state.kpi_rows import stored_row
from worker.transform.day_batches import plan_batches
from worker.transform.day_loader import (
    LoadContext,
    Observed,
    kpi_tables,
    latest_products,
    load_days,
)
from worker.transform.pending_work import PendingWork, find_pending_work
from worker.transform.publish import rows_by_day
from worker.transform.shop.transform import ShopDays, open_context
from worker.transform.shop.work import find_shop_work
from worker.transform.task import TransformTask


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """One KPI row before and after.

    Attributes:
        table: KPI table.
        order_date: Its day.
        before: The published row, without `as_of`; None where there is none.
        after: The row that would be published; None where there would be none.
    """

    table: str
    order_date: date
    before: Row | None
    after: Row | None

    @property
    def group(self) -> str | None:
        """Category or product of the row; None where the table has one row a day."""
        key = KPI_TABLES[self.table].group_key
        row = self.before or self.after or {}
        return str(row[key]) if key else None

    def values(self) -> list[tuple[str, Value | None, Value | None]]:
        """Return the attributes that change, each before and after."""
        before, after = self.before or {}, self.after or {}
        return [
            (name, before.get(name), after.get(name))
            for name in KPI_TABLES[self.table].kinds
            if before.get(name) != after.get(name)
            and name not in ("order_date", KPI_TABLES[self.table].group_key)
        ]


async def preview_records(task: TransformTask, records: Sequence[Record]) -> list[RowChange]:
    """Return the rows that some records would change, ascending by table, day and group.

    What the ledger has and the tables have not yet is part of the change.

    Args:
        task: What would be brought up to date.
        records: What would be committed, in that order.

    Raises:
        ConfigError, SourceError, StoreError, KpiError: As `worker.transform.transform`.
    """
    supposed = TransformTask(
        contract=task.contract,
        workspace=task.workspace,
        state=_SupposedLedger(task.state, records, await task.state.head()),  # type: ignore[arg-type]
        tables=task.tables,
        limits=task.limits,
    )
    adopted = adopted_contract(await supposed.state.adoption(), task.contract)
    if adopted.shop is not None:
        return await _shop_changes(task, supposed)
    work = await find_pending_work(supposed)
    return [] if work is None else await _changes(task, work)


async def _shop_changes(task: TransformTask, supposed: TransformTask) -> list[RowChange]:
    """Compare the days that records would change by a contract of language 2."""
    work = await find_shop_work(supposed)
    if work is None:
        return []
    context = open_context(work.snapshot, task.tables)
    loader = await ShopDays.plan(context, work.days)
    changes: list[RowChange] = []
    for days in loader.batches:
        loaded = await loader.load(days)
        rows_of = await asyncio.to_thread(loader.compute, loaded, days)
        by_day = {day: rows_of(day) for day in map(to_date, days.tolist())}
        for name in sorted(task.tables):
            before = await _published(task.state, name, days)
            after = {
                (day, _group(name, row)): _as_stored(name, row)
                for day, tables in by_day.items()
                for row in tables[name]
            }
            changes += _differing(name, before, after)
    return sorted(changes, key=lambda one: (one.table, one.order_date))


def _as_stored(name: str, row: Row) -> Row:
    return stored_row(KPI_TABLES[name], row)


async def _changes(task: TransformTask, work: PendingWork) -> list[RowChange]:
    context = LoadContext(
        snapshot=work.snapshot,
        products=Products(*await latest_products(work.snapshot.products)),
        order_versions=work.order_versions,
        item_versions=work.item_versions,
        tables=task.tables,
        observed=Observed(),
        plan=await plan_batches(work.days, work.snapshot),
    )
    changes: list[RowChange] = []
    for days in context.plan.batches:
        day_slice = await load_days(days, context)
        computed = await asyncio.to_thread(kpi_tables, day_slice, task.tables)
        for name, table in computed.items():
            before = await _published(task.state, name, days)
            after = {
                (day, _group(name, row)): row
                for day, rows in rows_by_day(name, table).items()
                for row in rows
            }
            changes += _differing(name, before, after)
    return sorted(changes, key=lambda one: (one.table, one.order_date))


def _differing(
    name: str, before: Mapping[tuple[date, str], Row], after: Mapping[tuple[date, str], Row]
) -> list[RowChange]:
    return [
        RowChange(table=name, order_date=place[0], before=before.get(place), after=after.get(place))
        for place in sorted({*before, *after})
        if before.get(place) != after.get(place)
    ]


async def _published(state: State, table: str, days: Days) -> dict[tuple[date, str], Row]:
    """Return the published rows of some days, by day and group."""
    wanted = set(map(to_date, days.tolist()))
    found: dict[tuple[date, str], Row] = {}
    async for row in state.rows(table, first=min(wanted), last=max(wanted)):
        day = date.fromisoformat(str(row["order_date"]))
        if day in wanted:
            found[day, _group(table, row)] = {
                name: value for name, value in row.items() if name != "as_of"
            }
    return found


def _group(table: str, row: Row) -> str:
    key = KPI_TABLES[table].group_key
    return str(row[key]) if key else ""


class _SupposedLedger:
    """A state as it would be after some records; read only."""

    def __init__(self, state: State, records: Sequence[Record], head: int) -> None:
        self._state = state
        self._head = head
        self._supposed = [record.at(head + at) for at, record in enumerate(records, start=1)]
        self.progress = state.progress
        self.days = state.days
        self.rows = state.rows

    async def head(self) -> int:
        return self._head + len(self._supposed)

    async def adoption(self) -> Adoption | None:
        supposed = [record for record in self._supposed if isinstance(record, Adoption)]
        return supposed[-1] if supposed else await self._state.adoption()

    async def erasures(self) -> list[Erasure]:
        supposed = [record for record in self._supposed if isinstance(record, Erasure)]
        return [*await self._state.erasures(), *supposed]

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        supposed = [
            record
            for record in self._supposed
            if isinstance(record, Entry) and record.erasure == erasure_id
        ]
        return [*await self._state.rewritten(erasure_id), *supposed]

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None:
        del proposed  # nothing is written
        return await self._state.erasure_key() or b"-"

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        last = self._head if up_to is None else min(up_to, self._head)
        supposed = [
            record
            for record in self._supposed
            if after < record.sequence and (up_to is None or record.sequence <= up_to)
        ]
        return [*await self._state.records(after=after, up_to=last), *supposed]
