"""Exact totals of days, and the KPI rows that show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days
from kpi.aggregation.schemas import MONEY, RATE, arrow_schema
from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS, PRODUCT_KPIS
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s

RATE_ONE = 10_000
"""The rate 1 at the scale of `RATE`."""


@dataclass(frozen=True, kw_only=True)
class OrderTotals:
    """Totals of some days, one element each; each day has an order.

    Attributes:
        days: Days since 1970-01-01, ascending.
        orders: Number of orders.
        returned: Number of those that were returned.
        revenue: Revenue, at the scale of `sale_price`.
        items: Items sold.
        customers: Distinct customers.
        promised: Items that the orders promise, of those that say so.
        unpromised: Orders that do not say so.
        missing: Items fewer than promised, order by order: one with more makes up for no other.
        without_items: Orders of which no item has come.
    """

    days: Days
    orders: Int64s
    returned: Int64s
    revenue: Int64s
    items: Int64s
    customers: Int64s
    promised: Int64s
    unpromised: Int64s
    missing: Int64s
    without_items: Int64s


@dataclass(frozen=True, kw_only=True)
class CategoryTotals:
    """Totals of some days and categories, one element each; each has an order.

    Attributes:
        days: Days since 1970-01-01, ascending.
        categories: Names, ascending within a day.
        orders: Number of orders with an item of the category.
        returned: Number of those with a returned item of the category.
        revenue: Revenue, at the scale of `sale_price`.
    """

    days: Days
    categories: pa.Array
    orders: Int64s
    returned: Int64s
    revenue: Int64s


@dataclass(frozen=True, kw_only=True)
class ProductTotals:
    """Totals of some days and products, one element each; each has an order.

    Attributes:
        days: Days since 1970-01-01, ascending.
        products: Ids as texts, ascending within a day.
        orders: Number of orders with an item of the product.
        returned: Number of those with a returned item of it.
        revenue: Revenue, at the scale of `sale_price`.
        units: Pieces sold.
    """

    days: Days
    products: pa.Array
    orders: Int64s
    returned: Int64s
    revenue: Int64s
    units: Int64s


def order_table(totals: OrderTotals, scale: int) -> pa.Table:
    """Show totals as `ORDER_KPIS`.

    Args:
        totals: The totals.
        scale: Decimal places of the revenue.
    """
    says_nothing = totals.unpromised == totals.orders
    return pa.table(
        [
            date_array(totals.days),
            pa.array(totals.orders),
            money(totals.revenue, scale),
            pa.array(totals.items),
            rate(totals.returned, totals.orders),
            pa.array(totals.customers),
            pa.array(totals.promised, mask=says_nothing),
            pa.array(totals.missing, mask=says_nothing),
            pa.array(totals.unpromised),
            pa.array(totals.without_items),
        ],
        schema=arrow_schema(ORDER_KPIS),
    )


def category_table(totals: CategoryTotals, scale: int) -> pa.Table:
    """Show totals as `CATEGORY_KPIS`; see `order_table`."""
    return pa.table(
        [
            date_array(totals.days),
            totals.categories,
            money(totals.revenue, scale),
            _average(totals.revenue, totals.orders, scale),
            rate(totals.returned, totals.orders),
        ],
        schema=arrow_schema(CATEGORY_KPIS),
    )


def product_table(totals: ProductTotals, scale: int) -> pa.Table:
    """Show totals as `PRODUCT_KPIS`; see `order_table`."""
    return pa.table(
        [
            date_array(totals.days),
            totals.products,
            pa.array(totals.units),
            money(totals.revenue, scale),
            pa.array(totals.orders),
            rate(totals.returned, totals.orders),
        ],
        schema=arrow_schema(PRODUCT_KPIS),
    )


def date_array(days: Days) -> pa.Array:
    """Convert day numbers to Arrow dates."""
    return pa.array(days.astype(np.int32)).cast(pa.date32())


def money(units: Int64s, scale: int) -> pa.Array:
    """Show amounts at `scale`, rounded to the scale of `MONEY`."""
    return fixed_point.to_decimals(fixed_point.at_scale(units, scale, MONEY.scale), MONEY)


def rate(part: Int64s, whole: Int64s) -> pa.Array:
    """Divide two counts, rounded to the scale of `RATE`."""
    return fixed_point.to_decimals(fixed_point.half_even(part * RATE_ONE, whole), RATE)


def _average(units: Int64s, count: Int64s, scale: int) -> pa.Array:
    """Divide amounts at `scale` by counts, rounded to the scale of `MONEY`."""
    if scale < MONEY.scale:
        units, scale = fixed_point.at_scale(units, scale, MONEY.scale), MONEY.scale
    return fixed_point.to_decimals(fixed_point.half_even(units, count, scale - MONEY.scale), MONEY)
