"""Evidence of whether a discount is one of each piece, or of the whole line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kpi.inference.money_evidence import (
    CENT,
    DISCOUNT_ROLES,
    SOME_SHARE,
    SURE_SHARE,
    Way,
    constancy,
    share_agreeing,
    totals_share,
)
from kpi.inference.structure import Structure
from kpi.inference.values import Column, Floats
from kpi.kernels.arrays import Mask

AGAINST = -1.5
"""Weight of a way that takes a discount of each piece for one of the line."""

FOR = 1.2
"""Weight of a way that takes it for what it is."""

RATE_PLACES = 3
"""Decimal places of the part of a price that a discount is."""


def judge_by_pieces(
    way: Way,
    amounts: Sequence[Column],
    structure: Structure,
    quantity: Floats,
    discounts: Sequence[Column],
) -> Way:
    """Weigh a way where a discount is of each piece: (price - discount) x quantity is the money.

    Args:
        way: The way.
        amounts: Columns of the line with money.
        structure: The files.
        quantity: Pieces of each line.
        discounts: Columns of the line with discounts.
    """
    if len(way.amounts) != len(quantity):
        return way
    price = way.roles[0][1]
    others = [one for one in amounts if one is not price and one.numbers is not None]
    judge = _judge_discounted if len(way.roles) > 1 else _judge_alone
    for discount in _own(way) if len(way.roles) > 1 else discounts:
        for other in others:
            found = judge(way, other, structure, quantity, discount)
            if other is not discount and found is not None:
                weight, relation = found
                text = f"{discount.header!r} is of each piece: {relation}"
                return way.with_evidence(weight, text)
    return way


def _judge_discounted(
    way: Way, other: Column, _: Structure, quantity: Floats, discount: Column
) -> tuple[float, str] | None:
    """Compare a price less its discount with another column: (weight, evidence)."""
    role, price = way.roles[0]
    if role != "unit_price":
        return None
    reduced = price.amounts - np.abs(discount.amounts)
    rows = _telling(discount, quantity)
    share = max(share_agreeing(one, other.amounts, rows) for one in (reduced, reduced * quantity))
    if share < SURE_SHARE:
        return None
    return AGAINST, f"{price.header!r} less it gives {other.header!r}"


def _judge_alone(
    way: Way, other: Column, structure: Structure, quantity: Floats, discount: Column
) -> tuple[float, str] | None:
    """Compare an amount with another column less a discount: (weight, evidence)."""
    role, amount = way.roles[0]
    rows = _telling(discount, quantity)
    reduced = other.amounts - np.abs(discount.amounts)
    if role != "unit_price" and share_agreeing(reduced * quantity, way.amounts, rows) >= SURE_SHARE:
        return FOR, f"{other.header!r} less it, x quantity, gives {amount.header!r}"
    if share_agreeing(reduced, amount.amounts, rows) < SURE_SHARE:
        return None
    # Of a line, the amount that is reduced grows with the quantity.
    if constancy(structure, other.amounts) < SURE_SHARE:
        return None
    return (
        FOR if role == "unit_price" else AGAINST,
        f"{other.header!r} less it gives {amount.header!r}, which is a price then",
    )


def _own(way: Way) -> list[Column]:
    """Return the discount of a way, which it may take for per cent as well."""
    return [one for role, one in way.roles if role in DISCOUNT_ROLES and one.numbers is not None]


def _telling(discount: Column, quantity: Floats) -> Mask:
    """Tell the rows in which a discount of the line and one of each piece are not the same."""
    return np.asarray((np.abs(discount.amounts) > 0) & (np.abs(quantity) > 1))


def read_discount(
    first: Way, rivals: list[Way], structure: Structure, quantity: Floats, columns: Sequence[Column]
) -> tuple[Way, list[Way]]:
    """Tell whether a discount off a price is of the line or of each piece: (way, open rivals).

    Where no column, word, or part of the price decides it, both are open.
    """
    if [role for role, _ in first.roles] != ["unit_price", "discount"]:
        return first, rivals
    (_, price), (_, discount) = first.roles
    rows = _telling(discount, quantity)
    if len(price.amounts) != len(rows) or not rows.any():
        return first, rivals
    sizes = np.abs(discount.amounts)
    amounts = (price.amounts - sizes) * quantity
    of_pieces = Way(
        roles=(("unit_price", price), ("unit_discount", discount)),
        amounts=amounts,
        weight=first.weight,
        evidence=first.evidence,
    )
    proof_of_line = _proof(first, structure, rows, columns)
    proof_of_pieces = _proof(of_pieces, structure, rows, columns)
    if not proof_of_line and not proof_of_pieces:
        proof_of_line, proof_of_pieces = _by_size(price.amounts, sizes, quantity, rows, discount)
    others = [one for one in rivals if share_agreeing(one.amounts, amounts, rows) < 1.0]
    if proof_of_line:
        return first, rivals
    if proof_of_pieces:
        return of_pieces.with_evidence(0.0, proof_of_pieces), others
    return first, [*others, of_pieces]


def _proof(way: Way, structure: Structure, rows: Mask, columns: Iterable[Column]) -> str:
    """Find a column of the line or a total of the order that only one reading gives."""
    used = {id(column) for _, column in way.roles}
    for column in columns:
        if id(column) in used or not column.is_number or column.numbers is None:
            continue
        if share_agreeing(way.amounts, column.amounts, rows) >= SURE_SHARE:
            return f"gives {column.header!r}"
    orders = {key for key, told in zip(structure.line_order.cells, rows, strict=True) if told}
    for column in structure.orders.columns:
        if id(column) in used or not column.is_number or column.numbers is None:
            continue
        if totals_share(way.amounts, structure, column, orders) >= SURE_SHARE:
            return f"adds up to {column.header!r}"
    return ""


def _by_size(
    price: Floats, sizes: Floats, quantity: Floats, rows: Mask, discount: Column
) -> tuple[str, str]:
    """Tell by words and sizes which reading holds: (proof of the line, proof of each piece)."""
    name = repr(discount.header)
    if discount.meaning.has("unit"):
        return "", f"{name} is of each piece by its word"
    if discount.meaning.has("line", "total") or (sizes[rows] > price[rows] + CENT).any():
        return f"{name} is of the line", ""
    given = (sizes > 0) & (price > 0) & (quantity > 0)
    pieces = np.where(quantity > 0, quantity, 1)
    of_price = np.round(sizes / np.where(given, price, 1), RATE_PLACES)
    of_line = np.round(sizes / np.where(given, price * pieces, 1), RATE_PLACES)
    single = set(of_price[given & (quantity == 1)].tolist())
    told = rows & given
    if not single or not told.any():
        return "", ""
    as_pieces = float(np.mean([rate in single for rate in of_price[told].tolist()]))
    as_line = float(np.mean([rate in single for rate in of_line[told].tolist()]))
    if as_pieces >= SURE_SHARE and as_line < SOME_SHARE:
        return "", f"{name} is the same part of a price whatever the quantity"
    if as_line >= SURE_SHARE and as_pieces < SOME_SHARE:
        return f"{name} is the same part of the line", ""
    return "", ""
