"""Orders with their lines and refunds: which count, and which are returned (rules 9, 10, 20)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from worker.recount.shop.conditions import holds
from worker.recount.shop.contract import Shop
from worker.recount.shop.dates import Moment
from worker.recount.shop.latest import latest_rows
from worker.recount.shop.lookups import Files, Lookups, Resolved
from worker.recount.shop.money import Rate, Values, rate_of
from worker.recount.shop.rows import Row
from worker.recount.shop.values import Value, shown


@dataclass
class Line:
    """A line of an order.

    Attributes:
        values: Of its row, after look-ups.
        missing: Columns whose value has not come.
        rate: Of its money.
        is_excluded: Whether it adds nothing.
        is_returned: Whether it was returned; None where its order says so.
    """

    values: Values
    missing: frozenset[str]
    rate: Rate
    is_excluded: bool
    is_returned: bool | None


@dataclass
class Order:
    """An order.

    Attributes:
        id: Of the order.
        day: On which it counts.
        values: Of its row, after look-ups.
        rate: Of its money.
        is_excluded: Whether its own condition leaves it out.
        is_returned: Whether its own condition, or a refund, says so.
        lines: Its lines.
    """

    id: str
    day: date
    values: Values
    rate: Rate
    is_excluded: bool
    is_returned: bool
    lines: list[Line] = field(default_factory=list)

    @property
    def counted_lines(self) -> list[Line]:
        """Lines that are not excluded."""
        return [line for line in self.lines if not line.is_excluded]

    @property
    def is_left_out(self) -> bool:
        """Whether it is excluded, or has lines and all of them are (rule 9)."""
        return self.is_excluded or (bool(self.lines) and not self.counted_lines)

    @property
    def is_foreign(self) -> bool:
        """Whether it is in another currency without a rate (rule 20)."""
        return not self.is_left_out and (
            self.rate.is_foreign or any(line.rate.is_foreign for line in self.counted_lines)
        )

    @property
    def counts(self) -> bool:
        """Whether it counts."""
        return not self.is_left_out and not self.is_foreign

    def was_returned(self, shop: Shop) -> bool:
        """Return whether it is a returned order (rule 10)."""
        by_lines = shop.datasets["orders"].returned is None
        lines = self.counted_lines if by_lines and self.counts else []
        return self.is_returned or any(line.is_returned for line in lines)


@dataclass
class Refund:
    """A refund row that is none of an excluded kind.

    Attributes:
        values: Of its row, after look-ups.
        order: Its order; None where it is not known.
        day: On which it counts.
        rate: Of its money.
    """

    values: Values
    order: Order | None
    day: date
    rate: Rate


@dataclass(frozen=True)
class DayFacts:
    """What is known of some days.

    Attributes:
        orders: Those of the days, and those that refunds of the days name.
        refunds: Those of the days, and those that name the orders.
        lookups: Rows of references and products.
    """

    orders: dict[str, Order]
    refunds: list[Refund]
    lookups: Lookups


def gather(shop: Shop, files: Files, days: Container[date]) -> DayFacts:
    """Gather what the KPIs of some days are computed from."""
    lookups = Lookups(shop, files)
    named = _orders_of_refunds(shop, files, days)
    orders = _orders(shop, files, lookups, days, named)
    refunds = _refunds(shop, files, lookups, orders, named)
    for refund in refunds:
        if refund.order is not None:
            refund.order.is_returned = True
    if "order_items" in shop.datasets:
        _add_lines(shop, files, lookups, orders, refunds)
    return DayFacts(orders, refunds, lookups)


def _orders_of_refunds(shop: Shop, files: Files, days: Container[date]) -> set[Value]:
    """Return the orders that refund rows of the days name; None for a row that names none."""
    refunds = shop.datasets.get("refunds")
    if refunds is None:
        return set()
    created = refunds.columns.get("created_at")
    # Without orders they may return lines of any day.
    has_no_order = not refunds.has("order_id") and refunds.has("item")
    is_any_day = has_no_order or (created is not None and bool(created.steps))
    return {
        row.values.get("order_id")
        for file in files.get("refunds", ())
        for row in file.read()
        if is_any_day or _is_of(row, days)
    }


def _is_of(row: Row, days: Container[date]) -> bool:
    created = row.values.get("created_at")
    return isinstance(created, Moment) and created.day in days


def _orders(
    shop: Shop, files: Files, lookups: Lookups, days: Container[date], named: set[Value]
) -> dict[str, Order]:
    dataset = shop.datasets["orders"]
    is_any_day = bool(dataset.columns["created_at"].steps)

    def is_wanted(row: Row) -> bool:
        return is_any_day or _is_of(row, days) or row.values["order_id"] in named

    rows = latest_rows(dataset, files.get("orders", ()), is_wanted)
    lookups.prepare(dataset, rows)
    found = {}
    for row in rows:
        resolved = lookups.resolve(dataset, row, _day(row.values))
        day = _day(resolved.values)
        if day is not None and not resolved.waits(dataset):
            order_id = str(resolved.values["order_id"])
            found[order_id] = _order(shop, order_id, day, resolved.values)
    return found


def _order(shop: Shop, order_id: str, day: date, values: Values) -> Order:
    dataset = shop.datasets["orders"]
    return Order(
        id=order_id,
        day=day,
        values=values,
        rate=rate_of(dataset, values, shop.currency),
        is_excluded=holds(dataset.excluded, lambda name: shown(values[name])),
        is_returned=holds(dataset.returned or (), lambda name: shown(values[name])),
    )


def _refunds(
    shop: Shop, files: Files, lookups: Lookups, orders: dict[str, Order], named: set[Value]
) -> list[Refund]:
    dataset = shop.datasets.get("refunds")
    if dataset is None:
        return []

    def is_wanted(row: Row) -> bool:
        order_id = row.values.get("order_id")
        return order_id in named or order_id in orders

    rows = latest_rows(dataset, files.get("refunds", ()), is_wanted)
    lookups.prepare(dataset, rows)
    found = []
    for row in rows:
        order = orders.get(str(row.values.get("order_id")))
        order_day = None if order is None else order.day
        values = lookups.resolve(dataset, row, order_day or _day(row.values)).values
        day = _day(values) or order_day
        if day is None or holds(dataset.excluded, lambda name, of=values: shown(of[name])):  # type: ignore[misc]
            continue
        found.append(Refund(values, order, day, rate_of(dataset, values, shop.currency)))
    return found


def _day(values: Values) -> date | None:
    created = values.get("created_at")
    return created.day if isinstance(created, Moment) else None


def _add_lines(
    shop: Shop,
    files: Files,
    lookups: Lookups,
    orders: dict[str, Order],
    refunds: Sequence[Refund],
) -> None:
    dataset = shop.datasets["order_items"]
    rows = [
        row
        for row in latest_rows(
            dataset, files.get("order_items", ()), lambda row: row.values["order_id"] in orders
        )
        if row.values["order_id"] in orders
    ]
    lookups.prepare(dataset, rows)
    refunded = _RefundedItems(shop, refunds)
    products = []
    for row in rows:
        order = orders[str(row.values["order_id"])]
        resolved = lookups.resolve(dataset, row, order.day)
        if resolved.waits(dataset):
            continue
        order.lines.append(_line(shop, order, resolved, refunded))
        products.append(resolved.values.get("product_id"))
    lookups.prepare_products(products)


class _RefundedItems:
    """Lines that refund rows name, by the last part of their key, within their order."""

    def __init__(self, shop: Shop, refunds: Iterable[Refund]) -> None:
        dataset = shop.datasets.get("refunds")
        self.are_said = dataset is not None and dataset.has("item")
        key = shop.datasets["order_items"].key
        self._column = key[-1] if key else None
        self._has_order = dataset is not None and dataset.has("order_id")
        self._named: dict[Value, set[Value]] = defaultdict(set)
        for refund in refunds if self.are_said else ():
            self._named[refund.values["item"]].add(refund.values.get("order_id"))

    def names(self, order_id: str, values: Values) -> bool:
        """Return whether a refund row names a line."""
        if self._column is None or values[self._column] is None:
            return False
        named = self._named.get(values[self._column], set())
        return order_id in named if self._has_order else bool(named)


def _line(shop: Shop, order: Order, resolved: Resolved, refunded: _RefundedItems) -> Line:
    dataset, values = shop.datasets["order_items"], resolved.values
    is_returned = None
    if dataset.returned is not None or refunded.are_said:
        is_returned = holds(
            dataset.returned or (), lambda name: shown(values[name])
        ) or refunded.names(order.id, values)
    return Line(
        values=values,
        missing=resolved.missing,
        rate=rate_of(dataset, values, shop.currency, order.rate),
        is_excluded=holds(dataset.excluded, lambda name: shown(values[name])),
        is_returned=is_returned,
    )
