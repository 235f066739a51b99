"""Split days into batches: as few as memory allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kpi.aggregation.calendar import Days, day_of
from worker.clean.value_clusters import ValueCluster
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup, intervals_of
from worker.transform.day_ranges import instants
from worker.transform.snapshot import Snapshot

SAMPLE_ROW_GROUPS = 16
"""Row groups of orders, about, by which `are_scattered` decides."""

SCATTERED_FRACTION = 0.25
"""Share of all items that may belong to the orders of one row group where ids are scattered."""


@dataclass(frozen=True, kw_only=True)
class DayBatches:
    """Days split into batches that are computed one after the other.

    Attributes:
        batches: Ascending days of each batch; a day is never split.
        scattered: Whether items of one day's orders may be in any row group.
    """

    batches: list[Days]
    scattered: bool


async def plan_batches(days: Days, snapshot: Snapshot) -> DayBatches:
    """Split ascending days by the number of their orders, estimated from row group bounds.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    if len(days) == 0:
        return DayBatches(batches=[], scattered=False)
    limits = snapshot.orders.limits
    on_days = instants(days, snapshot.contract.business_time_zone)
    orders = await snapshot.orders.row_groups_intersecting("created_at", on_days)
    few = snapshot.items.has_index and sum(one.rows for one in orders) <= limits.lookup_points
    scattered = not few and await are_scattered(snapshot.items, orders)
    limit = limits.scattered_batch_orders if scattered else limits.batch_orders
    low, high = int(days[0]), int(days[-1])
    total = np.cumsum(_estimate_orders(orders, low, high)[days - low])
    # Few and of one size: each may have to read everything.
    count = max(math.ceil(total[-1] / limit - 0.1), 1)
    number = np.maximum(np.ceil(total * count / total[-1]), 1) if total[-1] else total
    batches = np.split(days, np.flatnonzero(np.diff(number)) + 1)
    return DayBatches(batches=[one for one in batches if len(one)], scattered=scattered)


def _estimate_orders(orders: list[RowGroup], low: int, high: int) -> npt.NDArray[np.float64]:
    """Estimate the orders of each day from `low` to `high`, spread evenly over each interval.

    Returns:
        Orders of each day, and one element more.
    """
    estimate = np.zeros(high - low + 2)
    for group in orders:
        bounds = group.bounds.get("created_at")
        if bounds is None:
            estimate += group.rows / len(estimate)
            continue
        whole = [ValueCluster(int(bounds.low), int(bounds.high), group.rows)]
        for cluster in group.clusters.get("created_at", whole):
            first, last = day_of(cluster.low), day_of(cluster.high)
            start, end = max(first - low, 0), min(last - low, high - low)
            if start <= end:
                estimate[start : end + 1] += cluster.rows / (last - first + 1)
    return estimate


async def are_scattered(items: Catalog, orders: list[RowGroup]) -> bool:
    """Decide by a sample of row groups whether a batch has to read every item."""
    sample = orders[:: len(orders) // SAMPLE_ROW_GROUPS + 1]
    item_rows = 0
    for group in sample:
        ids = intervals_of([group], "order_id")
        item_rows += sum(one.rows for one in await items.row_groups_intersecting("order_id", ids))
    return item_rows > SCATTERED_FRACTION * len(sample) * items.rows
