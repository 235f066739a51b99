"""Evidence of whether a discount is one of each piece: other columns have the price less it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpi.inference.money_evidence import DISCOUNT_ROLES, SURE_SHARE, Way, constancy, share_agreeing
from kpi.inference.structure import Structure
from kpi.inference.values import Column, Floats
from kpi.kernels.arrays import Mask

AGAINST = -1.5
"""Weight of a way that takes a discount of each piece for one of the line."""

FOR = 1.2
"""Weight of a way that takes it for what it is."""


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
