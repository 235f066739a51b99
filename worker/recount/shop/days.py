"""KPI rows of some days (rules 13 to 17)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction

from kpi.aggregation.tables import (
    CATEGORY_KPIS,
    NO_CATEGORY,
    ORDER_KPIS,
    PLACES,
    PRODUCT_KPIS,
    UNKNOWN_CATEGORY,
)
from worker.recount.shop.contract import Shop
from worker.recount.shop.lookups import Lookups
from worker.recount.shop.money import (
    DISCOUNTS,
    MONEY_OF_A_LINE,
    amount,
    line_money,
    pieces,
    refund_size,
)
from worker.recount.shop.numbers import rounded
from worker.recount.shop.orders import DayFacts, Line, Order

ORDER_GROUP = "(order)"
"""Category and product of what belongs to an order and to no line (rule 14)."""

KpiRow = dict[str, str | int | Decimal | None]

ZERO = Decimal(0)


@dataclass
class _Group:
    """Lines of a category or product."""

    money: Decimal = ZERO
    pieces: Decimal = ZERO
    orders: set[str] = field(default_factory=set)
    returned: set[str] = field(default_factory=set)


@dataclass
class _Day:
    """What a day comes to."""

    orders: int = 0
    returned: int = 0
    anonymous: int = 0
    foreign: int = 0
    without_lines: int = 0
    users: set[str] = field(default_factory=set)
    revenue: Decimal = ZERO
    pieces: Decimal = ZERO
    gross: Decimal | None = ZERO
    discounts: Decimal = ZERO
    refunds: Decimal = ZERO
    categories: dict[str, _Group] = field(default_factory=lambda: defaultdict(_Group))
    products: dict[str, _Group] = field(default_factory=lambda: defaultdict(_Group))


class DaySums:
    """Adds the facts of some days up."""

    def __init__(self, shop: Shop, facts: DayFacts, days: Container[date]) -> None:
        self._shop = shop
        self._lookups = facts.lookups
        self._days: dict[date, _Day] = defaultdict(_Day)
        self._excluded: dict[date, int] = defaultdict(int)
        self._has_lines = "order_items" in shop.datasets
        self._has_money = shop.has("order_items", *MONEY_OF_A_LINE)
        for order in facts.orders.values():
            if order.day in days:
                self._add_order(order)
        for refund in facts.refunds:
            is_left_out = refund.order is not None and not refund.order.counts
            if refund.day in days and not refund.rate.is_foreign and not is_left_out:
                size = refund_size(shop.datasets["refunds"], refund.values, refund.rate)
                self._days[refund.day].refunds += size

    def rows(self) -> dict[str, dict[date, list[KpiRow]]]:
        """Return KPI table -> day -> rows, ascending by group; tables without rows too."""
        tables: dict[str, dict[date, list[KpiRow]]] = {
            name: {} for name in (ORDER_KPIS.name, CATEGORY_KPIS.name, PRODUCT_KPIS.name)
        }
        for day, sums in self._days.items():
            tables[ORDER_KPIS.name][day] = [self._order_row(day, sums)]
            for table, rows in (
                (CATEGORY_KPIS, self._category_rows(day, sums)),
                (PRODUCT_KPIS, self._product_rows(day, sums)),
            ):
                if rows:
                    tables[table.name][day] = rows
        return tables

    def _add_order(self, order: Order) -> None:
        if order.is_left_out:
            self._excluded[order.day] += 1
        elif order.is_foreign:
            self._days[order.day].foreign += 1
        else:
            self._add_counted(order, self._days[order.day])

    def _add_counted(self, order: Order, sums: _Day) -> None:
        shop, values = self._shop, order.values
        was_returned = order.was_returned(shop)
        sums.orders += 1
        sums.returned += was_returned
        user = values.get("user_id")
        if user is None:
            sums.anonymous += 1
        else:
            sums.users.add(str(user))
        discount = amount(values, "discount", order.rate)
        sums.discounts += discount
        sums.refunds += amount(values, "refund", order.rate)
        if not self._has_lines:
            sums.revenue += amount(values, "total", order.rate)
            sums.pieces += pieces(shop.datasets["orders"], values)
            return
        sums.revenue -= discount
        if discount and self._has_money:
            sums.categories[ORDER_GROUP].money -= discount
            sums.products[ORDER_GROUP].money -= discount
        sums.without_lines += not order.counted_lines
        for line in order.counted_lines:
            self._add_line(order, line, sums, was_returned=was_returned)

    def _add_line(self, order: Order, line: Line, sums: _Day, *, was_returned: bool) -> None:
        dataset = self._shop.datasets["order_items"]
        money, count = line_money(dataset, line.values, line.rate), pieces(dataset, line.values)
        sums.revenue += money.paid
        sums.discounts += money.discount
        sums.pieces += count
        is_known = sums.gross is not None and money.before is not None
        sums.gross = (sums.gross or ZERO) + (money.before or ZERO) if is_known else None
        is_returned = was_returned if line.is_returned is None else line.is_returned
        product = line.values.get("product_id")
        for group in (
            sums.categories[category_of(self._shop, self._lookups, line)],
            sums.products[NO_CATEGORY if product is None else str(product)],
        ):
            group.money += money.paid
            group.pieces += count
            group.orders.add(order.id)
            if is_returned:
                group.returned.add(order.id)

    def _order_row(self, day: date, sums: _Day) -> KpiRow:
        shop = self._shop
        has_user = shop.has("orders", "user_id")
        revenue = sums.revenue if self._says_revenue() else None
        has_refunds = shop.has("refunds", "amount", "unit_price") or shop.has("orders", "refund")
        refunds = sums.refunds if has_refunds else None
        says_before = shop.has("order_items", "unit_price", "before_discount")
        says_discount = (
            shop.has("orders", "discount")
            or shop.has("order_items", *DISCOUNTS)
            or (says_before and shop.has("order_items", "after_discount"))
        )
        has_currency = shop.has("orders", "currency") or shop.has("order_items", "currency")
        has_pieces = self._has_lines or shop.has("orders", "quantity")
        return {
            "order_date": day.isoformat(),
            "total_orders": sums.orders,
            "total_revenue": _money(revenue),
            "total_items_sold": _count(sums.pieces) if has_pieces else None,
            "return_rate": _rate(sums.returned, sums.orders),
            "unique_customers": len(sums.users) if has_user else None,
            "gross_sales": _money(sums.gross) if says_before else None,
            "discounts": _money(sums.discounts) if says_discount else None,
            "refunds": _money(refunds),
            "net_sales": None if revenue is None or refunds is None else _money(revenue - refunds),
            "avg_order_value": _average(revenue, sums.orders),
            "excluded_orders": self._excluded[day] if self._excludes() else None,
            "anonymous_orders": sums.anonymous if has_user else None,
            "other_currency_orders": sums.foreign if has_currency else None,
            "orders_without_promise": sums.orders if self._has_lines else None,
            "orders_without_items": sums.without_lines if self._has_lines else None,
        }

    def _says_revenue(self) -> bool:
        return self._has_money if self._has_lines else self._shop.has("orders", "total")

    def _excludes(self) -> bool:
        return any(dataset.excluded for dataset in self._shop.datasets.values())

    def _category_rows(self, day: date, sums: _Day) -> list[KpiRow]:
        says_category = self._shop.has("order_items", "category")
        if not (self._has_lines and (says_category or "products" in self._shop.datasets)):
            return []
        return [
            {
                "order_date": day.isoformat(),
                "category": name,
                "daily_revenue": _money(group.money if self._has_money else None),
                "avg_order_value": _average(
                    group.money if self._has_money else None, len(group.orders)
                ),
                "avg_return_rate": _rate(len(group.returned), len(group.orders)),
            }
            for name, group in sorted(sums.categories.items())
        ]

    def _product_rows(self, day: date, sums: _Day) -> list[KpiRow]:
        if not self._shop.has("order_items", "product_id"):
            return []
        return [
            {
                "order_date": day.isoformat(),
                "product_id": name,
                "units_sold": _count(group.pieces),
                "revenue": _money(group.money if self._has_money else None),
                "orders": len(group.orders),
                "return_rate": _rate(len(group.returned), len(group.orders)),
            }
            for name, group in sorted(sums.products.items())
        ]


def category_of(shop: Shop, lookups: Lookups, line: Line) -> str:
    """Return the category of a line: its own, else that of its product (rule 17)."""
    if "category" in line.missing:
        return UNKNOWN_CATEGORY
    own, product_id = line.values.get("category"), line.values.get("product_id")
    if own is not None:
        return str(own)
    if "products" not in shop.datasets or product_id is None:
        return NO_CATEGORY
    product = lookups.product(str(product_id))
    if product is None or "category" in product.missing:
        return UNKNOWN_CATEGORY
    category = product.values.get("category")
    return NO_CATEGORY if category is None else str(category)


def _money(exact: Decimal | None) -> Decimal | None:
    return None if exact is None else rounded(exact, PLACES["money"])


def _average(exact: Decimal | None, count: int) -> Decimal | None:
    if exact is None or not count:
        return None
    return rounded(Fraction(exact) / count, PLACES["money"])


def _rate(part: int, whole: int) -> Decimal | None:
    return rounded(Fraction(part, whole), PLACES["rate"]) if whole else None


def _count(exact: Decimal) -> int | Decimal:
    """Return a whole number as such, another with the places that it has."""
    return int(exact) if exact == int(exact) else exact.normalize()
