"""Days computed and published: each whole, and only where no newer state is there."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, to_date, to_day
from kpi.aggregation.day_slice import DaySlice, Products
from kpi.aggregation.tables import KPI_TABLES
from kpi.errors import KpiError
from worker.runtime import allocator
from worker.state import DayKpis, Outcome, Row
from worker.transform.day_batches import ORDERS_AT_ONCE, Cut, cut
from worker.transform.day_loader import Seen, kpis, latest_products, load
from worker.transform.pending_work import Task, Work

PUBLISH_AT_ONCE = 16
"""Days published concurrently."""


FAILED_SHOWN = 10
"""Days that an error names."""


class Contended(Exception):  # noqa: N818
    """A newer writer has begun a day and not ended it."""


@dataclass
class Published:
    """Days published so far, and rows by table."""

    days: list[date] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


async def publish_days(task: Task, work: Work, seen: Seen) -> Published:
    """Compute and publish the days of `work`, slice by slice.

    A day that cannot be computed (its amounts exceed 64 bits) stays as it was and keeps no other
    day back.

    Errors: `Contended`; `KpiError` that names such days, once all others are published; as
        `worker.transform.transform`.
    """
    published = Published(rows=dict.fromkeys(sorted(task.tables), 0))
    if len(work.days) == 0:
        return published
    zone = work.zone
    products = Products(*await latest_products(zone.products))
    plan = await cut(work.days, zone)
    if plan.scattered:
        # Each slice will ask for all of them; here they are read while little else is held.
        await work.versions[1].judge(await zone.items.row_groups())
        allocator.give_back()
    await _Slices(task, work, seen, products, published, plan).publish()
    return published


class _Slices:
    """Slices of days on their way: while one is being published the next is read."""

    def __init__(
        self,
        task: Task,
        work: Work,
        seen: Seen,
        products: Products,
        published: Published,
        plan: Cut,
    ) -> None:
        self._task = task
        self._work = work
        self._seen = seen
        self._products = products
        self._published = published
        self._plan = plan
        self._todo: deque[Days] = deque(plan.slices)
        self._done = 0
        self._failed: list[str] = []

    async def publish(self) -> None:
        """Errors: as `publish_days`."""
        finishing: asyncio.Task[None] | None = None
        try:
            while self._todo or finishing is not None:
                if not self._todo and finishing is not None:
                    await finishing  # it may have found days to be set apart
                    finishing = None
                    continue
                days = self._todo.popleft()
                day_slice = await self._load(days)
                if day_slice is None:
                    continue
                if finishing is not None:
                    await finishing
                finishing = asyncio.create_task(
                    self._finish(days, day_slice, set(self._seen.stood))
                )
                if len(day_slice) > 2 * ORDERS_AT_ONCE:
                    await finishing  # there is no memory for another one beside it
                del day_slice
        finally:
            if finishing is not None:
                finishing.cancel()
                await asyncio.gather(finishing, return_exceptions=True)
        if self._failed:
            shown = sorted(self._failed)[:FAILED_SHOWN]
            more = len(self._failed) - len(shown)
            named = "; ".join(shown) + (f", and {more} days more" if more else "")
            raise KpiError(
                f"{named}. All other days are published. Rows with wrong amounts can be uploaded "
                "again with the right ones"
            )

    async def _load(self, days: Days) -> DaySlice | None:
        """A slice with its orders and items; None where it had to be set apart."""
        try:
            return await load(
                days,
                self._work.zone,
                self._products,
                *self._work.versions,
                self._task.tables,
                self._seen,
                self._plan,
            )
        except KpiError as error:
            self._set_apart(days, error)
            return None

    async def _finish(self, days: Days, day_slice: DaySlice, stood: set[int]) -> None:
        try:
            tables = await asyncio.to_thread(kpis, day_slice, self._task.tables)
        except KpiError as error:
            self._set_apart(days, error)
            return
        await _publish(self._task, days, tables, self._work, self._published, stood)
        self._done += len(days)
        if self._task.progress:
            self._task.progress(self._done, len(self._work.days))

    def _set_apart(self, days: Days, error: KpiError) -> None:
        """Find out which of some days it is that cannot be computed."""
        if len(days) == 1:
            self._failed.append(f"{to_date(days[0])}: {error}")
        else:
            half = len(days) // 2
            self._todo.extend((days[:half], days[half:]))


async def _publish(
    task: Task,
    days: Days,
    tables: dict[str, pa.Table],
    work: Work,
    published: Published,
    stood: set[int],
) -> None:
    slots = asyncio.Semaphore(PUBLISH_AT_ONCE)
    split = {name: rows_by_day(name, table) for name, table in tables.items()}

    async def one(order_date: date) -> Outcome:
        rows = {name: of_day.get(order_date, []) for name, of_day in split.items()}
        async with slots:
            outcome = await task.state.publish(
                DayKpis(order_date=order_date, tables=rows), work.head
            )
        published.days.append(order_date)
        for name, of_table in rows.items():
            published.rows[name] += len(of_table)
        return outcome

    # Days between others that have never had an order may be millions: one of the year 1. A
    # day that some version of an order stands on gets its guard even where no row is left of
    # it: else a late writer of an older state could publish that version.
    known = {to_day(day) for day in work.begun} | stood
    due = np.intersect1d(days, np.array(sorted(known), np.int32), assume_unique=True)
    outcomes = await asyncio.gather(*(one(to_date(day)) for day in due))
    published.days.sort()
    if Outcome.CONTENDED in outcomes:
        raise Contended


def rows_by_day(name: str, table: pa.Table) -> dict[date, list[Row]]:
    """Rows of a KPI table by their day, as the stores take them."""
    days: dict[date, list[Row]] = {}
    names = list(KPI_TABLES[name].attributes)
    columns = [table.column(attribute).to_pylist() for attribute in names]
    for values in zip(*columns, strict=True):
        row: dict[str, Any] = dict(zip(names, values, strict=True))
        day = row["order_date"]
        row["order_date"] = day.isoformat()
        days.setdefault(day, []).append(row)
    return days
