"""Hold the sums of a batch of items, on their way to a day slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.aggregation.calendar import Days
from kpi.aggregation.group_sums import GroupSums
from kpi.kernels.arrays import Int64s, Mask, Positions

Pairs = npt.NDArray[np.integer]
"""An order's position and a group of its items (category or product), as `position * groups +
group`, and in the lowest bit whether an item was returned. 32 bits wide where that is enough."""


@dataclass(frozen=True, kw_only=True)
class ItemSales:
    """What the product KPIs need of some items, a value an item.

    Attributes:
        position: Position of its order in the slice.
        product_ids: Its product.
        revenue: Price, at the scale of `sale_price`.
        units: Quantity.
        returned: Whether it was returned.
    """

    position: Positions
    product_ids: pa.Array
    revenue: Int64s
    units: Int64s
    returned: Mask


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The sums of a batch of items, for `DaySlice.add`.

    Attributes:
        items: Items sold, by day.
        revenue: Revenue, by day.
        category_revenue: Revenue, by day and category.
        pairs: Order and category of each item.
        sales: Columns for the product KPIs; None where these are not wanted.
        position: Position of each item's order in the slice.
        quantity: Pieces of each item; None for one each.
        days: Days of those orders, ascending.
    """

    items: Int64s
    revenue: Int64s
    category_revenue: GroupSums
    pairs: Pairs
    sales: ItemSales | None
    position: Positions
    quantity: Int64s | None
    days: Days

    @property
    def matched(self) -> int:
        """Number of items whose order is in the slice."""
        return len(self.position)
