"""Amounts that include a fee of their own column, such as shipping: no sales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from kpi.inference.headers import means
from kpi.inference.money_evidence import CENT, MIN_ROWS, SURE_SHARE, Way, agree
from kpi.inference.values import Column, Floats

MAX_FEES = 5
"""Columns of fees that are added in all combinations."""

WEIGHT = 1.2
"""Of an amount that is a total without its fees, and, negative, of that total."""


def judge_by_fees(
    ways: Sequence[Way], amounts: Sequence[Column], columns: Sequence[Column]
) -> list[Way]:
    """Weigh ways by whether they are another amount without the fees that it includes.

    A total with tax alone tells nothing: shops count with and without it.
    """
    if not amounts:
        return list(ways)
    fees = [one for one in columns if _is_fee(one)][:MAX_FEES]
    if not fees:
        return list(ways)
    included: dict[int, str] = {}
    judged = []
    for way in ways:
        found = next(_totals_with_fees(way, amounts, fees), None)
        if found is None:
            judged.append(way)
            continue
        total, names = found
        included[id(total)] = names
        judged.append(way.with_evidence(WEIGHT, f"with {names} it is {total.header!r}"))
    return [
        one.with_evidence(-WEIGHT, f"includes {included[id(one.roles[0][1])]}")
        if id(one.roles[0][1]) in included
        else one
        for one in judged
    ]


def _is_fee(column: Column) -> bool:
    meaning = column.meaning
    is_fee = column.is_number and "other_money" in meaning and not meaning.has("percent", "id")
    return is_fee and bool(column.amounts.any())


def _is_tax(column: Column) -> bool:
    return any(means(word, "tax") for word in column.meaning.words)


def _totals_with_fees(
    way: Way, amounts: Sequence[Column], fees: Sequence[Column]
) -> Iterator[tuple[Column, str]]:
    own = {id(column) for _, column in way.roles}
    for count in range(1, len(fees) + 1):
        for chosen in combinations(fees, count):
            if all(map(_is_tax, chosen)):
                continue
            sizes: Floats = np.sum([one.amounts for one in chosen], axis=0)
            rows = sizes != 0
            if rows.sum() < MIN_ROWS:
                continue
            for total in amounts:
                if id(total) in own:
                    continue
                if agree(way.amounts[rows] + sizes[rows], total.amounts[rows]).mean() < SURE_SHARE:
                    continue
                # What has no fee is the total itself.
                if (np.abs(way.amounts - total.amounts) > CENT)[rows].any():
                    yield total, " and ".join(repr(one.header.strip()) for one in chosen)
