"""Sums that are brought up to date by difference: what some orders add, now and before.

Each order adds to one period of a *grain*: to its day, or to whatever else a grain makes of it.
Sums of a period are exact integers, so adding what orders add now, and taking away what they added
before, gives the sums that all orders add now. Distinct customers are no sum: of each customer the
number of orders is one, and a customer is counted while it is not zero.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, order_days
from kpi.aggregation.day_slice import build_day_slice, is_returned
from kpi.aggregation.day_totals import CategoryTotals, OrderTotals
from kpi.aggregation.products import Products
from kpi.contract.model import Contract
from kpi.kernels.fixed_point import INT64_MAX
from kpi.kernels.keys import Keys, keys_of

Customer = tuple[int, int]
"""Both halves of the key of a customer; the second one of an integer is the integer again."""


@dataclass(frozen=True)
class GroupSum:
    """Sums of a category in a period.

    Attributes:
        orders: Orders with an item of it.
        returned: Those with a returned item of it.
        revenue: Revenue, at the scale of `sale_price`.
    """

    orders: int = 0
    returned: int = 0
    revenue: int = 0

    def plus(self, other: GroupSum, sign: int) -> GroupSum:
        """Add other sums, or take them away with the sign -1."""
        return GroupSum(
            self.orders + sign * other.orders,
            self.returned + sign * other.returned,
            self.revenue + sign * other.revenue,
        )

    @property
    def is_sound(self) -> bool:
        """Whether orders can have these sums; they have no revenue where there is no order."""
        return 0 <= self.returned <= self.orders and _fits(self.orders, self.revenue)


@dataclass(frozen=True)
class Sums:
    """Sums of a period.

    Attributes:
        orders: Number of orders.
        returned: Number of those that were returned.
        revenue: Revenue, at the scale of `sale_price`.
        items: Items sold.
        groups: Category -> its sums; none of it is zero.
    """

    orders: int = 0
    returned: int = 0
    revenue: int = 0
    items: int = 0
    groups: Mapping[str, GroupSum] = field(default_factory=dict)

    def plus(self, other: Sums, sign: int) -> Sums:
        """Add other sums, or take them away with the sign -1."""
        groups = dict(self.groups)
        for name, one in other.groups.items():
            groups[name] = groups.get(name, GroupSum()).plus(one, sign)
        return Sums(
            self.orders + sign * other.orders,
            self.returned + sign * other.returned,
            self.revenue + sign * other.revenue,
            self.items + sign * other.items,
            {name: one for name, one in groups.items() if one != GroupSum()},
        )

    @property
    def is_sound(self) -> bool:
        """Whether orders can have these sums."""
        return (
            0 <= self.returned <= self.orders
            and _fits(self.orders, self.revenue)
            and _fits(self.orders, self.items)
            and all(one.is_sound and one.orders <= self.orders for one in self.groups.values())
            and sum(one.revenue for one in self.groups.values()) == self.revenue
        )


NO_SUMS = Sums()


@dataclass
class Added:
    """What some orders add to the periods of a grain.

    Attributes:
        sums: Period -> sums.
        customers: Period -> customer -> number of orders.
    """

    sums: dict[int, Sums] = field(default_factory=dict)
    customers: dict[int, Counter[Customer]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Grain:
    """To which period an order adds.

    Attributes:
        name: Names it where sums are kept.
        periods: Makes the period of each order, of its columns and its day.
        columns: Columns of orders that `periods` needs.
    """

    name: str
    periods: Callable[[pa.Table, Days], Days]
    columns: Sequence[str] = ()


DAY = Grain(name="day", periods=lambda _, days: days)
"""The grain of the KPI tables."""


def added_by(
    contract: Contract,
    products: Products,
    orders: pa.Table,
    items: pa.Table,
    grain: Grain,
    customers_of: Callable[[pa.ChunkedArray], Keys],
) -> Added:
    """Return what some orders add.

    Args:
        contract: Says what counts.
        products: The latest version of every product.
        orders: Latest version of each of the orders, with the columns of the KPIs.
        items: Latest version of all of their items, and perhaps of others.
        grain: To which periods.
        customers_of: Makes keys of customers.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    if not len(orders):
        return Added()
    created = orders.column("created_at").combine_chunks()
    days = order_days(created, contract.business_time_zone)
    returned = np.zeros(len(days), bool)
    if "status" in orders.column_names:
        returned = is_returned(orders.column("status").combine_chunks(), contract)
    customers = customers_of(orders.column("user_id"))
    periods = grain.periods(orders, days)
    day_slice = build_day_slice(
        contract=contract,
        products=products,
        orders=keys_of([orders.column("order_id")]),
        days=periods,
        users=customers,
        returned=returned,
    )
    positions = day_slice.find(keys_of([items.column("order_id")]))
    names = [
        name
        for name in ("product_id", "sale_price", "status", "quantity")
        if name in items.column_names
    ]
    arrays = [items.column(name).combine_chunks() for name in names]
    batch = pa.RecordBatch.from_arrays(arrays, names=names)
    day_slice.add(day_slice.measure(batch, positions))
    of_periods: dict[int, Counter[Customer]] = defaultdict(Counter)
    for period, customer in zip(periods.tolist(), customer_list(customers), strict=True):
        of_periods[period][customer] += 1
    return Added(sums_of(day_slice.order_totals(), day_slice.category_totals), of_periods)


def customer_list(keys: Keys) -> list[Customer]:
    """Return the keys of customers as pairs of integers."""
    low = keys.high if keys.low is None else keys.low
    return list(zip(keys.high.tolist(), low.tolist(), strict=True))


def sums_of(orders: OrderTotals, categories: CategoryTotals) -> dict[int, Sums]:
    """Return totals as sums of each day."""
    groups: dict[int, dict[str, GroupSum]] = defaultdict(dict)
    for day, name, count, returned, revenue in zip(
        categories.days.tolist(),
        categories.categories.to_pylist(),
        categories.orders.tolist(),
        categories.returned.tolist(),
        categories.revenue.tolist(),
        strict=True,
    ):
        groups[day][name] = GroupSum(count, returned, revenue)
    return {
        day: Sums(count, returned, revenue, items, groups[day])
        for day, count, returned, revenue, items in zip(
            orders.days.tolist(),
            orders.orders.tolist(),
            orders.returned.tolist(),
            orders.revenue.tolist(),
            orders.items.tolist(),
            strict=True,
        )
    }


def totals_of(day: int, sums: Sums, customers: int) -> tuple[OrderTotals, CategoryTotals]:
    """Return the sums of a day as totals; empty ones where it has no order."""
    names = sorted(sums.groups)
    groups = [sums.groups[name] for name in names]
    columns = (sums.orders, sums.returned, sums.revenue, sums.items, customers)
    count, returned, revenue, items, users = (
        np.array([one] if sums.orders else [], np.int64) for one in columns
    )
    return (
        OrderTotals(
            days=np.full(len(count), day, np.int32),
            orders=count,
            returned=returned,
            revenue=revenue,
            items=items,
            customers=users,
        ),
        CategoryTotals(
            days=np.full(len(names), day, np.int32),
            categories=pa.array(names, pa.string()),
            orders=np.array([one.orders for one in groups], np.int64),
            returned=np.array([one.returned for one in groups], np.int64),
            revenue=np.array([one.revenue for one in groups], np.int64),
        ),
    )


def _fits(count: int, total: int) -> bool:
    return (count > 0 or total == 0) and abs(total) <= INT64_MAX
