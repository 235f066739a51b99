"""Tables of classes behind a product: found by their joins, whatever their language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kpi.inference.categories import Cell
from kpi.inference.customers import has_people
from kpi.inference.headers import plain
from kpi.inference.structure import Structure
from kpi.inference.tables import Reference, Table
from kpi.inference.values import Column

GROUP_SHARE = 0.67
"""Classes for each product, above which a table says something of the product itself."""

MIN_CLASSES = 2

FOUND_SHARE = 0.95
"""Values of products that must be keys of the classes."""

USED_SHARE = 0.5
"""Keys of classes that products must have: small whole numbers are keys of every table."""

MIN_STEM = 5
"""Letters that two names must begin with to be of one word."""

MAX_STEPS = 2


def classes_of(structure: Structure, tables: Sequence[Table]) -> list[Cell]:
    """Find the names of classes that products have by a key, the nearest first."""
    if structure.category is not None or structure.product is None or structure.products is None:
        return []
    start = Cell(
        column=structure.product, steps=(structure.products,), value=structure.products.parent
    )
    taken = {structure.orders.number, structure.lines.number, structure.products.parent.table}
    return list(_behind(start, structure.products.parent, tables, taken))


def _behind(cell: Cell, key: Column, tables: Sequence[Table], taken: set[int]) -> Iterator[Cell]:
    """Follow the columns of a table to the tables of which they have keys."""
    further = []
    for column in tables[key.table].columns:
        if column is key or column.kind not in ("integer", "text"):
            continue
        for table in tables:
            if table.number in taken or has_people(table):
                continue
            parent = _key_of(column, table, len(key.distinct))
            if parent is None:
                continue
            step = Reference(column, parent, FOUND_SHARE, 1.0)
            steps = (*cell.steps, step)
            for name in table.columns:
                if name is not parent and _is_name(name):
                    yield Cell(column=cell.column, steps=steps, value=name)
            further.append((Cell(column=cell.column, steps=steps, value=parent), parent, table))
    for found, parent, table in further:
        if len(found.steps) <= MAX_STEPS:
            yield from _behind(found, parent, tables, taken | {table.number})


def _key_of(column: Column, table: Table, products: int) -> Column | None:
    """Find the key of a table that has the values of a column, and few others."""
    if not MIN_CLASSES <= table.rows <= GROUP_SHARE * products:
        return None
    for parent in table.columns:
        if not parent.is_key:
            continue
        both = len(column.distinct & parent.distinct)
        if both >= max(MIN_CLASSES, FOUND_SHARE * len(column.distinct)):
            return parent if both >= USED_SHARE * len(parent.distinct) else None
    return None


def _is_name(column: Column) -> bool:
    """Whether each class has a text of its own."""
    return column.kind == "text" and column.fill_share == 1.0 and column.is_key


def is_class(cell: Cell, tables: Sequence[Table]) -> bool:
    """Whether a header names a class of what the table of products has, as `Artikelgruppe`.

    Makers and suppliers of a product are seldom named by the word for products.
    """
    step = cell.steps[-1]
    own = plain(step.child.header)
    products = plain(tables[step.child.table].stem)
    groups = plain(tables[step.parent.table].stem)
    is_longer = len(own) > len(_common(own, products))
    return is_longer and all(len(_common(own, one)) >= MIN_STEM for one in (products, groups))


def _common(one: str, other: str) -> str:
    """Give the letters that two words begin with."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return one[:count]
