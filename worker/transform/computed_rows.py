"""Compute KPI rows of some days of a snapshot, without publishing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import date

from kpi.aggregation.calendar import Days, to_date
from kpi.aggregation.products import Products
from kpi.aggregation.tables import KPI_TABLES
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

RowsByPlace = Mapping[tuple[date, str], Row]
"""Rows of one KPI table, by day and group; the group is empty where the table has none."""


async def computed_rows(
    snapshot: Snapshot | ShopSnapshot,
    days: Days,
    tables: frozenset[str],
    products: Products | None = None,
) -> AsyncIterator[tuple[Days, dict[str, RowsByPlace]]]:
    """Compute the rows of some ascending days, as a transform would publish them.

    Args:
        snapshot: The clean zone.
        days: Days since 1970-01-01.
        tables: KPI tables wanted.
        products: Latest version of every product that matters; None to read all of them. Only
            contracts of language 1 ask for it.

    Yields:
        Some of the days, and KPI table -> their rows, without `as_of`.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
        KpiError: An amount exceeds 64 bits.
    """
    if isinstance(snapshot, ShopSnapshot):
        loader = await ShopDays.plan(open_context(snapshot, tables), days)
        for batch in loader.batches:
            loaded = await loader.load(batch)
            rows_of = await asyncio.to_thread(loader.compute, loaded, batch)
            by_day = {day: rows_of(day) for day in map(to_date, batch.tolist())}
            yield (
                batch,
                {
                    name: {
                        (day, group_of(name, row)): stored_row(KPI_TABLES[name], row)
                        for day, rows in by_day.items()
                        for row in rows[name]
                    }
                    for name in sorted(tables)
                },
            )
        return
    context = LoadContext(
        snapshot=snapshot,
        products=products or Products(*await latest_products(snapshot.products)),
        order_versions=LatestVersions(snapshot.orders),
        item_versions=LatestVersions(snapshot.items),
        tables=tables,
        observed=Observed(),
        plan=await plan_batches(days, snapshot),
    )
    for batch in context.plan.batches:
        day_slice = await load_days(batch, context)
        computed = await asyncio.to_thread(kpi_tables, day_slice, tables)
        yield (
            batch,
            {
                name: {
                    (day, group_of(name, row)): row
                    for day, rows in rows_by_day(table).items()
                    for row in rows
                }
                for name, table in computed.items()
            },
        )


def group_of(table: str, row: Row) -> str:
    """Return the category or product of a row; empty where its table has one row a day."""
    key = KPI_TABLES[table].group_key
    return str(row[key]) if key else ""
