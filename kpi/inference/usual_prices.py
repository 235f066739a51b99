"""Whether an amount is before or after its discount, by what the product costs without one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpi.inference.money_evidence import DISCOUNT_ROLES, SURE_SHARE, Way, agree
from kpi.inference.structure import Structure
from kpi.inference.values import Column, Floats
from kpi.kernels.arrays import Mask

MIN_ROWS = 5
"""Lines with a discount whose product is sold without one too, below which nothing is concluded."""

WEIGHT = 0.8


def judge_by_usual_price(
    way: Way, structure: Structure, quantity: Floats, discounts: Sequence[Column]
) -> Way:
    """Weigh a way by whether its price is the product's usual one in spite of a discount."""
    role, column = way.roles[0]
    if structure.product is None or column.table != structure.lines.number:
        return way
    pieces = np.where(quantity, quantity, 1)
    each = column.amounts / (1.0 if role == "unit_price" else pieces)
    own = [one for role, one in way.roles if role in DISCOUNT_ROLES]
    for discount in own or discounts:
        sizes = np.abs(discount.amounts)
        usual = _usual(structure.product, each, sizes == 0)
        rows = (sizes > 0) & ~np.isnan(usual)
        if rows.sum() < MIN_ROWS:
            continue
        is_usual = agree(each[rows], usual[rows]).mean() >= SURE_SHARE
        if is_usual and own:
            return way.with_evidence(WEIGHT, f"alike with and without {discount.header!r}")
        if is_usual and role == "after_discount":
            return way.with_evidence(-WEIGHT, f"alike with and without {discount.header!r}")
    return way


def _usual(product: Column, each: Floats, rows: Mask) -> Floats:
    """Median price of each line's product among some rows; NaN where it is not among them."""
    prices: dict[str, list[float]] = {}
    for cell, price, is_usual in zip(product.cells, each.tolist(), rows.tolist(), strict=True):
        if is_usual and cell:
            prices.setdefault(cell, []).append(price)
    medians = {cell: float(np.median(found)) for cell, found in prices.items()}
    return np.array([medians.get(cell, np.nan) for cell in product.cells])
