"""Rows of totals among the rows of a file: below all of them, or below each day or order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kpi.inference.headers import meaning_of
from kpi.inference.money_evidence import CENT
from kpi.inference.values import Floats, read_numbers

Rows = Sequence[Sequence[str]]

FILLED_SHARE = 0.67
"""Cells of a row of totals at most, for each of a usual row."""

TOTALS_SHARE = 0.5
"""Rows that may be totals, at most."""

PROVED_SHARE = 0.9
"""Rows of few cells that must be sums of those above for any to be one."""

SEVERAL_SHARE = 0.3
"""Sums of more than one row among these: an amount is the sum of one row by chance."""

MIN_LABEL = 3
"""Letters of a label by which rows of totals are told."""


@dataclass(frozen=True, kw_only=True)
class TotalRows:
    """Rows of totals.

    Attributes:
        rows: Their numbers.
        condition: Column and text that the other rows have.
    """

    rows: frozenset[int]
    condition: Mapping[str, str]


def find_total_rows(headers: Sequence[str], rows: Rows) -> TotalRows | None:
    """Find rows that have few cells, and in one of them the sum of the rows above."""
    filled = np.array([sum(map(bool, row)) for row in rows])
    if len(rows) < 2:
        return None
    few = np.flatnonzero(filled <= FILLED_SHARE * float(np.median(filled)))
    if not len(few) or len(few) > TOTALS_SHARE * len(rows):
        return None
    candidates = frozenset(few.tolist())
    summed = _summed_rows(rows, candidates)
    proved = [at for at in candidates if summed[at]]
    several = sum(summed[at] > 1 for at in proved)
    if len(proved) < PROVED_SHARE * len(candidates) or several < max(
        1, SEVERAL_SHARE * len(proved)
    ):
        return None
    found = frozenset(proved)
    condition = _condition(headers, rows, found)
    return TotalRows(rows=found, condition=condition) if condition else None


def _summed_rows(rows: Rows, candidates: frozenset[int]) -> dict[int, int]:
    """Count the rows that each candidate is the sum of; 0 for none."""
    found = dict.fromkeys(candidates, 0)
    for column in range(len(rows[0])):
        if not any(rows[at][column] for at in candidates):
            continue
        numbers = _numbers([row[column] for row in rows], candidates)
        if numbers is None:
            continue
        whole = part = 0.0
        count = since = 0
        for at, number in enumerate(numbers.tolist()):
            if at not in candidates:
                whole, part = whole + number, part + number
                count, since = count + 1, since + 1
                continue
            for total, size in ((part, since), (whole, count)):
                if number and rows[at][column] and abs(total - number) <= CENT:
                    found[at] = max(found[at], size)
            part, since = 0.0, 0
    return found


def _numbers(cells: Sequence[str], candidates: frozenset[int]) -> Floats | None:
    """Read the numbers of a column; 0 for a cell that has none, None where rows have texts."""
    plain = {cell for at, cell in enumerate(cells) if cell and at not in candidates}
    labels = {cells[at] for at in candidates if cells[at]}
    read = read_numbers(plain | labels) if plain and labels else None
    if read is None:
        return None
    return np.array([read[1].get(cell, 0.0) for cell in cells])


def _condition(headers: Sequence[str], rows: Rows, totals: frozenset[int]) -> dict[str, str]:
    """Find what tells the other rows: a cell that totals lack, or no label of a total."""
    others = [row for at, row in enumerate(rows) if at not in totals]
    known = [at for at, header in enumerate(headers) if header]
    blank = [
        at
        for at in known
        if all(row[at] for row in others) and not any(rows[one][at] for one in totals)
    ]
    if blank:
        # The number of an order says best that a row is one.
        best = max(blank, key=lambda at: ("order" in meaning_of(headers[at]), -at))
        return {headers[best]: "*"}
    for at in known:
        labels = [rows[one][at] for one in totals]
        start = _common_start(labels)
        is_told = len(start) >= MIN_LABEL and not any(row[at].startswith(start) for row in others)
        if is_told and not any(mark in start for mark in "*!"):
            alike = all(label == start for label in labels)
            return {headers[at]: f"!{start}" if alike else f"!{start}*"}
    return {}


def _common_start(labels: Sequence[str]) -> str:
    """Give the letters that texts begin with."""
    start = labels[0]
    for label in labels[1:]:
        while not label.startswith(start):
            start = start[:-1]
    return start if len(set(labels)) == 1 else start.rstrip("0123456789.-/: ")
