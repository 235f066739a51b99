"""Sums of days at the head, on their way to the workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days
from kpi.aggregation.sums import Sums
from kpi.kernels.keys import Keys, keys_of
from worker.index.day_sums import StoredSums
from worker.index.sums_manifest import Page
from worker.state import Row
from worker.transform.clean_files import RowGroup

CustomersOf = Callable[[pa.ChunkedArray], Keys]
"""Makes keys of customers."""


@dataclass(kw_only=True)
class KeptSums:
    """Sums that are kept, and those of days that are being computed of all of their orders.

    Attributes:
        pages: Day -> where its sums are already.
        stored: Day -> its sums.
        rows: Day -> rows of each table, where they are made already.
        customers: Day -> known customer of each of its orders, of a day that is being computed.
        sums: Day -> sums and number of customers of such a day.
        damaged: Days whose sums cannot be those of any orders, or cannot be read.
        least_orders: Orders of a day from which on its sums are kept; None for no day.
        many_files: Files of a day from which on its sums are kept, however few its orders are; None
            for no day.
        room: Orders whose customers may still be held.
        customers_of: Makes keys of customers.
    """

    pages: dict[int, Page] = field(default_factory=dict)
    stored: dict[int, StoredSums] = field(default_factory=dict)
    rows: dict[int, Mapping[str, list[Row]]] = field(default_factory=dict)
    customers: dict[int, Keys] = field(default_factory=dict)
    sums: dict[int, tuple[Sums, int]] = field(default_factory=dict)
    damaged: set[int] = field(default_factory=set)
    least_orders: int | None = None
    many_files: int | None = None
    room: int = 0
    customers_of: CustomersOf = field(default=lambda column: keys_of([column]))
    _least: int | None = None

    def see(self, groups: Sequence[RowGroup]) -> None:
        """Expect days whose orders are in some row groups: with small files, few orders are many.

        Args:
            groups: Row groups of orders of the days that are computed next.
        """
        files, rows = len({one.file for one in groups}), sum(one.rows for one in groups)
        self._least = self.least_orders
        if self._least is not None and self.many_files is not None and files:
            self._least = min(self._least, self.many_files * rows // files)

    def busy_days(self, days: Days) -> list[int]:
        """Return the days with many orders or files, as long as there is room for their customers.

        Args:
            days: Day of each order that counts.
        """
        found: list[int] = []
        least = self.least_orders if self._least is None else self._least
        if least is None or not len(days) >= max(least, 1):
            return found
        first = int(days.min())
        counts = np.bincount(days - first)
        for at in np.flatnonzero(counts >= max(least, 1)).tolist():
            self.room -= int(counts[at])
            if self.room >= 0:
                found.append(first + at)
        return found

    def customers_of_rows(self, orders: int) -> CustomersOf:
        """Return what makes keys of customers of up to some orders, which are read together.

        Keys that may be stored go without the check (`Keys`): they are made only where some are.
        """
        stored = self._least is not None and orders >= self._least
        return self.customers_of if stored else lambda column: keys_of([column])

    def add_customers(self, days: Days, users: Keys) -> None:
        """Keep the customers of those days that have many orders.

        Args:
            days: Day of each order.
            users: Its customer.
        """
        for day in self.busy_days(days):
            self.customers[day] = users.take(days == day)
