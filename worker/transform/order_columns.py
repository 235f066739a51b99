"""Columns of the latest orders of some days, gathered from several threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from kpi.aggregation.calendar import Days
from kpi.aggregation.promises import Promises
from kpi.kernels.arrays import Mask
from kpi.kernels.keys import Keys


@dataclass(frozen=True, kw_only=True)
class OrderColumns:
    """Orders in no particular order, one element each.

    Attributes:
        orders: Keys of their ids.
        users: Keys of their customers.
        days: Order dates, as days since 1970-01-01.
        returned: Whether their status means "returned".
        promised: Items that they promise.
    """

    orders: Keys
    users: Keys
    days: Days
    returned: Mask
    promised: Promises

    def __len__(self) -> int:
        return len(self.days)

    def head(self, count: int) -> OrderColumns:
        """Return the first `count` orders, without copying."""
        rows = slice(0, count)
        return OrderColumns(
            orders=self.orders.take(rows),
            users=self.users.take(rows),
            days=self.days[rows],
            returned=self.returned[rows],
            promised=self.promised[rows],
        )


class OrderBuffer:
    """Columns of a fixed capacity that several threads append to.

    Args:
        like: Orders of the same key types; none of them is added.
        capacity: Most orders. Pages that are never written take no memory.
    """

    def __init__(self, like: OrderColumns, capacity: int) -> None:
        self._columns = OrderColumns(
            orders=_empty_keys(like.orders, capacity),
            users=_empty_keys(like.users, capacity),
            days=np.empty(capacity, like.days.dtype),
            returned=np.empty(capacity, bool),
            promised=np.empty(capacity, like.promised.dtype),
        )
        self._count = 0
        self._lock = threading.Lock()

    def append(self, more: OrderColumns) -> None:
        """Append orders; calls from several threads may overlap."""
        with self._lock:
            start, self._count = self._count, self._count + len(more)
        rows = slice(start, start + len(more))
        _copy_keys(self._columns.orders, rows, more.orders)
        _copy_keys(self._columns.users, rows, more.users)
        self._columns.days[rows] = more.days
        self._columns.returned[rows] = more.returned
        self._columns.promised[rows] = more.promised

    def columns(self) -> OrderColumns:
        """Return the orders appended so far."""
        return self._columns.head(self._count)


def _empty_keys(like: Keys, capacity: int) -> Keys:
    low = None if like.low is None else np.empty(capacity, like.low.dtype)
    return Keys(np.empty(capacity, like.high.dtype), low)


def _copy_keys(target: Keys, rows: slice, source: Keys) -> None:
    target.high[rows] = source.high
    if target.low is not None and source.low is not None:
        target.low[rows] = source.low
