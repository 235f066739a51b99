"""Compute days and publish them: each whole, and only where no newer state is there."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, to_date, to_day
from kpi.aggregation.day_slice import DaySlice
from kpi.aggregation.products import Products
from kpi.aggregation.tables import KPI_TABLES
from kpi.errors import KpiError
from kpi.kernels.fixed_point import run_starts
from worker.runtime import allocator
from worker.state import DayKpis, Outcome, Row
from worker.transform.day_batches import plan_batches
from worker.transform.day_loader import (
    LoadContext,
    Observed,
    kpi_tables,
    latest_products,
    load_days,
)
from worker.transform.pending_work import PendingWork
from worker.transform.task import TransformTask

CONCURRENT_PUBLICATIONS = 16
"""Days published at once."""

REPORTED_DAYS = 10
"""Days that an error names."""


class Contended(Exception):
    """A newer writer has begun a day and not ended it."""


@dataclass
class Published:
    """Days published so far, and the number of rows of each table."""

    days: list[date] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


async def publish_days(task: TransformTask, work: PendingWork, observed: Observed) -> Published:
    """Compute and publish the pending days, batch by batch.

    A day that cannot be computed (an amount exceeds 64 bits) stays as it was, and holds no other
    day back.

    Raises:
        Contended: A newer writer has begun a day and not ended it.
        KpiError: Some days cannot be computed; all others are published.
        ConfigError, SourceError, StoreError: As `worker.transform.transform`.
    """
    published = Published(rows=dict.fromkeys(sorted(task.tables), 0))
    if len(work.days) == 0:
        return published
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
    )
    await _Pipeline(task, work, context, published).run()
    return published


class _Pipeline:
    """Batches of days on their way: the next one is loaded while one is published."""

    def __init__(
        self, task: TransformTask, work: PendingWork, context: LoadContext, published: Published
    ) -> None:
        self._task = task
        self._work = work
        self._context = context
        self._published = published
        self._todo: deque[Days] = deque(context.plan.batches)
        self._done_days = 0
        self._failed: list[str] = []

    async def run(self) -> None:
        """Load and publish all batches; see `publish_days` for what is raised."""
        finishing: asyncio.Task[None] | None = None
        try:
            while self._todo or finishing is not None:
                if not self._todo and finishing is not None:
                    await finishing  # may have put parts of its batch back
                    finishing = None
                    continue
                days = self._todo.popleft()
                day_slice = await self._load(days)
                if day_slice is None:
                    continue
                if finishing is not None:
                    await finishing
                order_days = set(self._context.observed.order_days)
                finishing = asyncio.create_task(self._finish(days, day_slice, order_days))
                if len(day_slice) > 2 * self._task.limits.batch_orders:
                    await finishing  # there is no memory for another one beside it
                del day_slice
        finally:
            if finishing is not None:
                finishing.cancel()
                await asyncio.gather(finishing, return_exceptions=True)
        if self._failed:
            shown = sorted(self._failed)[:REPORTED_DAYS]
            more = len(self._failed) - len(shown)
            named = "; ".join(shown) + (f", and {more} days more" if more else "")
            raise KpiError(
                f"{named}. All other days are published. Rows with wrong amounts can be uploaded "
                "again with the right ones"
            )

    async def _load(self, days: Days) -> DaySlice | None:
        """Load a batch; None where it cannot be computed and was bisected."""
        try:
            return await load_days(days, self._context)
        except KpiError as error:
            self._bisect(days, error)
            return None

    async def _finish(self, days: Days, day_slice: DaySlice, order_days: set[int]) -> None:
        try:
            tables = await asyncio.to_thread(kpi_tables, day_slice, self._task.tables)
        except KpiError as error:
            self._bisect(days, error)
            return
        await self._publish(days, tables, order_days)
        self._done_days += len(days)
        if self._task.progress:
            self._task.progress(self._done_days, len(self._work.days))

    def _bisect(self, days: Days, error: KpiError) -> None:
        """Put both halves of a batch back, to find the days that cannot be computed."""
        if len(days) == 1:
            self._failed.append(f"{to_date(days[0])}: {error}")
        else:
            half = len(days) // 2
            self._todo.extend((days[:half], days[half:]))

    async def _publish(self, days: Days, tables: dict[str, pa.Table], order_days: set[int]) -> None:
        """Publish the rows of a batch.

        Args:
            days: Days of the batch.
            tables: KPI tables of these days.
            order_days: Days that any version of an order is on.
        """
        slots = asyncio.Semaphore(CONCURRENT_PUBLICATIONS)
        by_day = {name: split_by_day(table) for name, table in tables.items()}

        async def publish(order_date: date) -> Outcome:
            async with slots:
                # Only of days that are being published: as dictionaries, rows take the most memory.
                rows = {
                    name: to_rows(name, days[order_date]) if order_date in days else []
                    for name, days in by_day.items()
                }
                day = DayKpis(order_date=order_date, tables=rows)
                outcome = await self._task.state.publish(day, self._work.head)
                self._published.days.append(order_date)
                for name, of_table in rows.items():
                    self._published.rows[name] += len(of_table)
            return outcome

        # Days that never had an order may be millions: one order of the year 1 is enough. A day
        # with any version of an order gets its guard even where no row is left of it. Otherwise a
        # late writer of an older state could publish that version.
        known = {to_day(day) for day in self._work.begun} | order_days
        known.update(self._work.vacated_days.tolist())
        due = np.intersect1d(days, np.array(sorted(known), np.int32), assume_unique=True)
        outcomes = await asyncio.gather(*(publish(to_date(day)) for day in due))
        self._published.days.sort()
        if Outcome.CONTENDED in outcomes:
            raise Contended


def split_by_day(table: pa.Table) -> dict[date, pa.Table]:
    """Slice a KPI table, whose rows are in the order of days, by day."""
    days = table.column("order_date").cast(pa.int32()).to_numpy()
    edges = [*np.flatnonzero(run_starts(days)).tolist(), len(days)]
    return {to_date(days[start]): table.slice(start, end - start) for start, end in pairwise(edges)}


def to_rows(name: str, table: pa.Table) -> list[Row]:
    """Convert rows of a KPI table to the form that stores take."""
    names = list(KPI_TABLES[name].attributes)
    columns = [table.column(attribute).to_pylist() for attribute in names]
    rows: list[Row] = []
    for values in zip(*columns, strict=True):
        row: dict[str, Any] = dict(zip(names, values, strict=True))
        row["order_date"] = row["order_date"].isoformat()
        rows.append(row)
    return rows


def rows_by_day(name: str, table: pa.Table) -> dict[date, list[Row]]:
    """Group the rows of a KPI table by day, in the form that stores take."""
    return {day: to_rows(name, rows) for day, rows in split_by_day(table).items()}
