"""Evidence for how the money of a line is said: other columns, products and totals of orders."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kpi.inference.roles import is_money
from kpi.inference.structure import Structure
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

DISCOUNT_ROLES = ("discount", "discount_rate", "discount_percent")


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


def reduce_by(base: Floats, sizes: Floats, role: str) -> Floats:
    """Take a discount of some role off an amount."""
    if role == "discount":
        return base - sizes
    return base * (1 - (sizes if role == "discount_rate" else sizes / 100))


def agree(one: Floats, other: Floats) -> Mask:
    """Tell where two amounts are one, but for rounding."""
    return np.asarray(np.abs(one - other) <= np.maximum(CENT, 1e-6 * np.abs(other)))


def judge_by_relations(
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
            share = share_agreeing(way.amounts, column.amounts, telling)
            if share >= SURE_SHARE and "before" not in column.meaning:
                text = f"gives {column.header!r} in {share:.0%} of the lines"
                return way.with_evidence(0.5, text)
        return way
    column = way.roles[0][1]
    others = [one for one in amounts if one is not column and one.numbers is not None]
    found = [(0.0, 0.0, "")]
    for other in others:
        if not discounts:
            before = other.amounts * quantity
            share = share_agreeing(before, way.amounts, quantity != 1)
            text = f"is {other.header!r} x quantity in {share:.0%} of the lines"
            if _is_never_more(way.amounts, before, share):
                found.append((share, 1.5, f"{text}, and less in all others"))
            found.append((share, 0.8, text))
        for discount in discounts:
            is_net = is_reduced(other, amounts, discount)
            if not is_net and _is_before(way, other, quantity, discount):
                return way.with_evidence(-1.0, "stands before the discounts")
            found.append(_reduced(way, other, quantity, discount))
    share, weight, text = max(found)
    return way.with_evidence(weight, text) if share > SOME_SHARE else way


def _is_never_more(amounts: Floats, before: Floats, share: float) -> bool:
    """Whether an amount that is another one in most rows is less in the rest, as of discounts."""
    return SOME_SHARE < share < 1.0 and bool((amounts <= before + CENT).all())


def is_reduced(price: Column, amounts: Iterable[Column], discount: Column) -> bool:
    """Return whether a price is another one less a discount already."""
    given = np.abs(discount.amounts) > 0
    sizes = np.abs(discount.amounts)
    return any(
        share_agreeing(one.amounts - sizes, price.amounts, given) >= SURE_SHARE
        for one in amounts
        if one is not price and one is not discount and one.numbers is not None
    )


def _is_before(way: Way, other: Column, quantity: Floats, discount: Column) -> bool:
    """Whether an amount is a price x quantity, or one before discounts, in spite of a discount."""
    given = np.abs(discount.amounts) > 0
    unit = other.amounts * quantity
    share = share_agreeing(unit, way.amounts, given & (unit != 0))
    if other.meaning.has("before"):
        share = max(share, share_agreeing(other.amounts, way.amounts, given))
    return share >= SURE_SHARE


def _reduced(
    way: Way, other: Column, quantity: Floats, discount: Column
) -> tuple[float, float, str]:
    """Compare an amount with another one less a discount: (share, weight, evidence)."""
    sizes = np.abs(discount.amounts)
    share = max(
        share_agreeing(reduce_by(base, sizes, role), way.amounts, sizes > 0)
        for role in DISCOUNT_ROLES
        for base in (other.amounts * quantity, other.amounts)
    )
    text = f"is {other.header!r} less {discount.header!r} in {share:.0%} of the lines with one"
    return share, 1.2, text


def _telling(way: Way, quantity: Floats) -> Mask:
    telling = quantity != 1
    for role, column in way.roles:
        if role in DISCOUNT_ROLES and column.numbers is not None:
            telling = np.abs(column.amounts) > 0
    return np.asarray(telling)


def share_agreeing(one: Floats, other: Floats, rows: Mask) -> float:
    """Share of some rows in which two amounts are one; 0 for too few rows."""
    rows = rows & ((one != 0) | (other != 0))
    if rows.sum() < MIN_ROWS:
        return 0.0
    return float(agree(one[rows], other[rows]).mean())


def judge_by_product(
    way: Way, of_product: Floats | None, quantity: Floats, structure: Structure
) -> Way:
    """Weigh a way by the price of its product, or by what other lines of the product say."""
    role, column = way.roles[0]
    if structure.quantity is None:
        return way
    if column.numbers is None or len(column.numbers) != len(quantity):
        return way
    money = column.amounts
    rows = quantity > 1
    is_unit = role == "unit_price"
    if of_product is not None and role != "before_discount":
        known = rows & ~np.isnan(of_product)
        price = np.nan_to_num(of_product)
        share = share_agreeing(money, price * (1.0 if is_unit else quantity), known)
        if share >= SOME_SHARE:
            what = "price" if is_unit else "price x quantity"
            return way.with_evidence(share, f"is the product's {what} in {share:.0%} of the lines")
    return _judge_by_constancy(way, structure, money, quantity)


def _judge_by_constancy(way: Way, structure: Structure, money: Floats, quantity: Floats) -> Way:
    """Weigh a way by what is alike for a product in all quantities, a price or an amount."""
    is_unit = way.roles[0][0] == "unit_price"
    of_piece = money / np.where(quantity, quantity, 1)
    constant = constancy(structure, money if is_unit else of_piece)
    if constant >= SURE_SHARE:
        what = "alike for a product whatever the quantity"
        return way.with_evidence(0.6, f"{what}, {constant:.0%} of the products")
    if constancy(structure, of_piece if is_unit else money) < SURE_SHARE:
        return way
    if is_unit:
        return way.with_evidence(-0.8, "grows with the quantity of a product")
    return way.with_evidence(-0.4, "alike for a product whatever the quantity")


def constancy(structure: Structure, money: Floats) -> float:
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


def judge_by_totals(way: Way, structure: Structure) -> Way:
    """Weigh a way by whether its lines add up to a total of their order."""
    best_share, best_header = 0.0, ""
    for column in structure.orders.columns:
        if any(column is one for _, one in way.roles) or column.numbers is None:
            continue
        if not ("total" in column.meaning or "price" in column.meaning) or not is_money(column):
            continue
        if structure.is_flat and not is_of_order(column, structure):
            continue
        share = totals_share(way.amounts, structure, column)
        if share > best_share:
            best_share, best_header = share, column.header
    if best_share >= SOME_SHARE:
        text = f"adds up to {best_header!r} in {best_share:.0%} of the orders"
        return way.with_evidence(1.5 * best_share, text)
    return way


def is_of_order(column: Column, structure: Structure) -> bool:
    """Whether a column of a flat table says something of the order, once or on each row."""
    several: dict[str, set[str]] = {}
    for key, cell in zip(structure.order_id.cells, column.cells, strict=True):
        if cell:
            several.setdefault(key, set()).add(cell)
    repeated = len(structure.order_id.distinct) < 0.95 * structure.order_id.filled
    return repeated and all(len(one) == 1 for one in several.values())


def stands_once(column: Column, structure: Structure) -> bool:
    """Whether a column of a flat table has a value on one row of each order only."""
    if not structure.is_flat or column.fill_share == 1.0:
        return False
    return is_of_order(column, structure)


def totals_share(
    amounts: Floats, structure: Structure, column: Column, only: Container[str] | None = None
) -> float:
    """Share of the orders, or of some of them, whose lines add up to a column."""
    sums: dict[str, float] = {}
    for key, amount in zip(structure.line_order.cells, amounts, strict=True):
        sums[key] = sums.get(key, 0.0) + float(amount)
    totals: dict[str, float] = {}
    numbers = column.numbers if column.numbers is not None else np.zeros(0)
    for key, total in zip(structure.order_id.cells, numbers, strict=True):
        if not np.isnan(total) and (only is None or key in only):
            totals.setdefault(key, float(total))
    both = [(sums[key], total) for key, total in totals.items() if key in sums and total]
    if len(both) < MIN_ROWS:
        return 0.0
    pairs = np.array(both)
    return float(agree(pairs[:, 0], pairs[:, 1]).mean())
