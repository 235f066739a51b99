"""Facts of some days of a shop: which orders count, their lines and refunds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from kpi.aggregation.calendar import Days
from kpi.aggregation.shop_lines import Lines
from kpi.aggregation.shop_orders import Orders
from kpi.kernels.arrays import Int64s, Mask

PeriodsOf = Callable[[Days], Days]
"""Makes periods of a grain of days."""


@dataclass(frozen=True, kw_only=True)
class OrderFacts:
    """What each order of a slice is.

    Attributes:
        orders: Their columns.
        shown: Whether it is of the days of the slice.
        counts: Whether it counts there.
        excluded: Whether the contract leaves it out there.
        other: Whether its money is in another currency, without a rate, there.
        returned: Whether it was returned.
    """

    orders: Orders
    shown: Mask
    counts: Mask
    excluded: Mask
    other: Mask
    returned: Mask


@dataclass(frozen=True, kw_only=True)
class RefundFacts:
    """Refund rows that count: the day of each and its size at 4 places."""

    day: Days
    amount: Int64s


@dataclass(frozen=True, kw_only=True)
class ShopFacts:
    """What the rows of some days are.

    Attributes:
        orders: Orders.
        lines: Lines of orders that count; None where there are none.
        refunds: Refund rows, of other days too; None where the contract has none.
        open_days: Day of each order and refund row of which something has not come or was not said.
    """

    orders: OrderFacts
    lines: Lines | None
    refunds: RefundFacts | None
    open_days: Days

    def of_periods(self, periods_of: PeriodsOf) -> ShopFacts:
        """Return the facts with the periods of another grain in the place of days."""
        orders, refunds = self.orders, self.refunds
        if refunds is not None:
            refunds = replace(refunds, day=periods_of(refunds.day))
        by_period = replace(orders.orders, day=periods_of(orders.orders.day))
        return replace(
            self,
            orders=replace(orders, orders=by_period),
            refunds=refunds,
            open_days=periods_of(self.open_days),
        )
