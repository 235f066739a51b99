"""Statuses that stand in a table of their own, below a key that orders or lines have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kpi.inference.categories import Cell
from kpi.inference.roles import MAX_STATUSES
from kpi.inference.statuses import is_known_status
from kpi.inference.structure import Structure
from kpi.inference.tables import Reference, Table, likeness
from kpi.inference.values import Column

FOUND_SHARE = 0.95
"""Values of a column that must be keys of the statuses."""

KNOWN_SHARE = 0.5
"""Statuses of a table that must be known words."""

MIN_KNOWN = 2


@dataclass(frozen=True, kw_only=True)
class LookedUp:
    """A status that is looked up.

    Attributes:
        column: The key, with the texts of the statuses for values.
        cell: Where these stand.
    """

    column: Column
    cell: Cell


def look_statuses_up(structure: Structure, tables: Sequence[Table]) -> Structure:
    """Take the statuses of a table of their own where no column has known ones."""
    status = None if _is_said(structure.status) else _find(structure.orders, structure, tables)
    line_status = None
    if not structure.is_flat and not _is_said(structure.line_status):
        line_status = _find(structure.lines, structure, tables)
    return replace(
        structure,
        looked_up=tuple(one.cell for one in (status, line_status) if one is not None),
        status=structure.status if status is None else status.column,
        line_status=structure.line_status if line_status is None else line_status.column,
    )


def _is_said(status: Column | None) -> bool:
    return status is not None and any(map(is_known_status, status.distinct))


def _find(table: Table, structure: Structure, tables: Sequence[Table]) -> LookedUp | None:
    """Find the column of a table that is likeliest to have keys of statuses."""
    own = {structure.orders.number, structure.lines.number}
    if structure.products is not None:
        own.add(structure.products.parent.table)
    found: list[LookedUp] = []
    for other in tables:
        names = _names(other) if other.number not in own else None
        if names is None:
            continue
        for column in table.columns:
            key = key_of(column, other) if may_be_key(column, structure) else None
            if key is not None and key is not names:
                found.append(_look_up(column, key, names, other))
    return max(found, key=lambda one: one.cell.steps[0].likeness, default=None)


def may_be_key(column: Column, structure: Structure) -> bool:
    """Whether nothing says that a column is something else, as a quantity is."""
    taken = (structure.order_id, structure.line_order, structure.quantity, structure.product)
    return (
        column.kind in ("integer", "text")
        and len(column.distinct) <= MAX_STATUSES
        and all(column is not one for one in (*taken, structure.customer))
        and column.meaning.concepts <= {"id", "status", "type", "order", "line", "product", "name"}
    )


def _look_up(column: Column, key: Column, names: Column, table: Table) -> LookedUp:
    texts = dict(zip(key.cells, names.cells, strict=True))
    step = Reference(column, key, 1.0, likeness(column, key, table))
    cells = tuple(texts.get(cell, "") for cell in column.cells)
    looked_up = replace(column, cells=cells, kind="text", numbers=None, number_forms=())
    return LookedUp(column=looked_up, cell=Cell(column=column, steps=(step,), value=names))


def _names(table: Table) -> Column | None:
    """Find the column of a table that has known statuses, each once."""
    if not MIN_KNOWN <= table.rows <= MAX_STATUSES:
        return None
    for column in table.columns:
        known = sum(map(is_known_status, column.distinct))
        is_named = column.kind == "text" and column.is_key
        if is_named and known >= max(MIN_KNOWN, KNOWN_SHARE * len(column.distinct)):
            return column
    return None


def key_of(column: Column, table: Table) -> Column | None:
    """Find the key of a table that has the values of a column."""
    for parent in table.columns:
        both = len(column.distinct & parent.distinct)
        is_found = both >= max(1, FOUND_SHARE * len(column.distinct))
        if parent.is_key and parent.kind == column.kind and is_found:
            return parent
    return None
