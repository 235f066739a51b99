"""Distinct customers of each day."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kpi.aggregation.calendar import Days
from kpi.kernels.arrays import Int64s, Positions
from kpi.kernels.duplicates import one_of_each, shares
from kpi.kernels.fixed_point import counts
from kpi.kernels.keys import BLOCK_KEYS, Keys
from kpi.kernels.sorting import Apply


def customers(day: Days, users: Keys, size: int, apply: Apply) -> Int64s:
    """Distinct customers of each day, from the days of orders, 0 to `size`, and who ordered."""

    def count(days: slice) -> Int64s:
        # Not sorted by day first: that would take half the memory of the users.
        rows = np.flatnonzero((day >= days.start) & (day < days.stop))
        return counts(day[_one_of_each_customer(rows, day, users)], size)

    blocks = _blocks(counts(day, size))
    return sum(apply(count, blocks), np.zeros(size, np.int64))


def _one_of_each_customer(rows: Positions, day: Days, users: Keys) -> Positions:
    """Of some orders one for each customer and day."""

    def once(some: Positions) -> Positions:
        keys = users.take(some)
        halves = [keys.high] if keys.low is None else [keys.high, keys.low]
        return some[one_of_each(day[some], *halves)]

    if len(rows) < 2 * BLOCK_KEYS:
        return once(rows)
    # A day of millions. What is left of its parts has few orders of any customer, so that shares of
    # the customers are of about one size.
    parts = [rows[at : at + BLOCK_KEYS] for at in range(0, len(rows), BLOCK_KEYS)]
    left = np.concatenate([once(part) for part in parts])
    count = len(left) // BLOCK_KEYS + 1
    share = shares(users.high[left], count)
    by_share = left[np.argsort(share.astype(np.uint16), kind="stable")]
    edges = np.cumsum(np.bincount(share.astype(np.int64), minlength=count))
    return np.concatenate([once(part) for part in np.split(by_share, edges[:-1])])


def _blocks(sizes: Int64s) -> Iterator[slice]:
    """Slices of neighbours whose sizes, none of them zero, come to about `BLOCK_KEYS`."""
    start, total = 0, 0
    for at, size in enumerate(sizes.tolist()):
        total += size
        if total >= BLOCK_KEYS:
            yield slice(start, at + 1)
            start, total = at + 1, 0
    if total:
        yield slice(start, len(sizes))
