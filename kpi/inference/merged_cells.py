"""Tables that name an order on its first row alone, as of merged cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kpi.inference.number_forms import in_one_form
from kpi.inference.roles import order_fit
from kpi.inference.tables import Table
from kpi.inference.values import Column, read_columns
from kpi.kernels.arrays import Mask

MIN_FIT = 0.5
"""Fit of a column for an order's identifier, below which it names none."""

SAME_SHARE = 0.99
"""Rows in which two columns are both filled or both blank, from which on they belong together."""

USUAL_SHARE = 0.95
"""Rows that have a value in a column, from which on each line has one: a row of totals has none."""


def with_merged_cells(table: Table) -> Table:
    """Read the columns that name orders with the values above where they are blank."""
    merged = _merged_columns(table)
    if not merged:
        return table
    cells = list(table.sample.columns)
    for column in merged:
        cells[column.index] = _filled_down(column.cells)
    sample = table.sample
    columns = read_columns(table.number, sample.headers, cells, has_headers=True)
    read = [
        replace(one, is_repeated=one.index in sample.repeated)
        for one in in_one_form(columns, cells)
    ]
    headers = tuple(one.header.strip() for one in merged)
    return replace(table, columns=(*read, *table.columns[len(read) :]), merged=headers)


def _merged_columns(table: Table) -> list[Column]:
    """Find an order's identifier and date that are blank in the rows of further lines."""
    if not table.sample.has_headers:
        return []
    columns = [one for one in table.columns if not one.is_of_name]
    for column in columns:
        if (
            not column.cells[0]
            or not 0 < column.fill_share < 1
            or order_fit(column, table) < MIN_FIT
        ):
            continue
        has = _has_value(column)
        dates = [
            one
            for one in columns
            if one.kind == "date" and float(np.mean(_has_value(one) == has)) >= SAME_SHARE
        ]
        if dates and _are_named_once(column, dates[0]) and _has_lines(columns, ~has):
            return [column, *dates]
    return []


def _has_value(column: Column) -> Mask:
    return np.array([bool(cell) for cell in column.cells])


def _are_named_once(column: Column, date: Column) -> bool:
    """Whether each order begins once, if numbers begin anew, of its day."""
    named = [pair for pair in zip(column.cells, date.cells, strict=True) if pair[0]]
    return len(set(named)) == len(named)


def _has_lines(columns: Sequence[Column], rows: Mask) -> bool:
    """Whether rows have all that each line has, a number among it, and so none is of totals."""
    usual = [one for one in columns if one.fill_share >= USUAL_SHARE]
    if not any(one.is_number for one in usual):
        return False
    return all(bool(_has_value(one)[rows].all()) for one in usual)


def _filled_down(cells: Sequence[str]) -> tuple[str, ...]:
    found, above = list[str](), ""
    for cell in cells:
        above = cell or above
        found.append(above)
    return tuple(found)
