"""Columns that no word names, by what their values do: candidates that a question offers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kpi.inference.categories import Cell
from kpi.inference.customers import comes_again, determines
from kpi.inference.roles import is_money
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column

GROUP_SHARE = 0.67
"""Distinct categories for each product, above which a column says something of the product."""

SURE_SHARE = 0.95
"""Rows in which a relation must hold."""

ONCE_SHARE, AGAIN_SHARE = 0.9, 0.6
"""Lines whose product no other line of their order has, and distinct products for each line."""

MAX_SIZES = 60
"""Distinct quantities: a number with more is an amount, a place or an age."""

MAX_PIECES = 1000

MIN_ROWS = 5


def _is_unnamed(column: Column, *known: str) -> bool:
    """Whether no word of a header says what a column is, but for some words."""
    return column.has_headers and column.meaning.concepts <= {"id", "name", *known}


def _roles(structure: Structure) -> set[tuple[int, int]]:
    """Columns that have a role already."""
    cells = (structure.date, structure.category)
    columns = (
        *(structure.order_id, structure.line_order, *structure.order_id.joined),
        *(structure.customer, structure.status, structure.line_status),
        *(structure.quantity, structure.product),
        *(one.column for one in cells if one is not None),
    )
    return {(one.table, one.index) for one in columns if one is not None}


def _free(columns: Iterable[Column], structure: Structure, *known: str) -> list[Column]:
    taken = _roles(structure)
    return [
        one for one in columns if (one.table, one.index) not in taken and _is_unnamed(one, *known)
    ]


def customer_candidates(structure: Structure) -> list[Column]:
    """Find columns that have one value on each order, and the same one on some of the others."""
    if structure.customer is not None:
        return []
    return [
        one
        for one in _free(structure.orders.columns, structure, "order")
        if not {"order", "id"} <= one.meaning.concepts and comes_again(one, structure.order_id)
    ]


def category_candidates(structure: Structure, tables: Sequence[Table]) -> list[Cell]:
    """Find columns that have one value for each product, and the same one for several of them."""
    product = structure.product
    if structure.category is not None or product is None:
        return []
    found = [
        Cell.own(one)
        for one in _free(structure.lines.columns, structure, "product", "stock", "type", "line")
        if _groups(one, product.cells)
    ]
    if structure.products is not None:
        reference = structure.products
        found += [
            Cell(column=product, steps=(reference,), value=one)
            for one in tables[reference.parent.table].columns
            if one is not reference.parent
            and _is_unnamed(one, "product", "stock", "type")
            and _groups(one, reference.parent.cells)
        ]
    return found


def product_by_values(structure: Structure) -> Column | None:
    """Find the identifier of a line that comes again in other orders, and once in each."""
    if structure.product is not None:
        return structure.product
    orders = structure.line_order.cells
    for column in _free(structure.lines.columns, structure):
        if not (column.kind == "text" or (column.kind == "integer" and "id" in column.meaning)):
            continue
        pairs = {pair for pair in zip(orders, column.cells, strict=True) if pair[1]}
        is_once = len(pairs) >= ONCE_SHARE * column.filled
        comes_again = len(column.distinct) <= AGAIN_SHARE * column.filled
        is_of_order = determines(orders, column.cells)
        if column.fill_share >= SURE_SHARE and is_once and comes_again and not is_of_order:
            return column
    return None


def quantity_candidates(structure: Structure) -> list[Column]:
    """Find whole numbers that may be quantities: small, above 0, and several of most."""
    if structure.quantity is not None:
        return []
    return [
        one
        for one in _free(structure.lines.columns, structure, "product", "line", "unit")
        if "id" not in one.meaning
        and _are_pieces(one)
        and one.fill_share == 1.0
        and one.amounts.min() >= 1
        and 2 <= len(one.distinct) <= MAX_SIZES
        and one.kind == "integer"
    ]


def _groups(column: Column, products: Sequence[str]) -> bool:
    """Whether a column puts products together."""
    if column.kind != "text" or len(column.distinct) < 2:
        return False
    count = len({one for one in products if one})
    return len(column.distinct) <= GROUP_SHARE * count and determines(products, column.cells)


def quantity_by_relation(structure: Structure) -> Column | None:
    """Find whole numbers by which one amount of a line is another one: its quantity."""
    if structure.quantity is not None:
        return None
    columns = structure.lines.columns
    amounts = [
        one
        for one in columns
        if is_money(one) or (one.kind == "decimal" and _is_unnamed(one, "line", "product"))
    ]
    for column in _free(columns, structure, "line", "product", "order"):
        if not _are_pieces(column):
            continue
        for one in amounts:
            for other in amounts:
                if one is not other and _multiplies(column, one, other):
                    return column
    return None


def _are_pieces(column: Column) -> bool:
    if column.kind != "integer" or column.numbers is None or column.is_key:
        return False
    known = column.numbers[~np.isnan(column.numbers)]
    return bool(len(known)) and 0 < np.abs(known).max() <= MAX_PIECES


def _multiplies(pieces: Column, price: Column, amount: Column) -> bool:
    """Whether an amount is a price x quantity wherever the quantity is not 1."""
    rows = (pieces.amounts != 1) & (price.amounts != 0)
    if rows.sum() < MIN_ROWS:
        return False
    expected = (price.amounts * pieces.amounts)[rows]
    close = np.abs(expected - amount.amounts[rows]) <= np.maximum(0.0101, 1e-6 * np.abs(expected))
    return bool(close.mean() >= SURE_SHARE)
