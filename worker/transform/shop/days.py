"""Days of a shop: those that may have rows, and batches of them that fit memory."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.aggregation.calendar import NO_DAYS, Days, distinct_days
from kpi.contract.shop import AS_WRITTEN, Shop
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from kpi.kernels.time_zones import to_local
from kpi.mapping.clean_rows import DATED, DAY
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.state.entry import Interval
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup, batch_row_groups
from worker.transform.day_batches import are_scattered
from worker.transform.intervals import IntervalSet
from worker.transform.shop.snapshot import ShopSnapshot

TYPICAL_LINES = 2.5
"""Lines of an order that the limits of a batch are made for."""


def day_intervals(days: Days) -> IntervalSet:
    """Return the intervals of some ascending days."""
    runs = np.split(days, np.flatnonzero(np.diff(days) > 1) + 1)
    return IntervalSet(Interval(low=int(run[0]), high=int(run[-1])) for run in runs if len(run))


async def days_of_files(catalog: Catalog) -> Days:
    """Return the days of every row in some files, whatever its version.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    if DAY not in catalog.dataset.columns:
        return NO_DAYS

    async def read(batch: list[RowGroup]) -> Days:
        table = await batch[0].file.read(batch, [DAY])
        return days_of(table)

    batches = batch_row_groups(await catalog.row_groups(), catalog.limits.read_rows)
    found = await each(batches, read, CONCURRENT_READS)
    return np.unique(np.concatenate([NO_DAYS, *found])).astype(np.int32)


def days_of(table: pa.Table) -> Days:
    """Return the distinct days of some rows."""
    return distinct_days(table.column(DAY).drop_null().to_numpy().astype(np.int32))


async def days_of_versions(snapshot: ShopSnapshot) -> Days:
    """Return the days of every version of every order and refund, those that do not count too.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    found = [NO_DAYS]
    for name, dataset in snapshot.shop.datasets.items():
        if name not in DATED:
            continue
        found.append(await days_of_files(snapshot.catalogs[name].with_uncounted()))
        column = dataset.columns.get(DATED[name])
        while column is not None and column.via:
            step = column.via[-1]
            catalog = snapshot.catalogs[step.reference].with_uncounted()
            column = snapshot.shop.all_datasets[step.reference].columns[step.column]
            if not column.via:
                found.append(await _days_of_times(catalog, column.name, snapshot.shop))
    return np.unique(np.concatenate(found)).astype(np.int32)


async def _days_of_times(catalog: Catalog, column: str, shop: Shop) -> Days:
    """Return the days of the times that a reference has in a column."""
    found = [NO_DAYS]
    for batch in batch_row_groups(await catalog.row_groups(), catalog.limits.read_rows):
        times = (await batch[0].file.read(batch, [column])).column(column).drop_null()
        instants = times.cast(pa.int64()).to_numpy()
        if shop.day != AS_WRITTEN:
            instants = to_local(instants, shop.day)
        found.append(distinct_days((instants // MICROSECONDS_PER_DAY).astype(np.int32)))
    return np.concatenate(found)


async def plan_batches(days: Days, snapshot: ShopSnapshot) -> tuple[list[Days], bool]:
    """Split ascending days by the number of their orders, estimated from row group bounds.

    Returns:
        Ascending days of each batch, and whether lines of one day may be in any row group.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    if not len(days):
        return [], False
    limits, orders = snapshot.limits, snapshot.catalogs["orders"]
    groups = await orders.row_groups_intersecting(DAY, day_intervals(days))
    items = snapshot.catalogs.get("order_items")
    few = orders.has_index and sum(group.rows for group in groups) <= limits.lookup_points
    scattered = items is not None and not few and await are_scattered(items, groups)
    limit = limits.shop_scattered_batch_orders if scattered else limits.shop_batch_orders
    if items is not None:
        lines = items.rows / max(orders.rows, 1)
        limit = int(limit * (1 + TYPICAL_LINES) / (1 + max(lines, TYPICAL_LINES)))
    low, high = int(days[0]), int(days[-1])
    total = np.cumsum(_estimate_orders(groups, low, high)[days - low])
    count = max(math.ceil(total[-1] / max(limit, 1) - 0.1), 1)
    number = np.maximum(np.ceil(total * count / total[-1]), 1) if total[-1] else total
    batches = np.split(days, np.flatnonzero(np.diff(number)) + 1)
    return [one for one in batches if len(one)], scattered and len(batches) > 1


def _estimate_orders(groups: list[RowGroup], low: int, high: int) -> npt.NDArray[np.float64]:
    """Estimate the orders of each day from `low` to `high`, spread evenly over each row group."""
    estimate = np.zeros(high - low + 1)
    for group in groups:
        bounds = group.bounds.get(DAY)
        if bounds is None:
            estimate += group.rows / len(estimate)
            continue
        first, last = int(bounds.low), int(bounds.high)
        start, end = max(first - low, 0), min(last - low, high - low)
        if start <= end:
            estimate[start : end + 1] += group.rows / (last - first + 1)
    return estimate
