"""How the money of a line is said: tried on the rows, and weighed by the words of headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from kpi.inference.roles import is_discount, is_money, is_unit_price, may_be_money
from kpi.inference.structure import Structure, price_of_product
from kpi.inference.tables import Table
from kpi.inference.values import Column, Floats
from kpi.kernels.arrays import Mask

CENT = 0.0101
"""Difference at most between two amounts that are one: each may be rounded to a cent."""

SURE_SHARE = 0.9
"""Rows that must agree for a relation of columns to hold."""

SOME_SHARE = 0.5
"""Rows whose agreement is evidence: shops cap prices, and change them."""

MIN_ROWS = 2
"""Rows that say something, below which nothing is concluded."""

CLOSE = 0.15
"""Difference of weight below which the rows do not decide between two ways."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to get the money of a line.

    Attributes:
        roles: Role of [order_items] -> column of the line or, for a price, of its product.
        amounts: Money of each line.
        weight: Evidence for it.
        evidence: What speaks for it, in words.
    """

    roles: tuple[tuple[str, Column], ...]
    amounts: Floats
    weight: float
    evidence: tuple[str, ...] = ()

    def with_evidence(self, weight: float, text: str) -> Way:
        """Add evidence."""
        return Way(
            roles=self.roles,
            amounts=self.amounts,
            weight=self.weight + weight,
            evidence=(*self.evidence, text),
        )


@dataclass(frozen=True, kw_only=True)
class Money:
    """Money of lines.

    Attributes:
        way: The one for which most speaks; None where there is no money.
        rivals: Others that the rows do not rule out, and that give other amounts.
        order_discounts: Discounts of whole orders, and their share of the revenue.
    """

    way: Way | None
    rivals: tuple[Way, ...] = ()
    order_discounts: tuple[tuple[Column, float], ...] = field(default=())


def find_money(structure: Structure, tables: Sequence[Table]) -> Money:
    """Find how the money of a line is said."""
    lines = structure.lines
    quantity = _filled(structure.quantity, len(lines.columns[0].cells), default=1.0)
    price = price_of_product(structure, tables)
    taken = {
        id(one)
        for one in (
            *(structure.quantity, structure.order_id, structure.line_order, structure.product),
        )
    }
    amounts = [
        one
        for one in lines.columns
        if is_money(one) and id(one) not in taken and (one.has_headers or price is None)
    ]
    if not amounts and price is None:
        amounts = [one for one in lines.columns if may_be_money(one) and id(one) not in taken]
    discounts = [
        one
        for one in lines.columns
        if is_discount(one) and _is_used(one) and not _stands_once(one, structure)
    ]
    of_product = _of_product(structure, price) if price is not None else None
    ways: list[Way] = []
    for column in amounts:
        ways += _ways_of(column, column.numbers, quantity, discounts, structure)
    if price is not None and of_product is not None and not amounts:
        ways += _ways_of(price, of_product, quantity, discounts, structure)
    ways = [_judge_by_relations(one, amounts, quantity, discounts) for one in ways]
    ways = [_judge_by_product(one, of_product, quantity, structure) for one in ways]
    ways = [_judge_by_totals(one, structure) for one in ways]
    ways.sort(key=lambda one: -one.weight)
    if not ways:
        return Money(way=None)
    first = ways[0]
    rivals = tuple(
        one
        for one in ways[1:]
        if one.weight > first.weight - CLOSE and not _same(one.amounts, first.amounts)
    )
    return Money(way=first, rivals=rivals, order_discounts=_order_discounts(structure, first))


def unknown_ways(structure: Structure) -> list[Way]:
    """List the numbers of a line that no word of a header names, each as price and as amount."""
    taken = (structure.quantity, structure.order_id, structure.line_order, structure.product)
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
    unit = unit or (not column.has_headers and column.table != structure.lines.number)
    rank = -0.3 * ("before" in column.meaning) - 0.01 * column.meaning.unknown
    rank -= 0.2 * ("order" in column.meaning and not structure.is_flat)
    by_unit = rank + (1.0 if "unit" in column.meaning else 0.6 if unit else 0.1)
    by_line = rank + (0.0 if "unit" in column.meaning else 1.0 if total else 0.35)
    by_line += 0.05 * ("line" in column.meaning)
    if not column.meaning.has("price", "total", "unit") and column.has_headers:
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
        for role, (base_role, base, weight) in product(_DISCOUNT_ROLES, bases):
            likely = _discount_fit(role, reduction, discount)
            if likely:
                after = _reduce(base, reduction, role)
                roles = ((base_role, column), (role, discount))
                ways.append(_way(roles, after, weight + likely, words))
    return ways


_DISCOUNT_ROLES = ("discount", "discount_rate", "discount_percent")


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


def _reduce(base: Floats, sizes: Floats, role: str) -> Floats:
    if role == "discount":
        return base - sizes
    return base * (1 - (sizes if role == "discount_rate" else sizes / 100))


def _same(one: Floats, other: Floats) -> bool:
    return bool(_agree(one, other).all())


def _agree(one: Floats, other: Floats) -> Mask:
    """Tell where two amounts are one, but for rounding."""
    return np.asarray(np.abs(one - other) <= np.maximum(CENT, 1e-6 * np.abs(other)))


def _judge_by_relations(
    way: Way, amounts: Sequence[Column], quantity: Floats, discounts: Sequence[Column]
) -> Way:
    """Weigh a way by whether it gives another column of the line."""
    names = {id(column) for _, column in way.roles}
    if len(way.roles) == 1 and way.roles[0][0] == "unit_price" and discounts:
        # A total that leaves the discounts out is one before them.
        return way
    if len(way.roles) > 1 or way.roles[0][0] == "unit_price":
        for column in amounts:
            if id(column) in names or column.numbers is None:
                continue
            telling = _telling(way, quantity)
            share = _share(way.amounts, column.amounts, telling)
            if share >= SURE_SHARE and "before" not in column.meaning:
                text = f"gives {column.header!r} in {share:.0%} of the lines"
                return way.with_evidence(0.5, text)
        return way
    column = way.roles[0][1]
    others = [one for one in amounts if one is not column and one.numbers is not None]
    found = [(0.0, 0.0, "")]
    for other in others:
        if not discounts:
            share = _share(other.amounts * quantity, way.amounts, quantity != 1)
            text = f"is {other.header!r} x quantity in {share:.0%} of the lines"
            found.append((share, 0.8, text))
        for discount in discounts:
            if _is_before(way, other, quantity, discount):
                return way.with_evidence(-1.0, "stands before the discounts")
            found.append(_reduced(way, other, quantity, discount))
    share, weight, text = max(found)
    return way.with_evidence(weight, text) if share > SOME_SHARE else way


def _is_before(way: Way, other: Column, quantity: Floats, discount: Column) -> bool:
    """Whether an amount is a price x quantity, or one before discounts, in spite of a discount."""
    given = np.abs(discount.amounts) > 0
    unit = other.amounts * quantity
    share = _share(unit, way.amounts, given & (unit != 0))
    if other.meaning.has("before"):
        share = max(share, _share(other.amounts, way.amounts, given))
    return share >= SURE_SHARE


def _reduced(
    way: Way, other: Column, quantity: Floats, discount: Column
) -> tuple[float, float, str]:
    """Compare an amount with another one less a discount: (share, weight, evidence)."""
    sizes = np.abs(discount.amounts)
    share = max(
        _share(_reduce(base, sizes, role), way.amounts, sizes > 0)
        for role in _DISCOUNT_ROLES
        for base in (other.amounts * quantity, other.amounts)
    )
    text = f"is {other.header!r} less {discount.header!r} in {share:.0%} of the lines with one"
    return share, 1.2, text


def _telling(way: Way, quantity: Floats) -> Mask:
    telling = quantity != 1
    for role, column in way.roles:
        if role in _DISCOUNT_ROLES and column.numbers is not None:
            telling = np.abs(column.amounts) > 0
    return np.asarray(telling)


def _share(one: Floats, other: Floats, rows: Mask) -> float:
    """Share of some rows in which two amounts are one; 0 for too few rows."""
    rows = rows & ((one != 0) | (other != 0))
    if rows.sum() < MIN_ROWS:
        return 0.0
    return float(_agree(one[rows], other[rows]).mean())


def _of_product(structure: Structure, price: Column) -> Floats | None:
    """Look the price of each line's product up; NaN where there is none."""
    if structure.product is None or structure.products is None or price.numbers is None:
        return None
    keys = structure.products.parent.cells
    prices = dict(zip(keys, price.numbers, strict=True))
    return np.array([prices.get(cell, np.nan) for cell in structure.product.cells])


def _judge_by_product(
    way: Way, of_product: Floats | None, quantity: Floats, structure: Structure
) -> Way:
    """Weigh a way by the price of its product, or by what other lines of the product say."""
    role, column = way.roles[0]
    if structure.quantity is None or role not in ("unit_price", "after_discount"):
        return way
    if column.numbers is None or len(column.numbers) != len(quantity):
        return way
    money = column.amounts
    rows = quantity > 1
    if of_product is not None:
        known = rows & ~np.isnan(of_product)
        price = np.nan_to_num(of_product)
        share = _share(money, price * (quantity if role == "after_discount" else 1.0), known)
        if share >= SOME_SHARE:
            what = "price x quantity" if role == "after_discount" else "price"
            return way.with_evidence(share, f"is the product's {what} in {share:.0%} of the lines")
    constant = _constancy(
        structure, money if role == "unit_price" else money / np.where(quantity, quantity, 1)
    )
    if constant >= SURE_SHARE:
        what = "alike for a product whatever the quantity"
        return way.with_evidence(0.6, f"{what}, {constant:.0%} of the products")
    if role == "after_discount" and _constancy(structure, money) >= SURE_SHARE:
        return way.with_evidence(-0.4, "alike for a product whatever the quantity")
    return way


def _constancy(structure: Structure, money: Floats) -> float:
    """Share of the products whose price is one in all quantities that it was sold in."""
    if (
        structure.product is None
        or structure.quantity is None
        or structure.quantity.numbers is None
    ):
        return 0.0
    quantity = structure.quantity.amounts
    groups: dict[str, dict[float, float]] = {}
    for cell, pieces, amount in zip(structure.product.cells, quantity, money, strict=True):
        if cell and pieces:
            groups.setdefault(cell, {}).setdefault(pieces, amount)
    several = [list(one.values()) for one in groups.values() if len(one) > 1]
    if len(several) < MIN_ROWS:
        return 0.0
    return sum(max(one) - min(one) <= CENT + 0.005 * max(map(abs, one)) for one in several) / len(
        several
    )


def _judge_by_totals(way: Way, structure: Structure) -> Way:
    """Weigh a way by whether its lines add up to a total of their order."""
    best_share, best_header = 0.0, ""
    for column in structure.orders.columns:
        if any(column is one for _, one in way.roles) or column.numbers is None:
            continue
        if not ("total" in column.meaning or "price" in column.meaning) or not is_money(column):
            continue
        if structure.is_flat and not _is_of_order(column, structure):
            continue
        share = _totals_share(way.amounts, structure, column)
        if share > best_share:
            best_share, best_header = share, column.header
    if best_share >= SOME_SHARE:
        text = f"adds up to {best_header!r} in {best_share:.0%} of the orders"
        return way.with_evidence(1.5 * best_share, text)
    return way


def _is_of_order(column: Column, structure: Structure) -> bool:
    """Whether a column of a flat table says something of the order, once or on each row."""
    several: dict[str, set[str]] = {}
    for key, cell in zip(structure.order_id.cells, column.cells, strict=True):
        if cell:
            several.setdefault(key, set()).add(cell)
    repeated = len(structure.order_id.distinct) < 0.95 * structure.order_id.filled
    return repeated and all(len(one) == 1 for one in several.values())


def _stands_once(column: Column, structure: Structure) -> bool:
    """Whether a column of a flat table has a value on one row of each order only."""
    if not structure.is_flat or column.fill_share == 1.0:
        return False
    return _is_of_order(column, structure)


def _totals_share(amounts: Floats, structure: Structure, column: Column) -> float:
    """Share of the orders whose lines add up to a column."""
    sums: dict[str, float] = {}
    for key, amount in zip(structure.line_order.cells, amounts, strict=True):
        sums[key] = sums.get(key, 0.0) + float(amount)
    totals: dict[str, float] = {}
    numbers = column.numbers if column.numbers is not None else np.zeros(0)
    for key, total in zip(structure.order_id.cells, numbers, strict=True):
        if not np.isnan(total):
            totals.setdefault(key, float(total))
    both = [(sums[key], total) for key, total in totals.items() if key in sums and total]
    if len(both) < MIN_ROWS:
        return 0.0
    pairs = np.array(both)
    return float(_agree(pairs[:, 0], pairs[:, 1]).mean())


def _order_discounts(structure: Structure, way: Way) -> tuple[tuple[Column, float], ...]:
    """Find discounts of whole orders, which no line says."""
    used = {id(column) for _, column in way.roles}
    revenue = float(np.abs(way.amounts).sum())
    found = []
    for column in structure.orders.columns:
        if id(column) in used or not is_discount(column) or not _is_used(column):
            continue
        if structure.is_flat and not _is_of_order(column, structure):
            continue
        size = float(np.abs(column.amounts).sum())
        if revenue:
            found.append((column, size / revenue))
    return tuple(found)
