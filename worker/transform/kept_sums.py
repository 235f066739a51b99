"""Sums of days at the head, on their way to the workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from kpi.aggregation.day_slice import DaySlice
from kpi.aggregation.sums import Sums, sums_of
from kpi.kernels.keys import Keys, keys_of
from worker.index.day_sums import StoredSums
from worker.index.sums_manifest import Page
from worker.transform.order_columns import OrderColumns

CustomersOf = Callable[[pa.ChunkedArray], Keys]
"""Makes keys of customers."""


@dataclass(kw_only=True)
class KeptSums:
    """Sums that are kept, and those of days that are being computed of all of their orders.

    Attributes:
        pages: Day -> where its sums are already.
        stored: Day -> its sums.
        customers: Day -> customer of each of its orders, of a day that is being computed.
        sums: Day -> sums and number of customers of such a day.
        damaged: Days whose sums cannot be those of any orders, or cannot be read.
        least_orders: Orders of a day from which on its sums are kept; None for no day.
        room: Orders whose customers may still be held.
        customers_of: Makes keys of customers.
    """

    pages: dict[int, Page] = field(default_factory=dict)
    stored: dict[int, StoredSums] = field(default_factory=dict)
    customers: dict[int, Keys] = field(default_factory=dict)
    sums: dict[int, tuple[Sums, int]] = field(default_factory=dict)
    damaged: set[int] = field(default_factory=set)
    least_orders: int | None = None
    room: int = 0
    customers_of: CustomersOf = field(default=lambda column: keys_of([column]))

    def add_customers(self, orders: OrderColumns) -> None:
        """Keep the customers of those days that have many orders."""
        if self.least_orders is None or not len(orders) >= max(self.least_orders, 1):
            return
        first = int(orders.days.min())
        counts = np.bincount(orders.days - first)
        for at in np.flatnonzero(counts >= max(self.least_orders, 1)).tolist():
            self.room -= int(counts[at])
            if self.room >= 0:
                day = first + at
                self.customers[day] = orders.users.take(orders.days == day)

    def add_sums(self, day_slice: DaySlice) -> None:
        """Keep the sums of those days whose customers are kept."""
        if not self.customers:
            return
        orders = day_slice.order_totals()
        found = sums_of(orders, day_slice.category_totals)
        for day, count in zip(orders.days.tolist(), orders.customers.tolist(), strict=True):
            if day in self.customers:
                self.sums[day] = found[day], count
