"""Sums of a slice of days by a contract of language 1, and the totals that sums give."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, order_days
from kpi.aggregation.day_slice import DaySlice, build_day_slice, is_returned
from kpi.aggregation.day_totals import CategoryTotals, OrderTotals, ProductTotals
from kpi.aggregation.products import Products
from kpi.aggregation.promises import promises
from kpi.aggregation.sums import (
    ORDERS,
    Added,
    Grain,
    GroupColumns,
    Grouping,
    Measure,
    Scheme,
    Sums,
    customers_of_periods,
    sums_of,
)
from kpi.contract.model import Contract
from kpi.kernels.arrays import Int64s, Positions
from kpi.kernels.keys import Keys, keys_of

_RETURNED = Measure(name="returned", kind="part", of=ORDERS)
_REVENUE = Measure(name="revenue", kind="amount", of=ORDERS)
_OF_CATEGORY = (Measure(name=ORDERS), _RETURNED, _REVENUE)

MEASURES = (
    *_OF_CATEGORY,
    Measure(name="items", kind="amount", of=ORDERS),
    Measure(name="promised", of=ORDERS),
    Measure(name="unpromised", kind="part", of=ORDERS),
    Measure(name="missing", kind="part", of="promised"),
    Measure(name="without_items", kind="part", of=ORDERS),
)

CATEGORIES = Grouping(name="category", measures=_OF_CATEGORY, totals={"revenue": "revenue"})

PRODUCTS = Grouping(
    name="product",
    measures=(*_OF_CATEGORY, Measure(name="units", kind="amount", of=ORDERS)),
    totals={"revenue": "revenue", "units": "items"},
)


def day_scheme(*, with_categories: bool, with_products: bool) -> Scheme:
    """Return which sums are kept of a day."""
    wanted = ((CATEGORIES, with_categories), (PRODUCTS, with_products))
    return Scheme(measures=MEASURES, groupings=[one for one, is_wanted in wanted if is_wanted])


def added_by(
    contract: Contract,
    products: Products,
    orders: pa.Table,
    items: pa.Table,
    scheme: Scheme,
    grain: Grain,
    customers_of: Callable[[pa.ChunkedArray], Keys],
) -> Added:
    """Return what some orders add.

    Args:
        contract: Says what counts.
        products: The latest version of every product.
        orders: Latest version of each of the orders, with the columns of the KPIs.
        items: Latest version of all of their items, and perhaps of others.
        scheme: Which sums.
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
        promised=promises(orders),
        with_products=PRODUCTS in scheme.groupings,
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
    return Added(sums_of_slice(scheme, day_slice), customers_of_periods(periods, customers))


def sums_of_slice(
    scheme: Scheme, day_slice: DaySlice, wanted: Days | None = None
) -> dict[int, Sums]:
    """Return the sums of days of a slice to which all items were added.

    Args:
        scheme: Which sums.
        day_slice: The slice.
        wanted: Some of its days; None for all.
    """
    orders = day_slice.order_totals()
    rows = _rows_of(orders.days, wanted)
    values = {
        **_values(orders, rows),
        "items": orders.items[rows],
        "promised": orders.promised[rows],
        "unpromised": orders.unpromised[rows],
        "missing": orders.missing[rows],
        "without_items": orders.without_items[rows],
    }
    groups = {}
    if CATEGORIES in scheme.groupings:
        totals = day_slice.category_totals
        of_groups = _rows_of(totals.days, wanted)
        groups[CATEGORIES.name] = GroupColumns(
            periods=totals.days[of_groups],
            names=totals.categories.take(pa.array(of_groups)).to_pylist(),
            values=_values(totals, of_groups),
        )
    if PRODUCTS in scheme.groupings:
        of_products = day_slice.product_totals
        of_groups = _rows_of(of_products.days, wanted)
        groups[PRODUCTS.name] = GroupColumns(
            periods=of_products.days[of_groups],
            names=of_products.products.take(pa.array(of_groups)).to_pylist(),
            values={**_values(of_products, of_groups), "units": of_products.units[of_groups]},
        )
    return sums_of(scheme, orders.days[rows], values, groups)


def _rows_of(days: Days, wanted: Days | None) -> Positions:
    return np.arange(len(days)) if wanted is None else np.flatnonzero(np.isin(days, wanted))


def _values(
    totals: OrderTotals | CategoryTotals | ProductTotals, rows: Positions
) -> Mapping[str, Int64s]:
    return {
        ORDERS: totals.orders[rows],
        "returned": totals.returned[rows],
        "revenue": totals.revenue[rows],
    }


def order_totals_of(scheme: Scheme, day: int, sums: Sums, customers: int) -> OrderTotals:
    """Return the sums of a day as totals; empty ones where it has no order."""
    values = scheme.named(sums)
    has_order = values[ORDERS] > 0
    columns = {name: _array([value] if has_order else []) for name, value in values.items()}
    return OrderTotals(
        days=np.full(int(has_order), day, np.int32),
        customers=_array([customers] if has_order else []),
        **columns,
    )


def category_totals_of(scheme: Scheme, day: int, sums: Sums) -> CategoryTotals:
    """Return the sums of the categories of a day as totals."""
    names, columns = _columns(scheme, CATEGORIES, sums)
    return CategoryTotals(
        days=np.full(len(names), day, np.int32), categories=pa.array(names, pa.string()), **columns
    )


def product_totals_of(scheme: Scheme, day: int, sums: Sums) -> ProductTotals:
    """Return the sums of the products of a day as totals."""
    names, columns = _columns(scheme, PRODUCTS, sums)
    return ProductTotals(
        days=np.full(len(names), day, np.int32), products=pa.array(names, pa.string()), **columns
    )


def _columns(scheme: Scheme, grouping: Grouping, sums: Sums) -> tuple[list[str], dict[str, Int64s]]:
    groups = scheme.named_groups(sums, grouping.name)
    return list(groups), {
        one.name: _array([values[one.name] for values in groups.values()])
        for one in grouping.measures
    }


def _array(values: list[int]) -> Int64s:
    return np.array(values, np.int64)
