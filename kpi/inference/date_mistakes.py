"""Columns of dates that a few values keep from being read as such."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kpi.inference.dates import read_dates
from kpi.inference.evidence import place_of
from kpi.inference.tables import Table

MOST_DATES = 0.5
"""Share of different values that are dates, from which on the others are taken for mistakes."""

SHOWN_MISTAKES = 3
"""Mistakes that a message names."""


def describe_mistakes(tables: Sequence[Table]) -> str:
    """Name the rows whose values keep a column from being one of dates; empty where none nearly is.

    Shapes are shown, never values.
    """
    for table in tables:
        for column in table.columns:
            rows = _mistakes(column.cells) if column.kind == "text" else []
            if rows:
                named = ", ".join(f"{row + 1} ({_shape(column.cells[row])!r})" for row in rows)
                return (
                    f"{place_of(column, tables)}, which has dates but in row {named} below the "
                    "header, where 9 is a digit and a is a letter; correct it, or write the "
                    "contract by hand: then such rows are rejected"
                )
    return ""


def _mistakes(cells: Sequence[str]) -> list[int]:
    """Find the first cells of a column of dates that are none; empty where few are dates."""
    distinct = {cell for cell in cells if cell}
    dates = [cell for cell in sorted(distinct) if read_dates([cell]) is not None]
    if len(dates) < MOST_DATES * len(distinct) or read_dates(dates) is None:
        return []
    known = set(dates)
    return [row for row, cell in enumerate(cells) if cell and cell not in known][:SHOWN_MISTAKES]


def _shape(text: str) -> str:
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text))[:24]
