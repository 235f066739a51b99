"""Preview a transform: the published rows that it would change, without writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from kpi.aggregation.calendar import Days, to_date
from kpi.aggregation.tables import KPI_TABLES
from worker.state import Record, Row, State, Value
from worker.state.contract_in_force import adopted_contract
from worker.state.supposed import SupposedState
from worker.transform.computed_rows import RowsByPlace, computed_rows, group_of
from worker.transform.pending_work import find_pending_work
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.shop.work import find_shop_work
from worker.transform.snapshot import Snapshot
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
        state=SupposedState(task.state, await task.state.head(), records),  # type: ignore[arg-type]
        tables=task.tables,
        limits=task.limits,
    )
    adopted = adopted_contract(await supposed.state.adoption(), task.contract)
    if adopted.shop is not None:
        shop_work = await find_shop_work(supposed)
        return [] if shop_work is None else await _changes(task, shop_work.snapshot, shop_work.days)
    work = await find_pending_work(supposed)
    return [] if work is None else await _changes(task, work.snapshot, work.days)


async def _changes(
    task: TransformTask, snapshot: Snapshot | ShopSnapshot, due: Days
) -> list[RowChange]:
    """Compare the published rows of some days with those that a snapshot gives."""
    changes: list[RowChange] = []
    async for days, computed in computed_rows(snapshot, due, task.tables):
        for name, after in computed.items():
            before = await _published(task.state, name, days)
            changes += differing_rows(name, before, after)
    return sorted(changes, key=lambda one: (one.table, one.order_date))


def differing_rows(name: str, before: RowsByPlace, after: RowsByPlace) -> list[RowChange]:
    """Return the rows of a KPI table that are not the same, ascending by day and group."""
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
            found[day, group_of(table, row)] = {
                name: value for name, value in row.items() if name != "as_of"
            }
    return found
