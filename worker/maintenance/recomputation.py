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
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.shop.transform import ShopDays, open_context
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
        return {name: rows_by_day(table) for name, table in computed.items()}, {}


class ShopRecomputation:
    """KPI rows of some days of a contract of language 2."""

    def __init__(self, loader: ShopDays) -> None:
        self._loader = loader

    @classmethod
    async def of(
        cls, snapshot: ShopSnapshot, days: Days, tables: frozenset[str]
    ) -> ShopRecomputation:
        return cls(await ShopDays.plan(open_context(snapshot, tables), days))

    @property
    def batches(self) -> list[Days]:
        return self._loader.batches

    async def rows(
        self, days: Days
    ) -> tuple[dict[str, dict[date, list[Row]]], dict[date, KpiError]]:
        """Return the rows of each table by day, as stores do, and the days that have none."""
        tables = self._loader.context.tables
        found: dict[str, dict[date, list[Row]]] = {name: {} for name in tables}
        if not len(days):
            return found, {}
        try:
            loaded = await self._loader.load(days)
            rows_of = self._loader.compute(loaded, days)
        except KpiError as error:
            if len(days) == 1:
                return found, {to_date(days[0]): error}
            half = len(days) // 2
            rows, failed = await self.rows(days[:half])
            more_rows, more_failed = await self.rows(days[half:])
            return {name: rows[name] | more_rows[name] for name in tables}, failed | more_failed
        for day in map(to_date, days.tolist()):
            for name, rows_of_day in rows_of(day).items():
                if rows_of_day:
                    found[name][day] = [stored_row(KPI_TABLES[name], row) for row in rows_of_day]
        return found, {}
