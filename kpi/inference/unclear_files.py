"""Questions about files as a whole: amounts in cents, and numbers that begin anew in each place."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from kpi.inference.evidence import place_of
from kpi.inference.money_evidence import DISCOUNT_ROLES, Way
from kpi.inference.questions import Answers, Question
from kpi.inference.structure import Structure
from kpi.inference.tables import Table

CURRENCIES_WITH_CENTS = frozenset({"AUD", "CAD", "CHF", "EUR", "GBP", "USD"})
"""Currencies in which prices without cents are rare."""

USUAL_CENTS = 100.0
"""Median of different amounts from which on they may be in cents."""

ROUND_SHARE = 0.5
"""Share of different amounts that are whole hundreds, from which on they are no cents."""

OTHER_SHARE = 0.5
"""Share of the orders of several places that have other lines in each, which nobody explains."""


def ask_about_cents(
    way: Way | None, currency: object, tables: Sequence[Table], answers: Answers
) -> int | None:
    """Ask whether whole amounts are in cents; give the number of their table where they are."""
    if way is None or currency not in CURRENCIES_WITH_CENTS:
        return None
    columns = [one for role, one in way.roles if role not in DISCOUNT_ROLES[1:]]
    prices = [one for role, one in way.roles if role not in DISCOUNT_ROLES]
    amounts = np.unique(np.abs(np.concatenate([one.amounts for one in prices])))
    amounts = amounts[amounts > 0]
    if any(one.kind != "integer" or "minor" in one.meaning for one in columns) or not len(amounts):
        return None
    if np.median(amounts) < USUAL_CENTS or (amounts % 100 == 0).mean() >= ROUND_SHARE:
        return None
    example = int(amounts[amounts % 100 != 0][0])
    answer = answers.ask(
        Question(
            word="minor_units",
            text=f"{place_of(columns[0], tables)} has whole numbers alone, in {currency}. Are they "
            "cents?",
            answers={
                "yes": f"{example} is {example / 100:.2f} {currency}",
                "no": f"{example} is {example}.00 {currency}",
            },
        )
    )
    return columns[0].table if answer == "yes" else None


def ask_about_places(structure: Structure, answers: Answers) -> None:
    """Ask what orders are of which files of differently named places have other lines.

    Parts of one export differ in a number of their names; tills of several shops in a word.
    """
    places: dict[str, dict[str, set[tuple[str, ...]]]] = {}
    start = 0
    columns = structure.lines.columns
    for name, rows in structure.lines.sample.parts:
        place = re.sub(r"\d+", "", name)
        for at in range(start, start + rows):
            line = tuple(one.cells[at] for one in columns)
            order = places.setdefault(structure.line_order.cells[at], {})
            order.setdefault(place, set()).add(line)
        start += rows
    several = [one for one in places.values() if len(one) > 1]
    other = [one for one in several if len({frozenset(lines) for lines in one.values()}) > 1]
    if not other or len(other) < OTHER_SHARE * len(several):
        return
    first, second = list(other[0])[:2]
    answers.ask(
        Question(
            word="places",
            text=f"{len(other)} orders have other lines in files such as {first} than in {second}. "
            "Are they the same orders?",
            answers={
                "same": "yes; if not, numbers begin anew in each place: name it in `match`, as in "
                'match = "{store}/*.csv", and write order_id = { join = ["{store}", ...] }'
            },
        )
    )
