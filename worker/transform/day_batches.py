"""How days are cut into slices: as few as the memory allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kpi.aggregation.calendar import Days, day_of
from worker.clean.value_clusters import ValueCluster
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup
from worker.transform.day_ranges import instants
from worker.transform.intervals import Spans
from worker.transform.snapshot import Zone

ORDERS_AT_ONCE = 500_000
"""Orders of a slice: about 50 MB with what is kept of their items."""

SCATTERED_AT_ONCE = 4_000_000
"""Orders of a slice where each slice has to read all items, as ids in random order make it: about
40 bytes each and 4 for each of their items."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How some days are computed.

    Attributes:
        slices: The days, in parts for which there is memory (a day is never cut).
        scattered: Whether the items of orders that stand together may be in any row group.
    """

    slices: list[Days]
    scattered: bool


async def cut(days: Days, zone: Zone) -> Cut:
    """Cut ascending days into slices. Errors: as `Piece.row_groups`."""
    if len(days) == 0:
        return Cut(slices=[], scattered=False)
    orders = await zone.orders.overlapping("created_at", instants(days))
    scattered = await _are_scattered(zone.items, orders)
    limit = SCATTERED_AT_ONCE if scattered else ORDERS_AT_ONCE
    low, high = int(days[0]), int(days[-1])
    estimate = np.zeros(high - low + 2)
    for group in orders:
        found = group.ranges.get("created_at")
        whole = [] if found is None else [ValueCluster(int(found.low), int(found.high), group.rows)]
        for cluster in group.clusters.get("created_at", whole):
            first, last = day_of(cluster.low), day_of(cluster.high)
            start, end = max(first - low, 0), min(last - low, high - low)
            if start <= end:
                estimate[start : end + 1] += cluster.rows / (last - first + 1)
        if found is None:
            estimate += group.rows / len(estimate)
    total = np.cumsum(estimate[days - low])
    # As few as the memory allows, and alike: each may have to read everything.
    slices = max(math.ceil(total[-1] / limit - 0.1), 1)
    number = np.maximum(np.ceil(total * slices / total[-1]), 1) if total[-1] else total
    parts = np.split(days, np.flatnonzero(np.diff(number)) + 1)
    return Cut(slices=[part for part in parts if len(part)], scattered=scattered)


async def _are_scattered(items: Catalog, orders: list[RowGroup]) -> bool:
    """See `Cut`; judged by some of the orders."""
    some = orders[:: len(orders) // 16 + 1]
    met = 0
    for group in some:
        near = await items.overlapping("order_id", Spans(group.spans("order_id")))
        met += sum(one.rows for one in near)
    return 4 * met > len(some) * items.rows
