"""Recompute the KPIs of some days from the clean zone, by the code that transforms run."""

from __future__ import annotations

from datetime import date

from kpi.aggregation.calendar import Days, to_date
from kpi.aggregation.products import Products
from kpi.aggregation.tables import KPI_TABLES
from kpi.errors import KpiError
from worker.state import Row
from worker.state.kpi_rows import stored_row
from worker.transform.day_batches import plan_batches
from worker.transform.day_loader import (
    LoadContext,
    Observed,
    kpi_tables,
    latest_products,
    load_days,
)
from worker.transform.latest_versions import LatestVersions
from worker.transform.publish import rows_by_day
from worker.transform.shop_state import ShopState
from worker.transform.shop_transform import rows_of_day
from worker.transform.snapshot import Snapshot


class Recomputation:
    """KPI rows of some days, computed from a snapshot."""

    def __init__(self, context: LoadContext) -> None:
        self._context = context

    @classmethod
    async def of(cls, snapshot: Snapshot, days: Days, tables: frozenset[str]) -> Recomputation:
        return cls(
            LoadContext(
                snapshot=snapshot,
                products=Products(*await latest_products(snapshot.products)),
                order_versions=LatestVersions(snapshot.orders),
                item_versions=LatestVersions(snapshot.items),
                tables=tables,
                observed=Observed(),
                plan=await plan_batches(days, snapshot),
            )
        )

    @property
    def batches(self) -> list[Days]:
        return self._context.plan.batches

    async def rows(
        self, days: Days
    ) -> tuple[dict[str, dict[date, list[Row]]], dict[date, KpiError]]:
        """Return the rows of each table by day, and the days that cannot be computed."""
        tables = self._context.tables
        if not len(days):
            return {name: {} for name in tables}, {}
        try:
            day_slice = await load_days(days, self._context)
            computed = kpi_tables(day_slice, tables)
        except KpiError as error:
            if len(days) == 1:
                return {name: {} for name in tables}, {to_date(days[0]): error}
            half = len(days) // 2
            rows, failed = await self.rows(days[:half])
            more_rows, more_failed = await self.rows(days[half:])
            return {name: rows[name] | more_rows[name] for name in tables}, failed | more_failed
        return {name: rows_by_day(name, table) for name, table in computed.items()}, {}


class ShopRecomputation:
    """KPI rows of some days of a contract of language 2."""

    def __init__(self, state: ShopState, days: Days, tables: frozenset[str]) -> None:
        self._state = state
        self._tables = tables
        self.batches = [days] if len(days) else []

    async def rows(
        self, days: Days
    ) -> tuple[dict[str, dict[date, list[Row]]], dict[date, KpiError]]:
        """Return the rows of each table by day, as stores return them."""
        found: dict[str, dict[date, list[Row]]] = {name: {} for name in self._tables}
        for day in map(to_date, days.tolist()):
            for name, rows in rows_of_day(self._state.kpis, day, self._tables).items():
                if rows:
                    found[name][day] = [stored_row(KPI_TABLES[name], row) for row in rows]
        return found, {}
