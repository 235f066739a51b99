"""Where the category of a line stands: on it, with its product, or in a table behind that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kpi.inference.roles import category_fit
from kpi.inference.tables import Reference, Table
from kpi.inference.values import Column

MIN_FIT = 0.2
"""Fit below which a column is not taken for a role."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A column of a dataset: a column of its own table, and look-ups from there.

    Attributes:
        column: Of the dataset's own table.
        steps: References that are followed, and the column that is looked up in the last.
        value: Column with the values.
    """

    column: Column
    steps: tuple[Reference, ...] = ()
    value: Column

    @classmethod
    def own(cls, column: Column) -> Cell:
        """Take a column as it is."""
        return cls(column=column, value=column)


def find_category(
    lines: Table,
    product: Column | None,
    products: Reference | None,
    tables: Sequence[Table],
    references: Sequence[Reference],
) -> tuple[Cell | None, Column | None]:
    """Find the category of a line; and a key of categories whose table is not there."""
    found = [(category_fit(one), Cell.own(one)) for one in lines.columns if one is not product]
    missing: list[tuple[float, Column]] = []
    if products is not None and product is not None:
        for column in tables[products.parent.table].columns:
            fit = category_fit(column) + 0.02
            cell = Cell(column=product, steps=(products,), value=column)
            chained = list(_chained(cell, tables, references))
            found += chained
            is_key = column.kind == "integer" and column.meaning.has("category", "sub")
            if not chained and is_key:
                missing.append((fit, column))
            elif not chained:
                found.append((fit, cell))
            missing += _keys_beyond(column, tables, references)
    usable = [one for one in found if one[0] > MIN_FIT]
    if not usable:
        return None, missing[0][1] if missing else None
    fit, cell = max(usable, key=lambda one: one[0])
    is_open = bool(missing) and fit < 0.8
    return cell, missing[0][1] if is_open else None


def _chained(
    cell: Cell, tables: Sequence[Table], references: Sequence[Reference]
) -> Iterable[tuple[float, Cell]]:
    """Look categories up in a table of their own."""
    if not cell.value.meaning.has("category", "sub", "type"):
        return
    for reference in references:
        if reference.child is not cell.value or not _holds_categories(reference):
            continue
        for column in tables[reference.parent.table].columns:
            if column.kind != "text" or column is reference.parent:
                continue
            fit = category_fit(column)
            if column.meaning.has("name") and not column.meaning.has("category", "sub"):
                fit = 0.9
            further = replace(cell, steps=(*cell.steps, reference), value=column)
            yield fit * (0.7 if "sub" in column.meaning else 1.0) + 0.03, further
            # One step more, to the table of the table's own categories.
            yield from _chained(further, tables, references) if len(cell.steps) < 3 else ()
        for column in tables[reference.parent.table].columns:
            if column.kind == "integer" and column is not reference.parent and len(cell.steps) < 3:
                further = replace(cell, steps=(*cell.steps, reference), value=column)
                yield from _chained(further, tables, references)


def _holds_categories(reference: Reference) -> bool:
    """Whether a key is one of categories, and not of products."""
    meaning = reference.parent.meaning
    return "product" not in meaning or meaning.has("category", "sub")


def _keys_beyond(
    column: Column, tables: Sequence[Table], references: Sequence[Reference]
) -> Iterable[tuple[float, Column]]:
    """Find keys of categories, in the tables behind a product's, that no table explains."""
    for reference in references:
        if reference.child is not column or not column.meaning.has("category", "sub"):
            continue
        for further in tables[reference.parent.table].columns:
            if further is reference.parent or further.kind != "integer":
                continue
            explained = any(one.child is further for one in references)
            if further.meaning.has("category") and not explained:
                yield category_fit(further), further
