"""Count the distinct customers of each day."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kpi.aggregation.calendar import Days
from kpi.kernels.arrays import Int64s, Positions
from kpi.kernels.duplicates import assign_shares, mark_distinct
from kpi.kernels.fixed_point import counts
from kpi.kernels.keys import KEY_BLOCK_ROWS, Keys
from kpi.kernels.sorting import Execution


def count_customers(day: Days, users: Keys, size: int, execution: Execution) -> Int64s:
    """Count the distinct customers of each day.

    Args:
        day: Day of each order, from 0 to `size`.
        users: Customer of each order.
        size: Number of days; each has an order.
        execution: How to use the machine.
    """

    def count(days: slice) -> Int64s:
        # Orders are not sorted by day first: that would take half the memory of the users.
        rows = np.flatnonzero((day >= days.start) & (day < days.stop))
        return counts(day[_one_order_per_customer(rows, day, users)], size)

    blocks = _blocks_of_days(counts(day, size))
    return sum(execution.apply(count, blocks), np.zeros(size, np.int64))


def _one_order_per_customer(rows: Positions, day: Days, users: Keys) -> Positions:
    """Choose one of some orders for each customer and day."""

    def choose(some: Positions) -> Positions:
        keys = users.take(some)
        halves = [keys.high] if keys.low is None else [keys.high, keys.low]
        return some[mark_distinct(day[some], *halves)]

    if len(rows) < 2 * KEY_BLOCK_ROWS:
        return choose(rows)
    # A day of millions. What its parts leave has few orders of any customer, so shares of the
    # customers have about the same size.
    parts = [rows[at : at + KEY_BLOCK_ROWS] for at in range(0, len(rows), KEY_BLOCK_ROWS)]
    left = np.concatenate([choose(part) for part in parts])
    count = len(left) // KEY_BLOCK_ROWS + 1
    share = assign_shares(users.high[left], count)
    by_share = left[np.argsort(share.astype(np.uint16), kind="stable")]
    edges = np.cumsum(np.bincount(share.astype(np.int64), minlength=count))
    return np.concatenate([choose(part) for part in np.split(by_share, edges[:-1])])


def _blocks_of_days(orders: Int64s) -> Iterator[slice]:
    """Group neighbouring days into blocks of about `KEY_BLOCK_ROWS` orders.

    Args:
        orders: Orders of each day, none of them zero.
    """
    start, total = 0, 0
    for at, size in enumerate(orders.tolist()):
        total += size
        if total >= KEY_BLOCK_ROWS:
            yield slice(start, at + 1)
            start, total = at + 1, 0
    if total:
        yield slice(start, len(orders))
