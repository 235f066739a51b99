"""Totals of some days of a shop by a contract of language 2: sums that its KPIs are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days
from kpi.aggregation.group_sums import GroupSums, count_groups, sum_groups
from kpi.aggregation.shop_facts import ShopFacts
from kpi.aggregation.shop_lines import Codes, LineColumns, TextCodes
from kpi.aggregation.shop_money import MONEY_OF_A_LINE, ONE_QUANTITY
from kpi.aggregation.sums import ORDERS, Grouping, Measure, Scheme
from kpi.aggregation.unique_customers import count_customers
from kpi.contract.shop import Shop
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.fixed_point import INT32_MAX
from kpi.kernels.sorting import Execution, sort_runs

LINES = "lines"

MEASURES = (
    Measure(name=ORDERS),
    Measure(name="returned", kind="part", of=ORDERS),
    Measure(name="known", kind="part", of=ORDERS),
    Measure(name="excluded"),
    Measure(name="other"),
    Measure(name="open"),
    Measure(name="refund_rows"),
    Measure(name="refunded", kind="amount", of="refund_rows"),
    Measure(name="refund", kind="amount", of=ORDERS),
    Measure(name="discount", kind="amount", of=ORDERS),
    Measure(name="total", kind="amount", of=ORDERS),
    Measure(name="pieces", kind="amount", of=ORDERS),
    Measure(name=LINES, of=ORDERS),
    Measure(name="without_lines", kind="part", of=ORDERS),
    Measure(name="money", kind="amount", of=LINES),
    Measure(name="before", kind="amount", of=LINES),
    Measure(name="unknown", kind="part", of=LINES),
    Measure(name="line_discount", kind="amount", of=LINES),
)
"""Sums of a day. Of its orders: those that count, were returned, have a known customer, are
excluded or of another currency; values that have not come or were not said; refund rows and their
money; refunds, discounts and money in columns of orders; pieces. Of lines: their number, the orders
without any, money after and before discounts, those of which the latter is not known, and
discounts."""

_OF_GROUPS = (
    Measure(name=LINES),
    Measure(name=ORDERS, kind="part", of=LINES),
    Measure(name="returned", kind="part", of=ORDERS),
    Measure(name="money", kind="amount", of=LINES),
)

_TOTALS = {LINES: LINES, "money": "money"}

CATEGORIES = Grouping(name="category", measures=_OF_GROUPS, totals=_TOTALS)

PRODUCTS = Grouping(
    name="product",
    measures=(*_OF_GROUPS, Measure(name="pieces", kind="amount", of=LINES)),
    totals={**_TOTALS, "pieces": "pieces"},
)


def shop_scheme(columns: LineColumns) -> Scheme:
    """Return which sums are kept of a day.

    Args:
        columns: What the KPIs that are asked for need of lines.
    """
    wanted = ((CATEGORIES, columns.category), (PRODUCTS, columns.product))
    return Scheme(
        measures=MEASURES, groupings=[one for one, is_wanted in wanted if is_wanted], known="known"
    )


@dataclass(frozen=True, kw_only=True)
class ShopGroups:
    """Sums of the groups of some days, ascending by day, then by the group's text.

    Attributes:
        day: Position of each group's day.
        code: Position of its text.
        names: Texts, ascending.
        values: Measure -> its sums.
    """

    day: Int64s
    code: Int64s
    names: Sequence[str]
    values: Mapping[str, Int64s]


@dataclass(frozen=True, kw_only=True)
class ShopTotals:
    """Sums of some days.

    Attributes:
        days: The days, ascending; some may have no row.
        values: Measure -> its sums.
        customers: Distinct known customers of each.
        groups: Grouping -> its groups.
    """

    days: Days
    values: Mapping[str, Int64s]
    customers: Int64s
    groups: Mapping[str, ShopGroups]


class TextsOfCodes(Protocol):
    """What a slice has the texts of groups in."""

    shop: Shop
    columns: LineColumns
    categories: TextCodes
    products: TextCodes


def total_up(
    texts: TextsOfCodes, facts: ShopFacts, days: Days | None, execution: Execution
) -> ShopTotals:
    """Add the facts of a slice up by day.

    Args:
        texts: The slice.
        facts: Its facts.
        days: Days whose refund rows are added, ascending; None for all.
        execution: How to use the machine.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    adder = _Adder(texts.shop, facts, days, execution)
    groups = {}
    lines = facts.lines
    if texts.columns.category:
        of_lines = None if lines is None else lines.category
        groups[CATEGORIES.name] = adder.groups(of_lines, texts.categories.texts, CATEGORIES)
    if texts.columns.product:
        of_lines = None if lines is None else lines.product
        groups[PRODUCTS.name] = adder.groups(of_lines, texts.products.texts, PRODUCTS)
    return ShopTotals(
        days=adder.dates, values=adder.values(), customers=adder.customers(), groups=groups
    )


class _Adder:
    """Adds the facts up by day.

    Attributes:
        dates: Days that have an order or a refund row, ascending.
    """

    def __init__(
        self,
        shop: Shop,
        facts: ShopFacts,
        days: Days | None,
        execution: Execution,
    ) -> None:
        self._shop = shop
        self._facts = facts
        self._execution = execution
        orders, refunds = facts.orders, facts.refunds
        self._refund_days, self._refund_amounts = NO_DAYS, np.zeros(0, np.int64)
        if refunds is not None:
            inside = _inside(refunds.day, days)
            self._refund_days, self._refund_amounts = refunds.day[inside], refunds.amount[inside]
        self._open_days = facts.open_days[_inside(facts.open_days, days)]
        shown = [orders.orders.day[orders.shown], self._refund_days, self._open_days]
        self.dates = np.unique(np.concatenate(shown)).astype(np.int32)
        self._size = len(self.dates)
        self._counts = orders.counts
        # Days of orders that are not shown may be none of these; they are never added up.
        at = np.searchsorted(self.dates, orders.orders.day)
        self._day = np.minimum(at, max(self._size - 1, 0)).astype(np.int32)
        lines = facts.lines
        self._day_of_line = NO_DAYS if lines is None else self._day[lines.order]

    def values(self) -> dict[str, Int64s]:
        """Return the sums of each day by measure; 0 where the contract has none."""
        orders, lines = self._facts.orders, self._facts.lines
        columns, has_user = orders.orders, orders.orders.has_user
        at = np.searchsorted(self.dates, self._refund_days)
        money = self._sum_lines(None if lines is None else lines.money)
        return {
            ORDERS: self._count(orders.counts),
            "returned": self._count(orders.counts & orders.returned),
            "known": self._count(orders.counts & has_user) if has_user is not None else self._none,
            "excluded": self._count(orders.excluded),
            "other": self._count(orders.other),
            "open": self._count_days(self._open_days),
            "refund_rows": self._count_days(self._refund_days),
            "refunded": fixed_point.sums(at, self._refund_amounts, self._size),
            "refund": self._sum_orders(columns.refund),
            "discount": self._sum_orders(columns.discount),
            "total": self._sum_orders(None if self._has_lines else columns.total),
            "pieces": self._pieces(),
            LINES: self._count_lines(),
            "without_lines": self._count(orders.counts & ~self._has_line()),
            "money": money,
            "before": money
            if lines is None or lines.before is None
            else self._sum_lines(lines.before),
            "unknown": self._sum_lines(None if lines is None else lines.unknown),
            "line_discount": self._sum_lines(None if lines is None else lines.discount),
        }

    @property
    def _none(self) -> Int64s:
        return np.zeros(self._size, np.int64)

    @property
    def _has_lines(self) -> bool:
        return "order_items" in self._shop.datasets

    def _has_line(self) -> Mask:
        """Mark the orders of which a line counts; all of them where the contract has no lines."""
        lines = self._facts.lines
        found = np.full(len(self._counts), not self._has_lines)
        if lines is not None:
            found[lines.order] = True
        return found

    def _pieces(self) -> Int64s:
        lines = self._facts.lines
        if not self._has_lines:
            return self._sum_orders(self._facts.orders.orders.quantity)
        if lines is None or lines.quantity is None:
            return self._count_lines() * ONE_QUANTITY
        return self._sum_lines(lines.quantity)

    def _count(self, which: Mask) -> Int64s:
        """Orders of each day."""
        if not self._size:
            return self._none
        return np.bincount(self._day[which], minlength=self._size).astype(np.int64)

    def _count_days(self, days: Days) -> Int64s:
        at = np.searchsorted(self.dates, days)
        return np.bincount(at, minlength=self._size).astype(np.int64)

    def _sum_orders(self, units: Int64s | None) -> Int64s:
        if units is None:
            return self._none
        which = self._counts
        return fixed_point.sums(self._day[which], units[which], self._size)

    def _sum_lines(self, units: Int64s | Mask | None) -> Int64s:
        if units is None:
            return self._none
        return fixed_point.sums(self._day_of_line, units.astype(np.int64, copy=False), self._size)

    def _count_lines(self) -> Int64s:
        return np.bincount(self._day_of_line, minlength=self._size).astype(np.int64)

    def customers(self) -> Int64s:
        """Count the distinct known customers of each day."""
        orders = self._facts.orders
        users, has_user = orders.orders.users, orders.orders.has_user
        if users is None or has_user is None:
            return self._none
        which = np.flatnonzero(orders.counts & has_user)
        if not len(which):
            return self._none
        # Only days that have one are numbered.
        day = self._day[which]
        has_one = np.bincount(day, minlength=self._size) > 0
        number = (np.cumsum(has_one) - 1).astype(np.int32)
        total = self._none
        total[has_one] = count_customers(
            number[day], users.take(which), int(has_one.sum()), self._execution
        )
        return total

    def groups(self, of_lines: Codes | None, texts: list[str], grouping: Grouping) -> ShopGroups:
        """Add lines up by day and group.

        Args:
            of_lines: Code of the group of each line; None without lines.
            texts: Text of each code.
            grouping: Which sums.
        """
        known = sorted(set(texts))
        width = max(len(known), 1)
        possible = self._size * width
        code = _ranks(texts, known)[np.zeros(0, np.int32) if of_lines is None else of_lines]
        group = self._day_of_line.astype(np.int64) * width + code
        lines = count_groups(group, possible)
        money = sum_groups(group, self._line_money(), possible)
        orders, returned = self._count_orders(code, width)
        found = lines.non_zero()
        values = {
            LINES: lines.at(found),
            ORDERS: orders.at(found),
            "returned": returned.at(found),
            "money": money.at(found),
        }
        if any(one.name == "pieces" for one in grouping.measures):
            values["pieces"] = self._group_pieces(group, lines, possible).at(found)
        return ShopGroups(day=found // width, code=found % width, names=known, values=values)

    def _group_pieces(self, group: Int64s, lines: GroupSums, possible: int) -> GroupSums:
        """Add up the pieces of each group, of whose lines the number is known."""
        of_lines = self._facts.lines
        if of_lines is None or of_lines.quantity is None:
            return GroupSums(lines.codes, lines.sums * ONE_QUANTITY)
        return sum_groups(group, of_lines.quantity, possible)

    def _line_money(self) -> Int64s:
        lines = self._facts.lines
        if lines is None or lines.money is None:
            return np.zeros(0 if lines is None else len(lines), np.int64)
        return lines.money

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


def has_money(shop: Shop) -> bool:
    """Return whether the contract has money of lines."""
    return shop.has("order_items", *MONEY_OF_A_LINE)


def _inside(of: Days, days: Days | None) -> Mask:
    return np.ones(len(of), bool) if days is None else np.isin(of, days)


def _ranks(names: list[str], known: list[str]) -> Positions:
    """Return the place of each name in ascending order."""
    places = {name: place for place, name in enumerate(known)}
    return np.array([places[name] for name in names], np.int64)
