"""Compute days and publish them: each whole, and only where no newer state is there."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, to_date, to_day
from kpi.aggregation.day_slice import DaySlice
from kpi.aggregation.products import Products
from kpi.aggregation.slice_sums import sums_of_slice
from kpi.kernels.fixed_point import run_starts
from worker.runtime import allocator
from worker.state import Row
from worker.transform.day_batches import plan_batches
from worker.transform.day_loader import (
    LoadContext,
    Observed,
    kpi_tables,
    latest_products,
    load_days,
)
from worker.transform.day_pipeline import DayPipeline, Published, RowsOfDay
from worker.transform.kept_sums import KeptSums
from worker.transform.order_sums import scheme_of
from worker.transform.pending_work import PendingWork
from worker.transform.task import TransformTask


async def publish_days(
    task: TransformTask,
    work: PendingWork,
    observed: Observed,
    kept: KeptSums,
    published: Published,
) -> None:
    """Compute and publish the pending days, batch by batch.

    A day that cannot be computed (an amount exceeds 64 bits) stays as it was, and holds no other
    day back.

    Args:
        task: What to bring up to date.
        work: Its days.
        observed: Collects what is seen of the clean files.
        kept: Collects sums of days with many orders.
        published: Collects what was published.

    Raises:
        Contended: A newer writer has begun a day and not ended it.
        KpiError: Some days cannot be computed; all others are published.
        ConfigError, SourceError, StoreError: As `worker.transform.transform`.
    """
    if len(work.days) == 0:
        return
    snapshot = work.snapshot
    products = Products(*await latest_products(snapshot.products))
    plan = await plan_batches(work.days, snapshot)
    if plan.scattered:
        # Each batch will need all of them; here they are resolved while little else is held.
        await work.item_versions.resolve(await snapshot.items.row_groups())
        allocator.give_back()
    context = LoadContext(
        snapshot=snapshot,
        products=products,
        order_versions=work.order_versions,
        item_versions=work.item_versions,
        tables=task.tables,
        observed=observed,
        plan=plan,
        kept=kept,
    )
    # Days that never had an order may be millions: one order of the year 1 is enough. A day with
    # any version of an order gets its guard even where no row is left of it. Otherwise a late
    # writer of an older state could publish that version.
    known = {to_day(day) for day in work.begun} | set(work.vacated_days.tolist())
    pipeline = DayPipeline(task, work.head, _DaySlices(context), known, published)
    await pipeline.run()


class _DaySlices:
    """Loads batches of days of the snapshot of a transform; see `DayLoader`."""

    def __init__(self, context: LoadContext) -> None:
        self._context = context
        self.batches = context.plan.batches

    @property
    def order_days(self) -> set[int]:
        return self._context.observed.order_days

    async def load(self, days: Days) -> DaySlice:
        return await load_days(days, self._context)

    def compute(self, loaded: DaySlice, days: Days) -> RowsOfDay:
        del days  # those of the slice
        tables = kpi_tables(loaded, self._context.tables)
        keep_days(self._context.kept, loaded, self._context.tables)
        by_day = {name: split_by_day(table) for name, table in tables.items()}

        # Only of a day that is being published: as dictionaries, rows take the most memory.
        def rows(day: date) -> dict[str, list[Row]]:
            return {
                name: to_rows(of_days[day]) if day in of_days else []
                for name, of_days in by_day.items()
            }

        return rows


def keep_days(kept: KeptSums, day_slice: DaySlice, tables: frozenset[str]) -> None:
    """Keep the sums of those days whose customers are kept."""
    if not kept.customers:
        return
    wanted = np.array(sorted(kept.customers), np.int32)
    found = sums_of_slice(scheme_of(tables), day_slice, wanted)
    orders = day_slice.order_totals()
    for day, count in zip(orders.days.tolist(), orders.customers.tolist(), strict=True):
        if day in found:
            kept.sums[day] = found[day], count


def split_by_day(table: pa.Table) -> dict[date, pa.Table]:
    """Slice a KPI table, whose rows are in the order of days, by day."""
    days = table.column("order_date").cast(pa.int32()).to_numpy()
    edges = [*np.flatnonzero(run_starts(days)).tolist(), len(days)]
    return {to_date(days[start]): table.slice(start, end - start) for start, end in pairwise(edges)}


def to_rows(table: pa.Table) -> list[Row]:
    """Convert rows of a KPI table to the form that stores take, without what is unknown."""
    names = table.column_names
    columns = [table.column(attribute).to_pylist() for attribute in names]
    rows: list[Row] = []
    for values in zip(*columns, strict=True):
        named = zip(names, values, strict=True)
        row: dict[str, Any] = {name: value for name, value in named if value is not None}
        row["order_date"] = row["order_date"].isoformat()
        rows.append(row)
    return rows


def rows_by_day(table: pa.Table) -> dict[date, list[Row]]:
    """Group the rows of a KPI table by day, in the form that stores take."""
    return {day: to_rows(rows) for day, rows in split_by_day(table).items()}
