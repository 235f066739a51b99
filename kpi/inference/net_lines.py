"""Lines without tax whose orders have totals with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpi.inference.evidence import place_of
from kpi.inference.headers import means
from kpi.inference.money_evidence import SOME_SHARE, Way, agree
from kpi.inference.questions import Answers, Question
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.taxes import MIN_ROWS, RATES, tax_rates
from kpi.inference.values import Column, Floats

SURE_SHARE = 0.9
"""Orders whose total is that of their lines with tax."""


def ask_about_net_lines(
    way: Way | None, structure: Structure, tables: Sequence[Table], answers: Answers
) -> None:
    """Ask whether revenue is without tax where only the totals of orders are with it.

    No word of a contract adds a tax to lines.
    """
    if way is None or structure.is_flat:
        return
    sums = _sums(way.amounts, structure)
    quantity = structure.quantity
    # Each piece is rounded to a cent.
    pieces = _sums(np.ones(len(way.amounts)) if quantity is None else quantity.amounts, structure)
    numbers = [one for one in structure.orders.columns if one.is_number and one.numbers is not None]
    with_tax = [one for one in numbers if _is_with_tax(sums, one, numbers, pieces)]
    if not with_tax:
        return
    answers.ask(
        Question(
            word="tax",
            text=f"the lines have money without tax, and {place_of(with_tax[0], tables)} is theirs "
            "with it. Is revenue without tax?",
            answers={"lines": "yes; if not, the lines need a column with tax"},
        )
    )


def _sums(amounts: Floats, structure: Structure) -> Floats:
    """Sum what the lines of each order have."""
    sums: dict[str, float] = {}
    for key, amount in zip(structure.line_order.cells, amounts, strict=True):
        sums[key] = sums.get(key, 0.0) + float(amount)
    return np.array([sums.get(key, 0.0) for key in structure.order_id.cells])


def _is_with_tax(sums: Floats, total: Column, numbers: list[Column], pieces: Floats) -> bool:
    """Whether a total is the sum of the lines and a tax: by constant rates, or a column of it."""
    if tax_rates(sums, total.amounts, pieces) is not None:
        return True
    rows = (sums != 0) & (total.amounts != 0)
    if rows.sum() < MIN_ROWS:
        return False
    for tax in numbers:
        if tax is total or not any(means(word, "tax") for word in tax.meaning.words):
            continue
        if agree(sums[rows] + tax.amounts[rows], total.amounts[rows]).mean() < SURE_SHARE:
            continue
        shares = tax.amounts[rows] / sums[rows]
        if ((shares >= RATES[0]) & (shares <= RATES[1])).mean() >= SOME_SHARE:
            return True
    return False
