"""Money of whole orders that stands again on each of their lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpi.inference.money_evidence import SURE_SHARE, agree
from kpi.inference.roles import is_unit_price
from kpi.inference.structure import Structure
from kpi.inference.values import Column, Floats

AT_FIRST_SHARE = 0.9
"""First rows of orders that have a value, from which on a column without others is the order's."""

MIN_ORDERS = 3
"""Orders of several lines, all with one value, that prove it of the order without a word."""


def is_of_whole_order(column: Column, structure: Structure) -> bool:
    """Whether an amount is the order's, on each of its lines or on the first alone."""
    return repeats_total(column, structure) or stands_at_first(column, structure)


def repeats_total(column: Column, structure: Structure) -> bool:
    """Whether a column has an amount of the order on each line, and none of the line."""
    meaning = column.meaning
    if meaning.has("unit", "line", "product"):
        return False
    if "order" in meaning:
        return _orders_of_one_value(column, structure) > 0
    if is_unit_price(column) or _is_of_product(column, structure):
        return False
    return _orders_of_one_value(column, structure) >= MIN_ORDERS


def repeats_discount(
    column: Column, amounts: Sequence[Column], quantity: Floats, structure: Structure
) -> bool:
    """Whether a column of a flat table has a discount of the order on each line.

    One that leads from an amount of the line to another is of the line.
    """
    if not structure.is_flat or column.meaning.has("unit", "line", "product", "percent"):
        return False
    named = column.meaning.has("order", "total")
    if _orders_of_one_value(column, structure) < (1 if named else MIN_ORDERS):
        return False
    sizes = np.abs(column.amounts)
    rows = sizes != 0
    for before in amounts:
        for base in (before.amounts * quantity, before.amounts):
            after = (base - sizes)[rows]
            for other in amounts:
                if other is not before and agree(after, other.amounts[rows]).mean() >= SURE_SHARE:
                    return False
    return True


def stands_at_first(column: Column, structure: Structure) -> bool:
    """Whether a column has a value on the first row of each order, and on no other row of it."""
    keys = structure.order_id.cells
    if not structure.is_flat or len(keys) != len(column.cells):
        return False
    has = np.array([bool(cell) for cell in column.cells])
    first = np.array([at == 0 or key != keys[at - 1] for at, key in enumerate(keys)])
    if (~first).sum() < MIN_ORDERS:
        return False
    return bool(has[first].mean() >= AT_FIRST_SHARE and not has[~first].any())


def sum_of_orders(column: Column, structure: Structure) -> float:
    """Sum the sizes of a column of orders, each order once."""
    sizes: dict[str, float] = {}
    for key, size in zip(structure.order_id.cells, np.abs(column.amounts), strict=True):
        sizes[key] = max(sizes.get(key, 0.0), float(size))
    return sum(sizes.values())


def _orders_of_one_value(column: Column, structure: Structure) -> int:
    """Count orders whose lines differ and have one amount; 0 where one order has several."""
    values: dict[str, set[float]] = {}
    lines: dict[str, set[tuple[str, ...]]] = {}
    told = [one.cells for one in (structure.product, structure.quantity) if one is not None]
    parts = (
        list(zip(*told, strict=True)) if told else [(str(at),) for at in range(len(column.cells))]
    )
    for key, cell, amount, part in zip(
        structure.line_order.cells, column.cells, column.amounts, parts, strict=True
    ):
        if cell and key:
            values.setdefault(key, set()).add(float(amount))
            lines.setdefault(key, set()).add(part)
    if any(len(one) > 1 for one in values.values()):
        return 0
    if len(set.union(set(), *values.values())) < 2:
        return 0
    return sum(len(lines[key]) > 1 and any(one) for key, one in values.items())


def _is_of_product(column: Column, structure: Structure) -> bool:
    """Whether each product has one amount."""
    if structure.product is None:
        return False
    values: dict[str, set[str]] = {}
    for key, cell in zip(structure.product.cells, column.cells, strict=True):
        if cell:
            values.setdefault(key, set()).add(cell)
    return all(len(one) == 1 for one in values.values())
