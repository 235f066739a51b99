"""Orders whose rows say different things of them, and rows of returns among those of sales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kpi.inference.dates import NO_DAY
from kpi.inference.roles import is_money
from kpi.inference.structure import Structure
from kpi.inference.values import Column
from kpi.kernels.arrays import Mask


@dataclass(frozen=True, kw_only=True)
class ReturnRows:
    """Rows of an order that came back on another day than it was made.

    Attributes:
        column: Its sign tells them.
        rows: Rows below 0.
        orders: Orders with such a row on a day that no sale of it is on.
    """

    column: Column
    rows: int
    orders: int

    @property
    def is_sale(self) -> Mask:
        """Rows that are none."""
        return np.asarray(self.column.amounts >= 0)


def find_return_rows(structure: Structure) -> ReturnRows | None:
    """Find rows below 0 that stand on a later day than the rows of their order above it."""
    dates = structure.date.value.dates
    if not structure.is_flat or structure.date.steps or dates is None:
        return None
    for column in _signed(structure):
        sold: dict[str, set[int]] = {}
        back: dict[str, set[int]] = {}
        cells = zip(structure.order_id.cells, dates.days.tolist(), column.amounts, strict=True)
        for key, day, amount in cells:
            if key and day != NO_DAY:
                (back if amount < 0 else sold).setdefault(key, set()).add(day)
        moved = sum(key in sold and bool(days - sold[key]) for key, days in back.items())
        if moved:
            rows = int(np.count_nonzero(column.amounts < 0))
            return ReturnRows(column=column, rows=rows, orders=moved)
    return None


def _signed(structure: Structure) -> Iterator[Column]:
    """Yield the quantity and the amounts of lines, where some are below 0."""
    amounts = [one for one in structure.lines.columns if is_money(one)]
    for column in (structure.quantity, *amounts):
        if column is not None and column.numbers is not None and (column.amounts < 0).any():
            yield column


def count_of_several_days(structure: Structure, rows: Mask | None = None) -> int:
    """Count the orders of which some rows are of several days."""
    dates = structure.date.value.dates
    if structure.date.steps or dates is None:
        return 0
    days = [None if day == NO_DAY else day for day in dates.days.tolist()]
    return _count_of_several(structure.order_id.cells, days, rows)


def count_of_several_customers(structure: Structure, rows: Mask | None = None) -> int:
    """Count the orders of which some rows are of several customers."""
    if structure.customer is None:
        return 0
    return _count_of_several(structure.order_id.cells, structure.customer.cells, rows)


def _count_of_several(keys: Sequence[str], cells: Sequence[object], rows: Mask | None) -> int:
    known: dict[str, object] = {}
    several: set[str] = set()
    for at, (key, cell) in enumerate(zip(keys, cells, strict=True)):
        is_told = bool(key) and cell not in (None, "") and (rows is None or bool(rows[at]))
        if is_told and known.setdefault(key, cell) != cell:
            several.add(key)
    return len(several)
