"""Count orders of which a later file has another day, as where numbers begin anew in each file."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from kpi.kernels.arrays import Int64s
from kpi.mapping.clean_rows import DAY
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.transform.clean_files import RowGroup
from worker.transform.shop.versions import ShopVersions

MOVED_ORDERS = "moved_orders"
"""Note of a report."""

MAX_COMPARED_GROUPS = 1_000
"""Row groups whose days are read, some 64 MiB: of a shop of more pairs the count is a part."""


async def count_moved_orders(orders: ShopVersions, sources: Collection[str]) -> int:
    """Count the orders that rows of some source objects moved to another day.

    Args:
        orders: Versions of orders, resolved.
        sources: Source objects whose rows took the place of others.

    Raises:
        SourceError: A clean file cannot be read.
    """
    if not orders.has_days:
        return 0
    found = [one for one in orders.replacements if one.new.file.source_id in sources]
    wanted = list(dict.fromkeys(group for one in found for group in (one.old, one.new)))
    wanted = wanted[:MAX_COMPARED_GROUPS]
    days = dict(zip(wanted, await each(wanted, _days, CONCURRENT_READS), strict=True))
    moved: set[tuple[RowGroup, int]] = set()
    for one in found:
        if one.old in days and one.new in days:
            other = days[one.old][one.old_rows] != days[one.new][one.new_rows]
            # An order of several rows is one order: its latest row tells which.
            moved.update((one.new, row) for row in np.unique(one.new_rows[other]).tolist())
    return len(moved)


async def _days(group: RowGroup) -> Int64s:
    """Read the days of a row group; those of rows without one are -1."""
    table = await group.file.read([group], [DAY])
    days: Int64s = table.column(DAY).fill_null(-1).to_numpy().astype(np.int64)
    return days
