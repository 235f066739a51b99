"""Columns of the KPI tables of a database: those of its release, or all that a row may have.

A database that only knows the attributes of version 1 contracts is extended when the first row
comes that has others, or has no value of one. Until then nothing of it changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from types import NoneType

from kpi.aggregation.tables import KpiTable
from worker.state import Row


def stored_names(db: sqlite3.Connection, table: KpiTable) -> list[str]:
    """Name the attributes that a table has columns for, in display order."""
    present = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table.name})")}
    return [name for name in table.kinds if name in present]


def needs_extension(table: KpiTable, rows: Iterable[Row]) -> bool:
    """Whether a row has something that a table of version 1 contracts has no column for."""
    counts = _count_names(table)
    # Sets of types, as every published row comes through here: an `isinstance` a value takes
    # eight times as long.
    return any(
        not row.keys().isdisjoint(table.optional)
        or NoneType in set(map(type, row.values()))
        or Decimal in set(map(type, map(row.get, counts)))
        for row in rows
    )


@cache
def _count_names(table: KpiTable) -> tuple[str, ...]:
    return tuple(name for name, kind in table.kinds.items() if kind == "count")


def extend(db: sqlite3.Connection, table: KpiTable) -> None:
    """Make a table hold every attribute, each of them without a value too."""
    known = {name: bool(required) for _, name, _, required, *_ in _columns(db, table)}
    keys = [table.partition_key, *([table.group_key] if table.group_key else [])]
    if set(table.kinds) <= set(known) and not any(
        required for name, required in known.items() if name not in (*keys, "as_of")
    ):
        return
    old = f"{table.name}_before"
    indexes = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? "
        "AND sql IS NOT NULL",
        (table.name,),
    ).fetchall()
    db.execute(f"ALTER TABLE {table.name} RENAME TO {old}")
    # Quantities may have decimals: as texts they keep all of their digits.
    columns = [f"{name} TEXT" + (" NOT NULL" if name in keys else "") for name in table.kinds]
    db.execute(
        f"CREATE TABLE {table.name} ({', '.join(columns)}, as_of INTEGER NOT NULL, "
        f"PRIMARY KEY ({', '.join(keys)})) WITHOUT ROWID"
    )
    names = ", ".join(name for name in (*table.kinds, "as_of") if name in known)
    db.execute(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {old}")
    db.execute(f"DROP TABLE {old}")
    for _, statement in indexes:
        db.execute(statement)


def _columns(db: sqlite3.Connection, table: KpiTable) -> list[tuple[int, str, str, int]]:
    return [row[:4] for row in db.execute(f"PRAGMA table_info({table.name})")]
