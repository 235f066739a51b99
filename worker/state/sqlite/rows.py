"""Write KPI rows to SQLite and parse them; decimals are texts with all their digits."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from kpi.aggregation.tables import PLACES, KpiTable
from worker.state import Row, Value
from worker.state.corruption import parsing
from worker.state.kpi_rows import whole_or_decimal
from worker.state.sqlite.kpi_columns import extend, needs_extension, stored_names


def replace_rows(
    db: sqlite3.Connection, table: KpiTable, order_date: str, rows: Sequence[Row], as_of: int
) -> None:
    """Make the stored rows of a day of a table exactly these, in the open transaction."""
    if needs_extension(table, rows):
        extend(db, table)
    names = stored_names(db, table)
    # Names come from kpi.aggregation.tables, values are bound.
    db.execute(f"DELETE FROM {table.name} WHERE order_date = ?", (order_date,))
    places = ", ".join("?" * (len(names) + 1))
    db.executemany(
        f"INSERT INTO {table.name} ({', '.join(names)}, as_of) VALUES ({places})",
        [(*(_to_sql(_value_of(table, row, name)) for name in names), as_of) for row in rows],
    )


def _to_sql(value: Value) -> str | int | None:
    return f"{value:f}" if isinstance(value, Decimal) else value


def parse_row(table: KpiTable, names: list[str], row: Sequence[str | int | None]) -> Row:
    """Parse a stored row.

    Args:
        table: Its table.
        names: Names of its columns.
        row: Their values.

    Raises:
        StoreError: It is damaged.
    """
    values: dict[str, Value] = {
        name: value
        for name, value in zip(names, row, strict=True)
        if value is not None or name not in table.optional
    }
    with parsing(f"row of {table.name} of {values['order_date']}"):
        date.fromisoformat(str(values["order_date"]))
        for name, kind in table.kinds.items():
            value = values.get(name)
            if value is not None and kind in PLACES:
                values[name] = Decimal(value)
            elif isinstance(value, str) and kind == "count":
                values[name] = whole_or_decimal(value)
    return values


def _value_of(table: KpiTable, row: Row, name: str) -> Value:
    return row.get(name) if name in table.optional else row[name]
