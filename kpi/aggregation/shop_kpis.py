"""KPI rows of a shop by a contract of language 2."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import to_date
from kpi.aggregation.shop_facts import LineFacts, ShopFacts, gather_facts
from kpi.aggregation.shop_versions import LatestRows
from kpi.aggregation.tables import CATEGORY_KPIS, NO_CATEGORY, ORDER_KPIS, PRODUCT_KPIS
from kpi.contract.shop import Shop
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask

Value = str | int | Decimal | None
KpiRow = dict[str, Value]
RowsByDay = dict[date, list[KpiRow]]

ORDER_GROUP = "(order)"
"""Category and product of what belongs to an order and to no line (rule 14)."""

MONEY_SCALE, PUBLISHED_SCALE, RATE_SCALE = 4, 2, 4


@dataclass(frozen=True, kw_only=True)
class ShopKpis:
    """KPIs of all days.

    Attributes:
        tables: KPI table -> day -> its rows, ascending by group.
        facts: What they were made of.
    """

    tables: Mapping[str, RowsByDay]
    facts: ShopFacts


def compute_kpis(shop: Shop, rows: Mapping[str, LatestRows], tables: Collection[str]) -> ShopKpis:
    """Compute the rows of some KPI tables, of every day, from the latest rows of all datasets."""
    facts = gather_facts(shop, rows)
    sums = _Sums(shop, facts)
    made = {
        ORDER_KPIS.name: sums.order_rows,
        CATEGORY_KPIS.name: sums.category_rows,
        PRODUCT_KPIS.name: sums.product_rows,
    }
    return ShopKpis(tables={name: made[name]() for name in sorted(tables)}, facts=facts)


@dataclass(frozen=True)
class _Group:
    """Lines of some groups of some days, added up.

    Attributes:
        day: Number of each pair's day.
        group: Its group.
        money: Sum of its lines at 4 places.
        quantity: Pieces at 3 places.
        orders: Distinct orders with a line in it.
        returned: Those of them with a returned line.
    """

    day: Int64s
    group: list[str]
    money: Int64s
    quantity: Int64s
    orders: Int64s
    returned: Int64s


class _Sums:
    """Adds the facts up by day."""

    def __init__(self, shop: Shop, facts: ShopFacts) -> None:
        self._shop = shop
        self._facts = facts
        orders, refunds = facts.orders, facts.refunds
        shown = orders.counts | orders.other_currency
        days = [orders.day[shown]]
        if refunds is not None:
            days.append(refunds.day)
        self._dates = np.unique(np.concatenate(days))
        self._size = len(self._dates)
        self._counts = orders.counts
        # Days of orders that do not count may be none of these; they are never added up.
        self._day = np.searchsorted(self._dates, orders.day).astype(np.int64)

    def order_rows(self) -> RowsByDay:
        """Rows of `order_kpis`, one a day."""
        columns = self._order_columns()
        names = list(columns)
        rows: RowsByDay = {}
        for number, values in enumerate(zip(*columns.values(), strict=True)):
            day = to_date(int(self._dates[number]))
            rows[day] = [{"order_date": day.isoformat(), **dict(zip(names, values, strict=True))}]
        return rows

    def _order_columns(self) -> dict[str, list[Value]]:
        facts, orders = self._facts, self._facts.orders
        total = self._count(orders.counts)
        returned = self._count(orders.counts & orders.returned)
        revenue, gross, discounts = self._revenue(), self._gross(), self._discounts()
        refunds = self._refunds()
        has_user = orders.user is not None
        known = np.zeros(len(orders.counts), bool)
        users = np.zeros(self._size, np.int64)
        if orders.user is not None:
            known = orders.user.is_valid().to_numpy(zero_copy_only=False)
            users = self._distinct_users(orders.user, orders.counts & known)
        net = None if revenue is None or refunds is None else revenue - refunds
        return {
            "total_orders": total.tolist(),
            "total_revenue": _money(revenue, self._size),
            "total_items_sold": self._pieces(),
            "return_rate": _rates(returned, total),
            "unique_customers": users.tolist() if has_user else [None] * self._size,
            "gross_sales": gross,
            "discounts": _money(discounts, self._size),
            "refunds": _money(refunds, self._size),
            "net_sales": _money(net, self._size),
            "avg_order_value": _averages(revenue, total),
            "excluded_orders": self._count(orders.excluded).tolist()
            if self._has_exclusion()
            else [None] * self._size,
            "anonymous_orders": self._count(orders.counts & ~known).tolist()
            if has_user
            else [None] * self._size,
            "other_currency_orders": self._count(facts.orders.other_currency).tolist()
            if self._shop.has("orders", "currency") or self._shop.has("order_items", "currency")
            else [None] * self._size,
        }

    def category_rows(self) -> RowsByDay:
        """Rows of `category_kpis`."""
        lines = self._facts.lines
        if lines is None or lines.category is None:
            return {}
        groups = self._by_group(lines, lines.category)
        has_money = self._has_line_money()
        rows: RowsByDay = {}
        columns = zip(
            groups.day.tolist(),
            groups.group,
            _money(groups.money if has_money else None, len(groups.day)),
            _averages(groups.money if has_money else None, groups.orders),
            _rates(groups.returned, groups.orders),
            strict=True,
        )
        for day, name, money, average, rate in columns:
            self._add(
                rows,
                day,
                {
                    "category": name,
                    "daily_revenue": money,
                    "avg_order_value": average,
                    "avg_return_rate": rate,
                },
            )
        for day, amount in self._order_discounts(has_money=has_money):
            self._add(
                rows,
                day,
                {
                    "category": ORDER_GROUP,
                    "daily_revenue": amount,
                    "avg_order_value": None,
                    "avg_return_rate": None,
                },
            )
        return _sorted(rows, "category")

    def product_rows(self) -> RowsByDay:
        """Rows of `product_kpis`."""
        lines = self._facts.lines
        if lines is None or lines.product is None:
            return {}
        groups = self._by_group(lines, lines.product.cast(pa.string()).fill_null(NO_CATEGORY))
        has_money = self._has_line_money()
        rows: RowsByDay = {}
        columns = zip(
            groups.day.tolist(),
            groups.group,
            _whole(groups.quantity),
            _money(groups.money if has_money else None, len(groups.day)),
            groups.orders.tolist(),
            _rates(groups.returned, groups.orders),
            strict=True,
        )
        for day, name, units, money, orders, rate in columns:
            self._add(
                rows,
                day,
                {
                    "product_id": name,
                    "units_sold": units,
                    "revenue": money,
                    "orders": orders,
                    "return_rate": rate,
                },
            )
        for day, amount in self._order_discounts(has_money=has_money):
            self._add(
                rows,
                day,
                {
                    "product_id": ORDER_GROUP,
                    "units_sold": 0,
                    "revenue": amount,
                    "orders": 0,
                    "return_rate": None,
                },
            )
        return _sorted(rows, "product_id")

    def _add(self, rows: RowsByDay, day: int, row: KpiRow) -> None:
        of_day = to_date(int(self._dates[day]))
        rows.setdefault(of_day, []).append({"order_date": of_day.isoformat(), **row})

    def _order_discounts(self, *, has_money: bool) -> list[tuple[int, Value]]:
        """Discounts of whole orders, as a negative row (rule 14)."""
        if not (self._shop.has("orders", "discount") and has_money):
            return []
        sums = self._sum_orders(self._facts.orders.discount)
        money = _money(-sums, self._size)
        return [(day, money[day]) for day in np.flatnonzero(sums).tolist()]

    def _by_group(self, lines: LineFacts, groups: pa.Array) -> _Group:
        encoded = pc.dictionary_encode(groups)
        names = encoded.dictionary.to_pylist()
        code = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        width = max(len(names), 1)
        pair = self._day[lines.order] * width + code
        distinct = fixed_point.distinct(pair)
        number = np.searchsorted(distinct, pair)
        size = len(distinct)
        every = fixed_point.distinct(lines.order * width + code)
        returned = fixed_point.distinct((lines.order * width + code)[lines.returned])

        def orders_of(keys: Int64s) -> Int64s:
            at = np.searchsorted(distinct, self._day[keys // width] * width + keys % width)
            return np.bincount(at, minlength=size).astype(np.int64)

        return _Group(
            day=distinct // width,
            group=[names[one] for one in (distinct % width).tolist()],
            money=fixed_point.sums(number, lines.money.money, size),
            quantity=fixed_point.sums(number, lines.quantity, size),
            orders=orders_of(every),
            returned=orders_of(returned),
        )

    def _count(self, which: Mask) -> Int64s:
        """Orders of each shown day."""
        inside = which & np.isin(self._facts.orders.day, self._dates)
        return np.bincount(self._day[inside], minlength=self._size).astype(np.int64)

    def _sum_orders(self, units: Int64s) -> Int64s:
        which = self._counts
        return fixed_point.sums(self._day[which], units[which], self._size)

    def _sum_lines(self, units: Int64s) -> Int64s:
        lines = self._facts.lines
        assert lines is not None  # noqa: S101  (callers have looked)
        return fixed_point.sums(self._day[lines.order], units, self._size)

    def _distinct_users(self, users: pa.Array, which: Mask) -> Int64s:
        code = pc.dictionary_encode(users.cast(pa.string())).indices.fill_null(0)
        codes = code.to_numpy(zero_copy_only=False).astype(np.int64)
        width = int(codes.max(initial=0)) + 1
        pairs = fixed_point.distinct(self._day[which] * width + codes[which])
        return np.bincount(pairs // width, minlength=self._size).astype(np.int64)

    def _has_line_money(self) -> bool:
        return self._shop.has(
            "order_items", "unit_price", "before_discount", "discount", "after_discount"
        )

    def _has_exclusion(self) -> bool:
        return any(dataset.excluded for dataset in self._shop.datasets.values())

    def _revenue(self) -> Int64s | None:
        """Lines less the discounts of their orders; without lines the orders' totals (rule 13)."""
        lines = self._facts.lines
        if lines is None:
            if not self._shop.has("orders", "total"):
                return None
            return self._sum_orders(self._facts.orders.total)
        if not self._has_line_money():
            return None
        discount = self._sum_orders(self._facts.orders.discount)
        return fixed_point.add(self._sum_lines(lines.money.money), -discount)

    def _gross(self) -> list[Value]:
        """Money before discounts, of the days on which it is known of all lines."""
        lines = self._facts.lines
        if lines is None or not self._shop.has("order_items", "unit_price", "before_discount"):
            return [None] * self._size
        unknown = self._sum_lines((~lines.money.knows_before).astype(np.int64))
        return _where(unknown == 0, _money(self._sum_lines(lines.money.before), self._size))

    def _discounts(self) -> Int64s | None:
        shop, lines = self._shop, self._facts.lines
        of_lines = shop.has("order_items", "discount", "discount_rate", "discount_percent") or (
            shop.has("order_items", "after_discount")
            and shop.has("order_items", "unit_price", "before_discount")
        )
        if lines is None or not (of_lines or shop.has("orders", "discount")):
            return (
                self._sum_orders(self._facts.orders.discount)
                if shop.has("orders", "discount")
                else None
            )
        return fixed_point.add(
            self._sum_lines(lines.money.discount), self._sum_orders(self._facts.orders.discount)
        )

    def _refunds(self) -> Int64s | None:
        refunds = self._facts.refunds
        if refunds is not None:
            at = np.searchsorted(self._dates, refunds.day)
            return fixed_point.sums(at, refunds.amount, self._size)
        if self._shop.has("orders", "refund"):
            return self._sum_orders(self._facts.orders.refund)
        return None

    def _pieces(self) -> list[Value]:
        lines = self._facts.lines
        if lines is not None:
            return _whole(self._sum_lines(lines.quantity))
        if self._shop.has("orders", "quantity"):
            return _whole(self._sum_orders(self._facts.orders.quantity))
        return [None] * self._size


def _sorted(rows: RowsByDay, name: str) -> RowsByDay:
    return {day: sorted(rows[day], key=lambda row: str(row[name])) for day in sorted(rows)}


def _money(units: Int64s | None, size: int) -> list[Value]:
    if units is None:
        return [None] * size
    return _decimals(fixed_point.at_scale(units, MONEY_SCALE, PUBLISHED_SCALE), PUBLISHED_SCALE)


def _averages(units: Int64s | None, count: Int64s) -> list[Value]:
    if units is None:
        return [None] * len(count)
    shown = fixed_point.half_even(units, np.maximum(count, 1), MONEY_SCALE - PUBLISHED_SCALE)
    return _where(count > 0, _decimals(shown, PUBLISHED_SCALE))


def _rates(part: Int64s, whole: Int64s) -> list[Value]:
    shown = fixed_point.half_even(part * 10**RATE_SCALE, np.maximum(whole, 1))
    return _where(whole > 0, _decimals(shown, RATE_SCALE))


def _where(which: npt.NDArray[np.bool_], values: list[Value]) -> list[Value]:
    return [value if has else None for has, value in zip(which.tolist(), values, strict=True)]


def _decimals(units: Int64s, scale: int) -> list[Value]:
    return [Decimal(unit).scaleb(-scale) for unit in units.tolist()]


def _whole(units: Int64s) -> list[Value]:
    """Quantities at 3 places: whole numbers as such, others with the places that they have."""
    return [
        unit // 1000 if unit % 1000 == 0 else Decimal(unit).scaleb(-3).normalize()
        for unit in units.tolist()
    ]
