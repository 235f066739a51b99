"""KPI rows of some days of a shop by a contract of language 2."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days
from kpi.aggregation.day_table import DayTable
from kpi.aggregation.shop_facts import OrderFacts
from kpi.aggregation.shop_lines import LineColumns
from kpi.aggregation.shop_money import DISCOUNTS
from kpi.aggregation.shop_slice import ShopSlice
from kpi.aggregation.shop_totals import (
    CATEGORIES,
    PRODUCTS,
    ShopGroups,
    ShopTotals,
    has_money,
    total_up,
)
from kpi.aggregation.shop_values import (
    Show,
    show_averages,
    show_integers,
    show_money,
    show_nothing,
    show_quantities,
    show_rates,
    show_where,
)
from kpi.aggregation.sums import ORDERS
from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS, PRODUCT_KPIS
from kpi.contract.shop import REFUND_MONEY, Shop
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s
from kpi.kernels.sorting import SERIAL, Execution

ORDER_GROUP = "(order)"
"""Category and product of what belongs to an order and to no line (rule 14)."""


@dataclass(frozen=True, kw_only=True)
class ShopKpis:
    """KPIs of some days.

    Attributes:
        tables: KPI table -> its rows.
        provisional: Days of which something has not come or was not said.
        totals: What the rows are made of.
        orders: The orders of the days.
    """

    tables: Mapping[str, DayTable]
    provisional: Days
    totals: ShopTotals
    orders: OrderFacts


def compute_kpis(
    day_slice: ShopSlice, days: Days, tables: Collection[str], execution: Execution = SERIAL
) -> ShopKpis:
    """Compute the rows of some KPI tables.

    Args:
        day_slice: Orders, lines and refunds of the days, all added.
        days: Days of the slice, ascending.
        tables: KPI tables.
        execution: How to use the machine.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    facts = day_slice.facts()
    totals = total_up(day_slice, facts, days, execution)
    return ShopKpis(
        tables=kpi_rows(day_slice.shop, day_slice.columns, totals, tables),
        provisional=totals.days[totals.values["open"] > 0],
        totals=totals,
        orders=facts.orders,
    )


def kpi_rows(
    shop: Shop, columns: LineColumns, totals: ShopTotals, tables: Collection[str]
) -> dict[str, DayTable]:
    """Make rows of totals.

    Args:
        shop: Contract.
        columns: What its KPIs need of lines.
        totals: Totals of some days.
        tables: KPI tables.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    rows = _Rows(shop, columns, totals)
    made = {
        ORDER_KPIS.name: rows.of_orders,
        CATEGORY_KPIS.name: rows.of_categories,
        PRODUCT_KPIS.name: rows.of_products,
    }
    return {name: made[name]() for name in sorted(tables)}


class _Rows:
    """Makes rows of totals."""

    def __init__(self, shop: Shop, columns: LineColumns, totals: ShopTotals) -> None:
        self._shop = shop
        self._columns = columns
        self._totals = totals
        values = totals.values
        # A day whose orders are all excluded has no row.
        has_row = (values[ORDERS] > 0) | (values["other"] > 0) | (values["refund_rows"] > 0)
        self._shown = np.flatnonzero(has_row)
        self._values = {name: of_days[self._shown] for name, of_days in values.items()}
        self._customers = totals.customers[self._shown]
        self._has_lines = "order_items" in shop.datasets
        self._has_money = has_money(shop)

    def of_orders(self) -> DayTable:
        """Rows of `order_kpis`, one a day."""
        shop, values = self._shop, self._values
        total = values[ORDERS]
        revenue, refunds = self._revenue(), self._refunds()
        net = None if revenue is None or refunds is None else revenue - refunds
        has_user = shop.has("orders", "user_id")
        has_currency = shop.has("orders", "currency") or shop.has("order_items", "currency")
        has_exclusion = any(dataset.excluded for dataset in shop.datasets.values())
        columns = {
            "total_orders": show_integers(total),
            "total_revenue": show_money(revenue),
            "total_items_sold": show_quantities(self._pieces()),
            "return_rate": show_rates(values["returned"], total),
            "unique_customers": show_integers(self._customers if has_user else None),
            "gross_sales": self._gross(),
            "discounts": show_money(self._discounts()),
            "refunds": show_money(refunds),
            "net_sales": show_money(net),
            "avg_order_value": show_averages(revenue, total),
            "excluded_orders": show_integers(values["excluded"] if has_exclusion else None),
            "anonymous_orders": show_integers(total - values["known"] if has_user else None),
            "other_currency_orders": show_integers(values["other"] if has_currency else None),
            "orders_without_promise": show_integers(total if self._has_lines else None),
            "orders_without_items": show_integers(
                values["without_lines"] if self._has_lines else None
            ),
        }
        return DayTable(days=self._totals.days[self._shown], columns=columns)

    def of_categories(self) -> DayTable:
        """Rows of `category_kpis`."""
        if not self._columns.category:
            return DayTable(days=NO_DAYS, columns={})
        groups = self._with_discounts(self._totals.groups[CATEGORIES.name])
        values = groups.values
        money = values["money"] if self._has_money else None
        return DayTable(
            days=self._totals.days[groups.day],
            columns={
                "category": _show_names(groups),
                "daily_revenue": show_money(money),
                "avg_order_value": show_averages(money, values[ORDERS]),
                "avg_return_rate": show_rates(values["returned"], values[ORDERS]),
            },
        )

    def of_products(self) -> DayTable:
        """Rows of `product_kpis`."""
        if not self._columns.product:
            return DayTable(days=NO_DAYS, columns={})
        groups = self._with_discounts(self._totals.groups[PRODUCTS.name])
        values = groups.values
        return DayTable(
            days=self._totals.days[groups.day],
            columns={
                "product_id": _show_names(groups),
                "units_sold": show_quantities(values["pieces"]),
                "revenue": show_money(values["money"] if self._has_money else None),
                "orders": show_integers(values[ORDERS]),
                "return_rate": show_rates(values["returned"], values[ORDERS]),
            },
        )

    def _with_discounts(self, groups: ShopGroups) -> ShopGroups:
        """Take the discounts of whole orders from a group of their own (rule 14)."""
        if not (self._shop.has("orders", "discount") and self._has_money):
            return groups
        discounts = self._totals.values["discount"]
        names = sorted({*groups.names, ORDER_GROUP})
        width = len(names)
        known = {name: place for place, name in enumerate(names)}
        ranks = np.array([known[name] for name in groups.names], np.int64)
        present = groups.day * width + ranks[groups.code]
        taken = np.flatnonzero(discounts) * width + known[ORDER_GROUP]
        found = np.union1d(present, taken)
        at = np.searchsorted(found, present)
        values = {}
        for name, of_groups in groups.values.items():
            values[name] = np.zeros(len(found), np.int64)
            values[name][at] = of_groups
        values["money"][np.searchsorted(found, taken)] -= discounts[taken // width]
        return ShopGroups(day=found // width, code=found % width, names=names, values=values)

    def _revenue(self) -> Int64s | None:
        """Lines less the discounts of their orders; without lines the orders' totals (rule 13)."""
        if not self._has_lines:
            return self._values["total"] if self._shop.has("orders", "total") else None
        if not self._has_money:
            return None
        return fixed_point.add(self._values["money"], -self._values["discount"])

    def _gross(self) -> Show:
        """Money before discounts, of the days on which it is known of all lines."""
        if not (self._has_lines and self._shop.has("order_items", "unit_price", "before_discount")):
            return show_nothing
        return show_where(self._values["unknown"] == 0, show_money(self._values["before"]))

    def _discounts(self) -> Int64s | None:
        shop = self._shop
        of_lines = shop.has("order_items", *DISCOUNTS) or (
            shop.has("order_items", "after_discount")
            and shop.has("order_items", "unit_price", "before_discount")
        )
        if not (of_lines or shop.has("orders", "discount")):
            return None
        return fixed_point.add(self._values["line_discount"], self._values["discount"])

    def _refunds(self) -> Int64s | None:
        if self._shop.has("refunds", *REFUND_MONEY):
            return self._values["refunded"]
        return self._values["refund"] if self._shop.has("orders", "refund") else None

    def _pieces(self) -> Int64s | None:
        has_pieces = self._has_lines or self._shop.has("orders", "quantity")
        return self._values["pieces"] if has_pieces else None


def _show_names(groups: ShopGroups) -> Show:
    return lambda rows: [groups.names[one] for one in groups.code[rows].tolist()]
