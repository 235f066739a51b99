"""Count the KPIs of some days: exact ids as texts, decimals, one pass over each dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
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
from kpi.contract.model import Contract
from worker.recount import values
from worker.recount.rows import Row, Value, returned_statuses

KpiRow = dict[str, str | int | Decimal]

MOST_PROMISED = 2_147_483_647
"""A promise of more items counts as that many."""

Key = tuple[str, ...]
"""Values of key columns as texts."""


@dataclass(frozen=True)
class _Order:
    day: date
    user: str
    is_returned: bool
    promise: int | None


@dataclass(frozen=True)
class _Item:
    order: str
    product: str
    revenue: Decimal
    quantity: int
    is_returned: bool | None


@dataclass
class _Sales:
    """Sums over some items of a day."""

    revenue: Decimal = Decimal(0)
    units: int = 0
    orders: set[str] = field(default_factory=set)
    returned_orders: set[str] = field(default_factory=set)

    def add(self, item: _Item, *, is_returned: bool) -> None:
        self.revenue += item.revenue
        self.units += item.quantity
        self.orders.add(item.order)
        if is_returned:
            self.returned_orders.add(item.order)


class DayCount:
    """KPIs of some days.

    Give it the rows of every file from the earliest version to the latest: first all orders, then
    all order items, then all products. It keeps what concerns its days, and no more.
    """

    def __init__(self, contract: Contract, days: Collection[date]) -> None:
        self._contract = contract
        self._days = frozenset(days)
        self._zone = values.zone(contract.business_time_zone)
        self._returned = returned_statuses(contract)
        # Latest version so far of each order that was ever on one of the days.
        self._orders: dict[Key, tuple[str, _Order]] = {}
        self._items: dict[Key, _Item] = {}
        self._ids: frozenset[str] | None = None
        self._categories: dict[str, str] = {}
        # Greatest version so far of every key, of datasets that have a version column.
        self._versions: dict[tuple[str, Key], tuple[bool, datetime | int]] = {}

    def add_orders(self, rows: Iterable[Row]) -> None:
        """Add the orders of one file."""
        key = self._contract.datasets["orders"].key
        for row in rows:
            created = row.value("created_at")
            if not isinstance(created, datetime):
                continue
            day = created.astimezone(self._zone).date()
            identity = _key(row, key)
            if self._is_outdated("orders", identity, row):
                continue
            if (day in self._days or identity in self._orders) and row.counts():
                status = row.value("status")
                promise = row.value("num_of_item")
                order = _Order(
                    day=day,
                    user=_text(row.value("user_id")),
                    is_returned=bool(self._is_returned(status)),
                    promise=min(promise, MOST_PROMISED) if isinstance(promise, int) else None,
                )
                self._orders[identity] = (_text(row.value("order_id")), order)

    def add_items(self, rows: Iterable[Row]) -> None:
        """Add the order items of one file; all orders have been added."""
        if self._ids is None:
            self._ids = frozenset(
                order_id for order_id, order in self._orders.values() if order.day in self._days
            )
        dataset = self._contract.datasets["order_items"]
        for row in rows:
            order_id, identity = _text(row.value("order_id")), _key(row, dataset.key)
            if self._is_outdated("order_items", identity, row):
                continue
            is_ours = order_id in self._ids
            if not (is_ours or identity in self._items) or not row.counts():
                continue
            if not is_ours:
                del self._items[identity]
                continue
            price, quantity = row.value("sale_price"), row.value("quantity")
            units = quantity if isinstance(quantity, int) else 1
            amount = price if isinstance(price, Decimal) else Decimal(0)
            self._items[identity] = _Item(
                order=order_id,
                product=_text(row.value("product_id")),
                revenue=amount * units if dataset.unit_price else amount,
                quantity=units,
                is_returned=self._is_returned(row.value("status")),
            )

    def add_products(self, rows: Iterable[Row]) -> None:
        """Add the products of one file; all order items have been added."""
        sold = {item.product for item in self._items.values()}
        for row in rows:
            product = _text(row.value("id"))
            if self._is_outdated("products", (product,), row):
                continue
            if product in sold and row.counts():
                category = row.value("category")
                self._categories[product] = NO_CATEGORY if category is None else str(category)

    def _is_outdated(self, dataset: str, identity: Key, row: Row) -> bool:
        """Return whether an earlier row of the key has a greater version; note the greatest."""
        name = self._contract.datasets[dataset].version
        if name is None:
            return False
        if not row.counts():
            return True
        value = row.value(name)
        version = (True, value) if isinstance(value, datetime | int) else (False, 0)
        known = self._versions.get((dataset, identity))
        if known is not None and known > version:
            return True
        self._versions[dataset, identity] = version
        return False

    def rows(self) -> dict[str, dict[date, list[KpiRow]]]:
        """Return KPI table -> day -> rows, ascending by group; a day without orders has none."""
        orders: dict[date, dict[str, _Order]] = defaultdict(dict)
        for order_id, order in self._orders.values():
            if order.day in self._days:
                orders[order.day][order_id] = order
        items: dict[str, list[_Item]] = defaultdict(list)
        for item in self._items.values():
            items[item.order].append(item)
        tables: dict[str, dict[date, list[KpiRow]]] = {
            ORDER_KPIS.name: {},
            CATEGORY_KPIS.name: {},
            PRODUCT_KPIS.name: {},
        }
        for day, of_day in orders.items():
            by_category: dict[str, _Sales] = defaultdict(_Sales)
            by_product: dict[str, _Sales] = defaultdict(_Sales)
            total = _Sales()
            for order_id, order in of_day.items():
                for item in items[order_id]:
                    is_returned = (
                        order.is_returned if item.is_returned is None else item.is_returned
                    )
                    category = self._categories.get(item.product, UNKNOWN_CATEGORY)
                    for sales in (total, by_category[category], by_product[item.product]):
                        sales.add(item, is_returned=is_returned)
            arrived = {one: [item.quantity for item in items[one]] for one in of_day}
            row = {**_order_row(day, of_day, total), **_completeness(of_day, arrived)}
            tables[ORDER_KPIS.name][day] = [row]
            tables[CATEGORY_KPIS.name][day] = [
                _category_row(day, name, sales) for name, sales in sorted(by_category.items())
            ]
            tables[PRODUCT_KPIS.name][day] = [
                _product_row(day, name, sales) for name, sales in sorted(by_product.items())
            ]
        return tables

    def _is_returned(self, status: Value) -> bool | None:
        """Return whether a status means "returned"; None where there is none."""
        return None if status is None else values.fold(str(status)) in self._returned


def _order_row(day: date, orders: dict[str, _Order], total: _Sales) -> KpiRow:
    returned = sum(order.is_returned for order in orders.values())
    return {
        "order_date": day.isoformat(),
        "total_orders": len(orders),
        "total_revenue": _rounded(Fraction(total.revenue), PLACES["money"]),
        "total_items_sold": total.units,
        "return_rate": _rounded(Fraction(returned, len(orders)), PLACES["rate"]),
        "unique_customers": len({order.user for order in orders.values()}),
    }


def _completeness(orders: dict[str, _Order], arrived: dict[str, list[int]]) -> KpiRow:
    """Compare what orders promise with the quantities of their items."""
    promised = {one: order.promise for one, order in orders.items() if order.promise is not None}
    counts: KpiRow = {
        "orders_without_promise": len(orders) - len(promised),
        "orders_without_items": sum(not quantities for quantities in arrived.values()),
    }
    if promised:
        lacking = (promise - max(sum(arrived[one]), 0) for one, promise in promised.items())
        counts["items_expected"] = sum(promised.values())
        counts["items_missing"] = sum(max(one, 0) for one in lacking)
    return counts


def _category_row(day: date, category: str, sales: _Sales) -> KpiRow:
    count = len(sales.orders)
    return {
        "order_date": day.isoformat(),
        "category": category,
        "daily_revenue": _rounded(Fraction(sales.revenue), PLACES["money"]),
        "avg_order_value": _rounded(Fraction(sales.revenue) / count, PLACES["money"]),
        "avg_return_rate": _rounded(Fraction(len(sales.returned_orders), count), PLACES["rate"]),
    }


def _product_row(day: date, product: str, sales: _Sales) -> KpiRow:
    count = len(sales.orders)
    return {
        "order_date": day.isoformat(),
        "product_id": product,
        "units_sold": sales.units,
        "revenue": _rounded(Fraction(sales.revenue), PLACES["money"]),
        "orders": count,
        "return_rate": _rounded(Fraction(len(sales.returned_orders), count), PLACES["rate"]),
    }


def _rounded(exact: Fraction, places: int) -> Decimal:
    """Round half-even, once."""
    return Decimal(round(exact * 10**places)).scaleb(-places)


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _key(row: Row, columns: Iterable[str]) -> Key:
    return tuple(_text(row.value(name)) for name in columns)
