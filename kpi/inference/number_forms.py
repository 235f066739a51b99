"""Forms of numbers in the columns of one table: a file writes all of them alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from kpi.inference.values import NUMBER, Column, Marks, read_numbers

READINGS: dict[str, tuple[Marks, Marks]] = {
    ".": (("", "."), (".", ",")),
    ",": (("", ","), (",", ".")),
}
"""Mark -> marks of a form by which it stands before decimals, and of one by which it groups."""

MIXED_SHARE = 0.95
"""Values that look like numbers, of a column of numbers in several forms."""


def in_one_form(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[Column]:
    """Read `1.500` as 1500 where another column of the table has groups of thousands alone.

    The numbers of one column may fit both readings, and those of another one a single reading.

    Args:
        columns: Of a table.
        cells: Texts of each, as the file has them.
    """
    found = list(columns)
    for mark, (decimal, grouped) in READINGS.items():
        told = [one for one in found if _is_told(one, cells[one.index], mark)]
        groups = [one for one in told if _has(one, grouped) and not _has(one, decimal)]
        if not groups or any(_has(one, decimal) and not _has(one, grouped) for one in told):
            continue
        for at, column in enumerate(found):
            if any(column is one for one in told) and _has(column, decimal):
                found[at] = _reread(column, cells[column.index], mark)
    return found


def mixed_forms(column: Column) -> tuple[str, str] | None:
    """Find two values of a column that no form reads both; None where there are none such."""
    if column.kind != "text" or not column.meaning.has("price", "total", "quantity", "discount"):
        return None
    values = sorted(column.distinct, key=lambda one: (-len(one), one))
    numbers = [one for one in values if NUMBER.fullmatch(one) and re.search("[.,]", one)]
    if not numbers or len(numbers) < MIXED_SHARE * sum(
        bool(re.search(r"\d", one)) for one in values
    ):
        return None
    for one in numbers[1:]:
        if read_numbers([numbers[0], one]) is None and read_numbers([one]) is not None:
            return numbers[0], one
    return None


def _is_told(column: Column, cells: Iterable[str], mark: str) -> bool:
    is_number = column.is_number and "id" not in column.meaning and bool(column.number_forms)
    return is_number and any(mark in one for one in cells)


def _has(column: Column, marks: Marks) -> bool:
    group, decimal = marks
    return any(f"1{group}234{decimal}50" in one for one in column.number_forms)


def _reread(column: Column, cells: Sequence[str], mark: str) -> Column:
    """Read a column with a mark between thousands, where all its marks may be such."""
    values = {one for one in cells if one and one not in column.blanks}
    pattern = re.compile(rf"\D*[1-9]\d{{0,2}}(?:[{mark}]\d{{3}})+\D*")
    if not all(pattern.fullmatch(one) for one in values if mark in one):
        return column
    found = read_numbers(values, READINGS[mark][1])
    if found is None:
        return column
    forms, numbers = found
    clean = tuple("" if one in column.blanks else one for one in cells)
    amounts = np.array([numbers.get(one, np.nan) for one in clean])
    # Groups of thousands are no decimals that are all 0.
    return replace(column, cells=clean, dotted=False, numbers=amounts, number_forms=forms)
