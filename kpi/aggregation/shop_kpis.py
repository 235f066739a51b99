"""KPI rows of some days of a shop by a contract of language 2."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days
from kpi.aggregation.day_table import DayTable
from kpi.aggregation.group_sums import GroupSums, count_groups, sum_groups
from kpi.aggregation.shop_facts import ShopFacts
from kpi.aggregation.shop_lines import Codes, TextCodes
from kpi.aggregation.shop_money import DISCOUNTS, MONEY_OF_A_LINE, ONE_QUANTITY
from kpi.aggregation.shop_slice import ShopSlice
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
from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS, PRODUCT_KPIS
from kpi.aggregation.unique_customers import count_customers
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.fixed_point import INT32_MAX
from kpi.kernels.sorting import SERIAL, Execution, sort_runs

ORDER_GROUP = "(order)"
"""Category and product of what belongs to an order and to no line (rule 14)."""

NOTHING: Int64s = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class ShopKpis:
    """KPIs of some days.

    Attributes:
        tables: KPI table -> its rows.
        provisional: Days of which something has not come or was not said.
    """

    tables: Mapping[str, DayTable]
    provisional: Days


def compute_kpis(
    day_slice: ShopSlice, days: Days, tables: Collection[str], execution: Execution = SERIAL
) -> ShopKpis:
    """Compute the rows of some KPI tables.

    Args:
        day_slice: Orders, lines and refunds of the days, all added.
        days: Days of the slice, ascending.
        tables: KPI tables.
        execution: How to use the machine.
    """
    facts = day_slice.facts()
    sums = _Sums(day_slice, facts, days, execution)
    made = {
        ORDER_KPIS.name: sums.order_rows,
        CATEGORY_KPIS.name: sums.category_rows,
        PRODUCT_KPIS.name: sums.product_rows,
    }
    return ShopKpis(
        tables={name: made[name]() for name in sorted(tables)},
        provisional=np.intersect1d(facts.provisional, days).astype(np.int32),
    )


@dataclass(frozen=True)
class _Groups:
    """Lines of some groups of some days, added up; ascending by day, then by the group's text.

    Attributes:
        day: Position of each pair's day.
        name: Text of its group.
        money: Sum of its lines at 4 places.
        quantity: Pieces at 3 places.
        orders: Distinct orders with a line in it.
        returned: Those of them with a returned line.
    """

    day: Int64s
    name: Show
    money: Int64s
    quantity: Int64s
    orders: Int64s
    returned: Int64s


class _Sums:
    """Adds the facts up by day."""

    def __init__(
        self, day_slice: ShopSlice, facts: ShopFacts, days: Days, execution: Execution
    ) -> None:
        self._slice = day_slice
        self._shop = day_slice.shop
        self._facts = facts
        self._execution = execution
        orders, refunds = facts.orders, facts.refunds
        shown = [orders.orders.day[orders.counts | orders.other]]
        if refunds is not None:
            inside = np.isin(refunds.day, days)
            shown.append(refunds.day[inside])
            self._refund_days, self._refund_amounts = refunds.day[inside], refunds.amount[inside]
        self._dates = np.unique(np.concatenate(shown)).astype(np.int32)
        self._size = len(self._dates)
        self._counts = orders.counts
        # Days of orders that do not count may be none of these; they are never added up.
        at = np.searchsorted(self._dates, orders.orders.day)
        self._day = np.minimum(at, max(self._size - 1, 0)).astype(np.int32)
        self._has_lines = "order_items" in self._shop.datasets
        lines = facts.lines
        self._day_of_line = None if lines is None else self._day[lines.order]

    def order_rows(self) -> DayTable:
        """Rows of `order_kpis`, one a day."""
        facts, orders = self._facts, self._facts.orders
        has_user = orders.orders.has_user
        total = self._count(orders.counts)
        returned = self._count(orders.counts & orders.returned)
        revenue, refunds = self._revenue(), self._refunds()
        net = None if revenue is None or refunds is None else revenue - refunds
        customers = None if has_user is None else self._customers(has_user)
        columns = {
            "total_orders": show_integers(total),
            "total_revenue": show_money(revenue),
            "total_items_sold": show_quantities(self._pieces()),
            "return_rate": show_rates(returned, total),
            "unique_customers": show_integers(customers),
            "gross_sales": self._gross(),
            "discounts": show_money(self._discounts()),
            "refunds": show_money(refunds),
            "net_sales": show_money(net),
            "avg_order_value": show_averages(revenue, total),
            "excluded_orders": show_integers(
                self._count(orders.excluded) if self._has_exclusion() else None
            ),
            "anonymous_orders": show_integers(
                None if has_user is None else self._count(orders.counts & ~has_user)
            ),
            "other_currency_orders": show_integers(
                self._count(facts.orders.other)
                if self._shop.has("orders", "currency") or self._shop.has("order_items", "currency")
                else None
            ),
        }
        return DayTable(days=self._dates, columns=columns)

    def category_rows(self) -> DayTable:
        """Rows of `category_kpis`."""
        if not self._slice.columns.category:
            return DayTable(days=NO_DAYS, columns={})
        lines = self._facts.lines
        groups = self._by_group(None if lines is None else lines.category, self._slice.categories)
        money = groups.money if self._has_money else None
        return DayTable(
            days=self._dates[groups.day],
            columns={
                "category": groups.name,
                "daily_revenue": show_money(money),
                "avg_order_value": show_averages(money, groups.orders),
                "avg_return_rate": show_rates(groups.returned, groups.orders),
            },
        )

    def product_rows(self) -> DayTable:
        """Rows of `product_kpis`."""
        if not self._slice.columns.product:
            return DayTable(days=NO_DAYS, columns={})
        lines = self._facts.lines
        groups = self._by_group(
            None if lines is None else lines.product, self._slice.products, with_pieces=True
        )
        return DayTable(
            days=self._dates[groups.day],
            columns={
                "product_id": groups.name,
                "units_sold": show_quantities(groups.quantity),
                "revenue": show_money(groups.money if self._has_money else None),
                "orders": show_integers(groups.orders),
                "return_rate": show_rates(groups.returned, groups.orders),
            },
        )

    def _group_pieces(self, group: Int64s, lines: GroupSums, possible: int) -> GroupSums:
        """Add up the pieces of each group, of whose lines the number is known."""
        of_lines = self._facts.lines
        if of_lines is None or of_lines.quantity is None:
            return GroupSums(lines.codes, lines.sums * ONE_QUANTITY)
        return sum_groups(group, of_lines.quantity, possible)

    def _by_group(
        self, of_lines: Codes | None, texts: TextCodes, *, with_pieces: bool = False
    ) -> _Groups:
        """Add lines up by day and group; discounts of whole orders are a group (rule 14)."""
        discounts = self._order_discounts()
        names = texts.texts
        known = sorted({*names, *([ORDER_GROUP] if discounts is not None else [])})
        width = max(len(known), 1)
        possible = self._size * width
        code = _ranks(names, known)[np.zeros(0, np.int32) if of_lines is None else of_lines]
        day = NO_DAYS if self._day_of_line is None else self._day_of_line
        group = day.astype(np.int64) * width + code
        lines = count_groups(group, possible)
        money = sum_groups(group, self._line_money(), possible)
        orders, returned = self._count_orders(code, width)
        found = lines.non_zero()
        taken = np.zeros(0, np.int64)
        if discounts is not None:
            taken = np.flatnonzero(discounts) * width + known.index(ORDER_GROUP)
            found = np.union1d(found, taken)
        pieces = self._group_pieces(group, lines, possible).at(found) if with_pieces else NOTHING
        total = money.at(found)
        if discounts is not None and len(taken):
            total[np.searchsorted(found, taken)] -= discounts[taken // width]
        return _Groups(
            day=found // width,
            name=lambda rows: [known[one] for one in (found[rows] % width).tolist()],
            money=total,
            quantity=pieces,
            orders=orders.at(found),
            returned=returned.at(found),
        )

    def _count_orders(self, code: Positions, width: int) -> tuple[GroupSums, GroupSums]:
        """Count the orders of each day and group, and those of them with a returned line."""
        lines, possible = self._facts.lines, self._size * width
        if lines is None:
            nothing = count_groups(np.zeros(0, np.int64), possible)
            return nothing, nothing
        is_returned = self._facts.orders.returned[lines.order]
        if lines.returned is not None:
            is_returned = lines.returned
        # Narrow pairs sort in half the time.
        is_narrow = 2 * len(self._counts) * width <= INT32_MAX
        order = lines.order if is_narrow else lines.order.astype(np.int64)
        pairs = ((order * width + code.astype(order.dtype)) << 1) | is_returned
        sort_runs(pairs, self._execution)
        keys = pairs >> 1
        last = np.ones(len(keys), bool)
        np.not_equal(keys[1:], keys[:-1], out=last[:-1])
        at = np.flatnonzero(last)
        keys = keys[at]
        position = keys // width
        group = keys - position * width
        groups = self._day[position].astype(np.int64) * width + group
        ever = (pairs[at] & 1).astype(bool)
        return count_groups(groups, possible), count_groups(groups[ever], possible)

    def _order_discounts(self) -> Int64s | None:
        """Discounts of whole orders by day; None where the contract has none beside money."""
        if not (self._shop.has("orders", "discount") and self._has_money):
            return None
        return self._sum_orders(self._facts.orders.orders.discount)

    def _line_money(self) -> Int64s:
        lines = self._facts.lines
        if lines is None:
            return NOTHING
        return np.zeros(len(lines), np.int64) if lines.money is None else lines.money

    def _count(self, which: Mask) -> Int64s:
        """Orders of each day."""
        orders = self._facts.orders.orders
        if not self._size:
            return NOTHING
        inside = which & (self._dates[self._day] == orders.day)
        return np.bincount(self._day[inside], minlength=self._size).astype(np.int64)

    def _sum_orders(self, units: Int64s | None) -> Int64s:
        if units is None:
            return np.zeros(self._size, np.int64)
        which = self._counts
        return fixed_point.sums(self._day[which], units[which], self._size)

    def _sum_lines(self, units: Int64s | Mask) -> Int64s:
        if self._day_of_line is None:
            return np.zeros(self._size, np.int64)
        return fixed_point.sums(self._day_of_line, units.astype(np.int64, copy=False), self._size)

    def _count_lines(self) -> Int64s:
        days = NO_DAYS if self._day_of_line is None else self._day_of_line
        return np.bincount(days, minlength=self._size).astype(np.int64)

    def _customers(self, has_user: Mask) -> Int64s:
        orders = self._facts.orders
        which = np.flatnonzero(orders.counts & has_user)
        if orders.orders.users is None or not len(which):
            return np.zeros(self._size, np.int64)
        # Only days that have one are numbered.
        day = self._day[which]
        has_one = np.bincount(day, minlength=self._size) > 0
        number = (np.cumsum(has_one) - 1).astype(np.int32)
        users, size = orders.orders.users.take(which), int(has_one.sum())
        total = np.zeros(self._size, np.int64)
        total[has_one] = count_customers(number[day], users, size, self._execution)
        return total

    @property
    def _has_money(self) -> bool:
        return self._shop.has("order_items", *MONEY_OF_A_LINE)

    def _has_exclusion(self) -> bool:
        return any(dataset.excluded for dataset in self._shop.datasets.values())

    def _revenue(self) -> Int64s | None:
        """Lines less the discounts of their orders; without lines the orders' totals (rule 13)."""
        orders = self._facts.orders.orders
        if not self._has_lines:
            return self._sum_orders(orders.total) if self._shop.has("orders", "total") else None
        if not self._has_money:
            return None
        lines = self._sum_lines(self._line_money())
        return fixed_point.add(lines, -self._sum_orders(orders.discount))

    def _gross(self) -> Show:
        """Money before discounts, of the days on which it is known of all lines."""
        if not (self._has_lines and self._shop.has("order_items", "unit_price", "before_discount")):
            return show_nothing
        lines = self._facts.lines
        before = self._line_money() if lines is None or lines.before is None else lines.before
        shown = show_money(self._sum_lines(before))
        if lines is None or lines.unknown is None:
            return shown
        return show_where(self._sum_lines(lines.unknown) == 0, shown)

    def _discounts(self) -> Int64s | None:
        shop, lines, orders = self._shop, self._facts.lines, self._facts.orders.orders
        of_lines = shop.has("order_items", *DISCOUNTS) or (
            shop.has("order_items", "after_discount")
            and shop.has("order_items", "unit_price", "before_discount")
        )
        of_orders = self._sum_orders(orders.discount)
        if not (of_lines or shop.has("orders", "discount")):
            return None
        if lines is None or lines.discount is None:
            return of_orders
        return fixed_point.add(self._sum_lines(lines.discount), of_orders)

    def _refunds(self) -> Int64s | None:
        if self._facts.refunds is not None:
            at = np.searchsorted(self._dates, self._refund_days)
            return fixed_point.sums(at, self._refund_amounts, self._size)
        if self._shop.has("orders", "refund"):
            return self._sum_orders(self._facts.orders.orders.refund)
        return None

    def _pieces(self) -> Int64s | None:
        lines = self._facts.lines
        if self._has_lines:
            if lines is None or lines.quantity is None:
                return self._count_lines() * ONE_QUANTITY
            return self._sum_lines(lines.quantity)
        if self._shop.has("orders", "quantity"):
            return self._sum_orders(self._facts.orders.orders.quantity)
        return None


def _ranks(names: list[str], known: list[str]) -> Positions:
    """Return the place of each name in ascending order."""
    places = {name: place for place, name in enumerate(known)}
    return np.array([places[name] for name in names], np.int64)
