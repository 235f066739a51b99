"""Tables of which nothing is read, though they belong to what is, or have orders of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from kpi.inference.looked_up_status import key_of, may_be_key
from kpi.inference.roles import MAX_STATUSES, is_discount, is_money
from kpi.inference.side_tables import Join
from kpi.inference.structure import Structure, find_structure
from kpi.inference.tables import Reference, Table


def unread_tables(
    structure: Structure,
    tables: Sequence[Table],
    read: Collection[int],
    joins: Sequence[Join],
    references: Sequence[Reference],
) -> Iterator[str]:
    """Tell the tables that somebody may miss in the numbers.

    Args:
        structure: Of the shop.
        tables: All tables.
        read: Numbers of those of which something is read.
        joins: Of tables whose rows name orders or lines.
        references: Between tables.
    """
    for table in tables:
        if table.number in read:
            continue
        name = table.sample.name
        links = (*_links(table, read, joins, references), *_keys(table, structure))
        has_amounts = any(is_money(one) or is_discount(one) for one in table.columns)
        if not has_amounts and any(one.child is structure.customer for one in links):
            continue  # it says more of the customers, of whom the key alone is counted
        if links:
            child, parent = links[0].child, links[0].parent
            own, other = (child, parent) if child.table == table.number else (parent, child)
            amount = " (it has amounts)" if has_amounts else ""
            yield (
                f"nothing of {name} is read{amount}, though {own.header.strip()!r} has values of "
                f"{other.header.strip()!r} in {tables[other.table].sample.name}"
            )
        elif find_structure([table], []) is not None:
            yield (
                f"nothing of {name} is read, though it may have orders of its own, which are none "
                f"of {structure.orders.sample.name}"
            )


def _links(
    table: Table,
    read: Collection[int],
    joins: Sequence[Join],
    references: Sequence[Reference],
) -> Iterator[Reference]:
    yield from (one.reference for one in joins if one.table is table)
    for one in references:
        if one.child.table == table.number and one.parent.table in read:
            yield one
        if one.parent.table == table.number and one.child.table in read:
            yield one


def _keys(table: Table, structure: Structure) -> Iterator[Reference]:
    """Find columns of orders and lines that may be keys of a small table, by their values."""
    if table.rows > MAX_STATUSES:
        return
    for column in (*structure.orders.columns, *structure.lines.columns):
        if column is structure.status or column is structure.line_status:
            continue
        parent = key_of(column, table) if may_be_key(column, structure) else None
        if parent is not None:
            yield Reference(column, parent, 1.0, 0.0)
