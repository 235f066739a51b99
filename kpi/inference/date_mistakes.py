"""Columns of dates that are not read as such: a few values are none, or months have other names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kpi.contract.month_names import spellings_of
from kpi.inference.dates import match_date, read_dates
from kpi.inference.evidence import place_of
from kpi.inference.tables import Table

MOST_DATES = 0.5
"""Share of different values that are dates, from which on the others are taken for mistakes."""

MONTHS_OF_YEAR = 12
"""Names at most; more of them are names of something else."""

SHOWN_MISTAKES = 3
"""Mistakes that a message names."""


def describe_mistakes(tables: Sequence[Table]) -> str:
    """Name the rows whose values keep a column from being one of dates; empty where none nearly is.

    Shapes are shown, never values, but for names of months.
    """
    for table in tables:
        for column in table.columns:
            names = _unread_names(column.cells) if column.kind == "text" else []
            if names:
                return (
                    f"{place_of(column, tables)}, whose months no one language of Unicode's CLDR "
                    f"names so: {', '.join(names)}; write months as numbers, or as one language "
                    "does, in the file or in the program that exports it"
                )
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


def _unread_names(cells: Sequence[str]) -> list[str]:
    """Find names in dates that no language has, or no one language; empty where few are dates."""
    distinct = {cell for cell in cells if cell}
    matches = [match for cell in distinct if (match := match_date(cell))]
    named = {match["b"] for match in matches if not match["b"].isdigit()}
    if not named or len(matches) < len(distinct) or len(named) > MONTHS_OF_YEAR:
        return []
    unread = sorted(name for name in named if not spellings_of([name]))
    return (unread or sorted(named))[:SHOWN_MISTAKES]


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
