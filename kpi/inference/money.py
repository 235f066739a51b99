"""How the money of a line is said: tried on the rows, and weighed by the words of headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from kpi.inference.fees import judge_by_fees
from kpi.inference.money_evidence import (
    CENT,
    DISCOUNT_ROLES,
    Way,
    agree,
    is_of_order,
    judge_by_product,
    judge_by_relations,
    judge_by_totals,
    reduce_by,
    stands_once,
)
from kpi.inference.piece_discounts import judge_by_pieces, read_discount
from kpi.inference.roles import is_discount, is_money, is_unit_price, may_be_money
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.taxes import amounts_with_tax, price_with_tax, with_tax
from kpi.inference.unnamed_money import (
    amounts_by_relation,
    discounts_by_relation,
    open_discounts,
)
from kpi.inference.usual_prices import judge_by_usual_price
from kpi.inference.values import Column, Floats
from kpi.inference.whole_orders import (
    is_of_whole_order,
    repeats_discount,
    sum_of_orders,
)

CLOSE = 0.15
"""Difference of weight below which the rows do not decide between two ways."""

FOOTER_ROWS = 3
"""Rows of totals below the lines of a report at most."""

NET = frozenset({"net", "netto", "neto", "netta", "nett"})
"""Words of prices that leave out tax, or discounts."""


@dataclass(frozen=True, kw_only=True)
class Money:
    """Money of lines.

    Attributes:
        way: The one for which most speaks; None where there is no money.
        rivals: Others that the rows do not rule out, and that give other amounts.
        order_discounts: Discounts of whole orders, and their share of the revenue.
        repeated: Amounts and discounts of whole orders that stand again on each line.
    """

    way: Way | None
    rivals: tuple[Way, ...] = ()
    order_discounts: tuple[tuple[Column, float], ...] = field(default=())
    repeated: tuple[Column, ...] = ()


def find_money(structure: Structure, tables: Sequence[Table]) -> Money:
    """Find how the money of a line is said."""
    lines = structure.lines
    quantity = _filled(structure.quantity, len(lines.columns[0].cells), default=1.0)
    price = price_with_tax(structure, tables)
    roles = (structure.quantity, structure.order_id, structure.line_order, structure.product)
    taken = {id(one) for one in roles}
    amounts = [
        one
        for one in lines.columns
        if is_money(one) and id(one) not in taken and (one.has_headers or price is None)
    ]
    repeated = [one for one in amounts if is_of_whole_order(one, structure)]
    taken |= {id(one) for one in repeated}
    amounts = [one for one in amounts if id(one) not in taken]
    if not amounts and price is None:
        amounts = [one for one in lines.columns if may_be_money(one) and id(one) not in taken]
    discounts = [
        one
        for one in lines.columns
        if is_discount(one) and _is_used(one) and not stands_once(one, structure)
    ]
    repeated += [one for one in discounts if _is_repeated(one, amounts, quantity, structure)]
    taken |= {id(one) for one in (*amounts, *discounts)}
    discounts = [one for one in discounts if all(one is not other for other in repeated)]
    related = amounts_by_relation(lines.columns, amounts, quantity, taken)
    related += amounts_with_tax(lines.columns, amounts, quantity, taken)
    amounts += related
    taken |= {id(one) for one in related}
    discounts += discounts_by_relation(lines.columns, amounts, quantity, taken)
    of_product = _of_product(structure, price) if price is not None else None
    sources = [(one, one.numbers) for one in amounts]
    if price is not None and of_product is not None and not amounts:
        sources = [(price, of_product)]
    ways: list[Way] = []
    for column, numbers in sources:
        ways += _ways_of(column, numbers, quantity, discounts, structure)
    ways = [judge_by_relations(one, amounts, quantity, discounts) for one in ways]
    ways = [judge_by_pieces(one, amounts, structure, quantity, discounts) for one in ways]
    ways = [judge_by_product(one, of_product, quantity, structure) for one in ways]
    ways = [judge_by_usual_price(one, structure, quantity, discounts) for one in ways]
    ways = [judge_by_totals(one, structure) for one in ways]
    of_lines = [one for one in amounts if not (structure.is_flat and is_of_order(one, structure))]
    ways = judge_by_fees(ways, of_lines, lines.columns)
    ways.sort(key=lambda one: -one.weight)
    if not ways:
        return Money(way=None, repeated=tuple(repeated))
    first = _stated(ways)
    rivals = [
        one
        for one in ways[1:]
        if one.weight > first.weight - CLOSE and not _same(one.amounts, first.amounts)
    ]
    rivals += _readings_of_net(first, ways, rivals)
    first, rivals = with_tax(first, ways, rivals, lines.columns, quantity)
    first = _stated([first, *ways])
    first, rivals = read_discount(first, rivals, structure, quantity, lines.columns)
    if [role for role, _ in first.roles] == ["unit_price"] and not discounts:
        taken |= {id(column) for column in discounts}
        open_ones = open_discounts(lines.columns, amounts, quantity, taken)
        rivals += _with_discounts(first, open_ones)
    return Money(
        way=first,
        rivals=tuple(rivals),
        order_discounts=_order_discounts(structure, first),
        repeated=tuple(repeated),
    )


def _readings_of_net(first: Way, ways: Sequence[Way], known: Sequence[Way]) -> list[Way]:
    """List the other readings of a net price that no rows decide.

    A net price is one without tax in German, and one after discounts in English.
    """
    column = first.roles[0][1]
    is_net = "price" in column.meaning and not NET.isdisjoint(column.meaning.words)
    if not is_net or len(first.evidence) > 1:
        return []
    return [
        one
        for one in ways
        if len(one.roles) == 1
        and one.roles[0][1] is column
        and all(one is not other for other in (first, *known))
        and not _same(one.amounts, first.amounts)
    ]


def _stated(ways: Sequence[Way]) -> Way:
    """Give the best way; where another column states its amounts, that column.

    A shop rounds its own amounts; computed ones are not rounded line by line.
    """
    best = ways[0]
    if len(best.roles) == 1:
        return best
    for way in ways[1:]:
        is_amount = [role for role, _ in way.roles] == ["after_discount"]
        if is_amount and way.weight > 0 and _states(way, best):
            return way.with_evidence(max(0.0, best.weight - way.weight), best.evidence[-1])
    return best


def _with_discounts(way: Way, discounts: Sequence[Column]) -> list[Way]:
    """Offer columns that may be discounts of a price: no other amount tells."""
    found = []
    for column in discounts:
        sizes = np.abs(column.amounts)
        fits = {role: _discount_fit(role, sizes, column) for role in DISCOUNT_ROLES}
        if (sizes > np.abs(way.amounts) + CENT).any():
            # Nothing is reduced by more than it costs.
            fits["discount"] = 0.0
        role = max(fits, key=lambda one: fits[one])
        after = reduce_by(way.amounts, sizes, role)
        roles = (*way.roles, (role, column))
        found.append(_way(roles, after, way.weight, f"less {column.header.strip()!r}"))
    return found


def unknown_ways(structure: Structure, repeated: Sequence[Column]) -> list[Way]:
    """List the numbers of a line that no word of a header names, each as price and as amount.

    What stands for the whole order on each of its lines is no money of one.
    """
    roles = (structure.quantity, structure.order_id, structure.line_order, structure.product)
    taken = (*roles, *repeated)
    rows = structure.lines.rows
    quantity = _filled(structure.quantity, rows, default=1.0)
    found = []
    for column in structure.lines.columns:
        if not column.is_number or column.numbers is None or any(column is one for one in taken):
            continue
        if column.meaning.has("id", "customer", "stock", "percent", "category"):
            continue
        note = f"{column.amounts.min():g} to {column.amounts.max():g}"
        found.append(_way((("after_discount", column),), column.amounts, 0.0, f"line, {note}"))
        if structure.quantity is not None:
            amounts = column.amounts * quantity
            found.append(_way((("unit_price", column),), amounts, 0.0, f"of one piece, {note}"))
    return found


def _filled(column: Column | None, rows: int, *, default: float = 0.0) -> Floats:
    """Numbers of a column; 0 where a cell has none, the default where there is no column."""
    if column is None or column.numbers is None:
        return np.full(rows, default)
    return column.amounts


def _is_used(column: Column) -> bool:
    """Whether a discount is given at all."""
    return column.numbers is not None and bool(column.amounts.any())


def _is_repeated(
    column: Column, amounts: Sequence[Column], quantity: Floats, structure: Structure
) -> bool:
    """Whether lines repeat a discount of their order; a share of it is right on each line."""
    sizes = np.abs(column.amounts)
    role = max(DISCOUNT_ROLES, key=lambda one: _discount_fit(one, sizes, column))
    return role == "discount" and repeats_discount(column, amounts, quantity, structure)


def _ways_of(
    column: Column,
    numbers: Floats | None,
    quantity: Floats,
    discounts: Sequence[Column],
    structure: Structure,
) -> list[Way]:
    """List the ways in which a column of money may be meant, weighed by its words."""
    if numbers is None:
        return []
    money = np.nan_to_num(numbers)
    unit, total = is_unit_price(column), "total" in column.meaning
    is_own = column.table == structure.lines.number
    unit = unit or not is_own
    rank = -0.3 * ("before" in column.meaning) - 0.01 * column.meaning.unknown
    rank -= 0.2 * ("order" in column.meaning and not structure.is_flat)
    by_unit = rank + (1.0 if "unit" in column.meaning else 0.6 if unit else 0.1)
    by_line = rank + (0.0 if "unit" in column.meaning else 1.0 if total else 0.35)
    by_line += 0.05 * ("line" in column.meaning)
    if is_own and not column.meaning.has("price", "total", "unit") and column.has_headers:
        by_unit = by_line = 0.3
    if structure.quantity is None:
        by_line = max(by_unit, by_line)
    words = f"header {column.header!r}"
    ways = []
    if structure.quantity is not None:
        ways.append(_way((("unit_price", column),), money * quantity, by_unit, words))
    ways.append(_way((("after_discount", column),), money, by_line, words))
    for discount in discounts:
        reduction = np.abs(discount.amounts)
        bases = [("before_discount", money, by_line - 0.6)]
        if structure.quantity is not None:
            bases.append(("unit_price", money * quantity, by_unit + 0.2))
        elif unit:
            bases = [("before_discount", money, by_line + 0.1)]
        for role, (base_role, base, weight) in product(DISCOUNT_ROLES, bases):
            likely = _discount_fit(role, reduction, discount)
            if likely:
                after = reduce_by(base, reduction, role)
                if role == "discount" and (reduction > np.abs(base) + CENT).any():
                    # Nothing is reduced by more than it costs.
                    likely -= 0.3
                roles = ((base_role, column), (role, discount))
                ways.append(_way(roles, after, weight + likely, words))
    return ways


def _way(roles: tuple[tuple[str, Column], ...], amounts: Floats, weight: float, words: str) -> Way:
    return Way(roles=roles, amounts=amounts, weight=weight, evidence=(words,))


def _discount_fit(role: str, sizes: Floats, column: Column) -> float:
    """Tell how well the sizes of a discount fit a fraction, per cent or an amount; 0 for never."""
    most = float(sizes.max(initial=0.0))
    has_parts = bool((sizes % 1 > 0).any())
    percent = "percent" in column.meaning
    if role == "discount_rate":
        return 0.35 if most <= 1.0 and has_parts else 0.0
    if role == "discount_percent":
        if most > 100 or (most <= 1.0 and has_parts):
            return 0.0
        return 0.4 if percent else 0.1
    if percent:
        return 0.0
    return 0.02 if most <= 1.0 else 0.25 if has_parts or most > 100 else 0.1


def _states(way: Way, best: Way) -> bool:
    """Whether a way has the amounts of the best one, but for rows of totals below the lines."""
    rows = len(best.amounts)
    while rows and rows > len(best.amounts) - FOOTER_ROWS and best.amounts[rows - 1] == 0:
        rows -= 1
    return rows > 0 and _same(way.amounts[:rows], best.amounts[:rows])


def _same(one: Floats, other: Floats) -> bool:
    return bool(agree(one, other).all())


def _of_product(structure: Structure, price: Column) -> Floats | None:
    """Look the price of each line's product up; NaN where there is none."""
    if structure.product is None or structure.products is None or price.numbers is None:
        return None
    keys = structure.products.parent.cells
    prices = dict(zip(keys, price.numbers, strict=True))
    return np.array([prices.get(cell, np.nan) for cell in structure.product.cells])


def _order_discounts(structure: Structure, way: Way) -> tuple[tuple[Column, float], ...]:
    """Find discounts of whole orders, which no line says."""
    used = {id(column) for _, column in way.roles}
    revenue = float(np.abs(way.amounts).sum())
    found = []
    for column in structure.orders.columns:
        if id(column) in used or not is_discount(column) or not _is_used(column):
            continue
        if structure.is_flat and not is_of_order(column, structure):
            continue
        size = sum_of_orders(column, structure)
        if revenue:
            found.append((column, size / revenue))
    return tuple(found)
