"""Ids of the orders that may add something else since a sequence, while they are few."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


class TouchedOrders:
    """Collects ids of orders; once they are too many, or not known one by one, there are none.

    Args:
        limit: Most ids.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[pa.Array] | None = []
        self._count = 0

    def add(self, order_ids: pa.Array) -> None:
        """Add some distinct ids."""
        if self._parts is None or not len(order_ids):
            return
        self._parts.append(order_ids)
        self._count += len(order_ids)
        if self._count > self._limit:  # of several datasets, one id may come several times
            distinct = pc.unique(pa.chunked_array(self._parts))
            self._parts, self._count = [distinct], len(distinct)
            if self._count > self._limit:
                self._parts = None

    def give_up(self) -> None:
        """Say that orders are touched whose ids are not known."""
        self._parts = None

    def ids(self, kind: pa.DataType) -> pa.Array | None:
        """Return the distinct ids; None where they are not known.

        Args:
            kind: Type of the ids.
        """
        if self._parts is None:
            return None
        return pc.unique(pa.chunked_array(self._parts, kind))
