"""Evidence for the words of a contract, as the comments behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kpi.inference.categories import Cell
from kpi.inference.dates import NO_DAY
from kpi.inference.money_evidence import Way
from kpi.inference.tables import Table
from kpi.inference.values import Column


def place_of(column: Column, tables: Sequence[Table]) -> str:
    """Name a column and its file."""
    return f"{column.header.strip()!r} of {tables[column.table].sample.name}"


def describe_values(column: Column) -> str:
    """Tell what the values of a column are, and in how many rows there are some."""
    rows = len(column.cells)
    kinds = {"integer": "whole numbers", "decimal": "numbers", "date": "dates"}
    what = kinds.get(column.kind, "texts")
    unique = ", each once" if column.is_key else f", {len(column.distinct)} distinct"
    return f"{what} in {column.fill_share:.0%} of {rows} rows{unique}"


def describe_dates(cell: Cell) -> str:
    """Tell the first and last day, and what decided the order of day and month."""
    dates = cell.value.dates
    if dates is None:
        return ""
    days = dates.days[dates.days != NO_DAY]
    if not len(days):
        return ""
    first, last = (np.datetime64(int(one), "D") for one in (days.min(), days.max()))
    note = f"{first} to {last}"
    if dates.order in ("day", "month") and dates.decided_by:
        note += f"; {dates.order} first: {dates.decided_by} values have a number above 12"
    return note


def describe_discount(role: str, column: Column) -> str:
    """Tell what the sizes of a discount are."""
    numbers = np.abs(column.amounts)
    what = {
        "discount": "amounts",
        "unit_discount": "amounts, of each piece",
        "discount_rate": "fractions",
        "discount_percent": "per cent",
    }
    return f"{what.get(role, role)}: 0 to {float(numbers.max(initial=0)):g}"


def ranked_values(column: Column) -> list[str]:
    """List the values of a column, the most frequent first."""
    return [one for one, _ in Counter(one for one in column.cells if one).most_common()]


def share_of(column: Column, texts: Sequence[str]) -> float:
    """Share of the rows that have one of some values."""
    return sum(one in texts for one in column.cells) / max(len(column.cells), 1)


def describe_statuses(column: Column) -> str:
    """List the most frequent statuses with their rows."""
    counts = Counter(one for one in column.cells if one).most_common(8)
    return ", ".join(f"{one} {count}" for one, count in counts)


def describe_way(way: Way) -> str:
    """Tell what speaks for the money of a line."""
    level = "sure" if way.weight >= 1.5 else "likely" if way.weight >= 0.9 else "by its words alone"
    return f"{level}: {'; '.join(way.evidence)}"
