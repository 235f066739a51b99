"""Which tables of a sample hold orders, lines and products, and which of their columns is what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kpi.inference.attributes import is_attribute
from kpi.inference.categories import MIN_FIT, Cell, find_category
from kpi.inference.customers import customer_by_words
from kpi.inference.day_numbers import numbers_of_days, same_day
from kpi.inference.returned_by import ReturnedBy, ReturnList
from kpi.inference.roles import (
    category_fit,
    date_fit,
    is_discount,
    is_money,
    order_fit,
    product_fit,
    quantity_fit,
    status_fit,
)
from kpi.inference.tables import Reference, Table
from kpi.inference.values import Column


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Tables and columns of a shop; None where there is none.

    Attributes:
        orders: Table of orders.
        lines: Table of lines; the same one where each row is a line with its order.
        order_id: Of an order.
        line_order: Order of a line.
        date: Time of an order.
        dates: Other times of an order, the likeliest first.
        customer: Of an order.
        customer_note: What speaks for it beside its header.
        status: Of an order.
        line_status: Of a line.
        quantity: Of a line.
        product: Of a line.
        products: Reference from a line's product to the table of products.
        category: Of a line, through its product where it stands there.
        refunds: Table of orders that came back.
        customer_beside: Of an order, in a table beside.
        looked_up: Where statuses stand that are in a table of their own.
        are_repeated: Whether lines stand several times, of which each counts once.
        returned_by: Column of another table that says which orders or lines came back.
        returns: Column of a flat table whose rows below 0 are no sales but returns.
        are_refunds: Whether these are refunds on their own day; else they lower their order.
        goods: Condition of the lines that are goods; empty where all are.
        score: Evidence.
    """

    orders: Table
    lines: Table
    order_id: Column
    line_order: Column
    date: Cell
    dates: tuple[Cell, ...] = ()
    customer: Column | None = None
    customer_note: str = ""
    status: Column | None = None
    line_status: Column | None = None
    quantity: Column | None = None
    product: Column | None = None
    products: Reference | None = None
    category: Cell | None = None
    open_category: Column | None = None
    refunds: ReturnList | None = None
    customer_beside: Cell | None = None
    looked_up: tuple[Cell, ...] = ()
    are_repeated: bool = False
    returned_by: ReturnedBy | None = None
    returns: Column | None = None
    are_refunds: bool = False
    goods: Mapping[str, Sequence[str]] = field(default_factory=dict)
    found: float = 1.0
    score: float = 0.0

    @property
    def is_flat(self) -> bool:
        """Whether orders and lines share their rows."""
        return self.orders is self.lines


def best(columns: Iterable[Column], fit: Callable[[Column], float]) -> tuple[Column | None, float]:
    """Find the column that fits best, the first of equals."""
    chosen, most = None, MIN_FIT
    for column in columns:
        value = fit(column)
        if value > most:
            chosen, most = column, value
    return chosen, most if chosen else 0.0


def find_structure(tables: Sequence[Table], references: Sequence[Reference]) -> Structure | None:
    """Find the tables and columns for which most speaks."""
    found = [
        *(
            _flat(table, column, tables, references)
            for table in tables
            for column in (*table.columns, *numbers_of_days(table))
        ),
        *(_pair(reference, tables, references) for reference in references),
    ]
    ranked = [one for one in found if one is not None]
    if not ranked:
        return None
    return max(ranked, key=lambda one: one.score)


def _flat(
    table: Table, order_id: Column, tables: Sequence[Table], references: Sequence[Reference]
) -> Structure | None:
    """Take the rows of one table for orders and lines."""
    fit = order_fit(order_id, table)
    repeats = not order_id.is_key and len(order_id.distinct) > 2
    is_named = any(order_fit(one, table) >= MIN_FIT for one in table.columns)
    if not is_named and order_id.meaning.concepts <= {"id"} and repeats:
        # No word names it: that each of its values has one time decides below.
        fit = 0.35 if order_id.kind in ("integer", "text") else 0.0
    if fit < MIN_FIT or order_id.fill_share < 0.5 or "refund" in table.entity:
        return None
    found = _complete(table, table, order_id, order_id, tables, references)
    if found is None:
        return None
    fit *= 1.0 if order_id.fill_share == 1.0 else 0.5
    fit *= same_day(order_id, found.date.value)
    return replace(
        found, score=found.score + 2 * fit - _lines_elsewhere(order_id, tables, references)
    )


def _lines_elsewhere(
    order_id: Column, tables: Sequence[Table], references: Sequence[Reference]
) -> float:
    """Weigh the tables whose rows belong to these orders, and may be lines."""
    weights = [
        one.weight
        for one in references
        if one.parent is order_id
        and one.child.meaning.has("order")
        and not one.child.is_key
        and any(map(_is_of_lines, tables[one.child.table].columns))
    ]
    return 2.0 * max(weights, default=0.0)


def _is_of_lines(column: Column) -> bool:
    return is_money(column) or max(quantity_fit(column), product_fit(column)) > MIN_FIT


def _pair(
    reference: Reference, tables: Sequence[Table], references: Sequence[Reference]
) -> Structure | None:
    """Take the table of a reference for lines and that of the key for orders."""
    orders, lines = tables[reference.parent.table], tables[reference.child.table]
    nameless = not (reference.child.has_headers and reference.parent.has_headers)
    if not nameless:
        fit = max(order_fit(reference.parent, orders), order_fit(reference.child, lines))
        if fit < MIN_FIT:
            fit = _shape_fit(reference, orders)
        if fit < MIN_FIT:
            return None
    else:
        # Every order has lines, and the first column of a table is its own identifier.
        covered = len(reference.child.distinct & reference.parent.distinct)
        fit = 0.5 * covered / len(reference.parent.distinct)
        fit *= 0.5 if reference.child.index == 0 else 1.0
    if "refund" in lines.entity or reference.child.meaning.has("line"):
        return None
    found = _complete(orders, lines, reference.parent, reference.child, tables, references)
    if found is None or not (found.quantity or found.product or any(map(is_money, lines.columns))):
        return None
    # A table with several rows of an order is one of its states, or of payments.
    score = found.score + 0.3 + 2 * fit * reference.weight * reference.parent.unique_share
    score -= 1.0 - reference.parent.unique_share
    return replace(found, score=score, found=reference.found)


def _shape_fit(reference: Reference, orders: Table) -> float:
    """Weigh a key that no word names: of a dated table, with several rows of another one each."""
    known = set(reference.parent.meaning.concepts | reference.child.meaning.concepts)
    is_shaped = reference.parent.is_key and not reference.child.is_key
    is_dated = any(date_fit(one) > 0.5 for one in orders.columns)
    return 0.4 if known <= {"id", "line"} and is_shaped and is_dated else 0.0


def _complete(
    orders: Table,
    lines: Table,
    order_id: Column,
    line_order: Column,
    tables: Sequence[Table],
    references: Sequence[Reference],
) -> Structure | None:
    """Find the columns of all roles; None where no order has a day."""
    dates = _dates(orders, tables, references)
    if not dates:
        return None
    taken = {id(one) for one in (order_id, line_order, *order_id.joined)}
    own = [one for one in lines.columns if id(one) not in taken]
    customer, customer_weight = customer_by_words(orders, order_id)
    product, products, product_weight = _product(orders, lines, own, references, tables, line_order)
    rest = [one for one in own if one is not product or one.has_headers]
    quantity, quantity_weight = best((one for one in rest if one is not product), quantity_fit)
    stated = [one for one in orders.columns if status_fit(one) > MIN_FIT]
    owned = [one for one in stated if is_attribute(one, orders, order_id, customer)]
    status, status_weight = best((one for one in stated if one not in owned), status_fit)
    line_status = None
    if lines is not orders:
        line_status, _ = best(lines.columns, status_fit)
    category, open_category = find_category(lines, product, products, tables, references)
    nameless = not line_order.has_headers
    money = (not nameless and any(map(is_money, own))) or _price_of(products, tables) is not None
    score = (
        1.5 * dates[0][1]
        + 0.5 * customer_weight
        + quantity_weight
        + product_weight
        + (1.0 if money else 0.0)
        + 0.2 * status_weight
        + (0.3 if category else 0.0)
        + (0.2 if any(map(is_discount, own)) else 0.0)
    )
    return Structure(
        orders=orders,
        lines=lines,
        order_id=order_id,
        line_order=line_order,
        date=dates[0][0],
        dates=tuple(one for one, fit in dates[1:] if fit > dates[0][1] - 0.12),
        customer=customer,
        status=status,
        line_status=line_status,
        quantity=quantity,
        product=product,
        products=products,
        category=category,
        open_category=open_category,
        score=score,
    )


def _dates(
    orders: Table, tables: Sequence[Table], references: Sequence[Reference]
) -> list[tuple[Cell, float]]:
    """Find the times of an order, the likeliest first, each with its fit."""
    found = [(Cell.own(one), date_fit(one)) for one in orders.columns]
    for reference in references:
        if reference.child.table != orders.number or reference.found < 0.9:
            continue
        meaning = reference.child.meaning
        if not meaning.has("date", "created") or meaning.has("product", "line", "customer"):
            continue
        for column in tables[reference.parent.table].columns:
            fit = 0.9 * date_fit(column)
            found.append((Cell(column=reference.child, steps=(reference,), value=column), fit))
    fitting = [one for one in found if one[1] > MIN_FIT] or _only_date(orders)
    return sorted(fitting, key=lambda one: -one[1])


def _only_date(orders: Table) -> list[tuple[Cell, float]]:
    """Take the only time of a table where it is that of a payment or delivery."""
    dates = [one for one in orders.columns if one.kind == "date"]
    if len(dates) != 1 or dates[0].meaning.has("customer", "product", "refund", "stock"):
        return []
    return [(Cell.own(dates[0]), MIN_FIT)]


def _product(
    orders: Table,
    lines: Table,
    own: Sequence[Column],
    references: Sequence[Reference],
    tables: Sequence[Table],
    line_order: Column,
) -> tuple[Column | None, Reference | None, float]:
    """Find the product of a line, and the table that says more of it."""
    known: dict[int, Reference] = {}
    for reference in references:
        table = tables[reference.parent.table]
        if reference.child.table != lines.number or table.number in (orders.number, lines.number):
            continue
        unfit = ("customer", "other_entity", "date", "category", "sub", "status")
        if reference.child.meaning.has(*unfit):
            continue
        if reference.parent.meaning.has("order") or not _describes_products(reference, table):
            continue
        before = known.get(reference.child.index)
        if before is None or _rank(reference) > _rank(before):
            known[reference.child.index] = reference

    def fit(column: Column) -> float:
        reference = known.get(column.index)
        bonus = 0.5 + 0.5 * reference.weight if reference else 0.0
        if not column.has_headers:
            bonus *= _distinct_in_orders(column, line_order)
        return product_fit(column) + bonus

    product, weight = best(own, fit)
    return product, known.get(product.index) if product else None, min(weight, 2.0)


def _rank(reference: Reference) -> tuple[float, bool]:
    """Order references: one to a table of products comes before one to a list of their prices."""
    parent = reference.parent
    return reference.weight, len(parent.distinct) == parent.filled


def _distinct_in_orders(column: Column, line_order: Column) -> float:
    """Share of the lines whose value no other line of their order has."""
    pairs = set(zip(line_order.cells, column.cells, strict=True))
    return len(pairs) / max(len(column.cells), 1)


def _describes_products(reference: Reference, table: Table) -> bool:
    meaning = reference.child.meaning
    if not reference.child.has_headers or not reference.parent.has_headers:
        return any(one.kind == "text" for one in table.columns)
    if "product" in meaning or "product" in table.entity or "product" in reference.parent.meaning:
        return not ("order" in meaning or "customer" in table.entity)
    return any(category_fit(one) > 0.5 for one in table.columns) or any(
        is_money(one) and "price" in one.meaning for one in table.columns
    )


def _price_of(products: Reference | None, tables: Sequence[Table]) -> Column | None:
    """Find the price in the table of products."""
    if products is None:
        return None

    def fit(column: Column) -> float:
        if not column.has_headers:
            return 0.5 if is_money(column) and column is not products.parent else 0.0
        if not is_money(column) or "price" not in column.meaning:
            return 0.0
        return 1.0 - 0.2 * ("before" in column.meaning) - 0.01 * column.meaning.unknown

    return best(tables[products.parent.table].columns, fit)[0]


def price_of_product(structure: Structure, tables: Sequence[Table]) -> Column | None:
    """Find the price in the table of products."""
    return _price_of(structure.products, tables)
