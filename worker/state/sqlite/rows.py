"""Write KPI rows to SQLite and parse them.

SQLite's integers have 64 bits. A larger number of units is a blob of its decimal digits: no
affinity changes a blob, and `sum` and `CAST(... AS REAL)` read its digits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from kpi.aggregation.tables import PLACES, Kind, KpiTable
from worker.state import Row, Value
from worker.state.corruption import parsing
from worker.state.kpi_rows import check_complete, from_units, units, whole_or_decimal
from worker.state.sqlite.kpi_columns import column, is_quantity, rows_table

Stored = str | int | bytes | None
"""Value of a column."""

MAX_INTEGER = 2**63 - 1
"""SQLite's largest integer (sqlite.org/datatype3.html)."""


def columns_of(table: KpiTable) -> list[str]:
    """Name the columns of all attributes that a row may have, in display order."""
    return [column(name, kind) for name, kind in table.kinds.items()]


def replace_rows(
    db: sqlite3.Connection, shop: str, table: KpiTable, order_date: str, rows: Sequence[Row]
) -> None:
    """Make the stored rows of a day of a table exactly these, in the open transaction.

    Rows whose values are the same already are not written.
    """
    # Names come from kpi.aggregation.tables, values are bound.
    names, into = ", ".join(columns_of(table)), rows_table(table)
    of_day = "WHERE shop = ? AND order_date = ?"
    found: set[tuple[Stored, ...]] = set(
        db.execute(f"SELECT {names} FROM {into} {of_day}", (shop, order_date))
    )
    wanted = [_to_sql(table, row) for row in rows]
    if found:
        group = list(table.kinds).index(table.group_key) if table.group_key else 0
        kept = {row[group] for row in wanted}
        gone = [(shop, order_date, row[group]) for row in found if row[group] not in kept]
        if gone:
            key = table.group_key or table.partition_key
            db.executemany(f"DELETE FROM {into} {of_day} AND {key} = ?", gone)
        wanted = [row for row in wanted if row not in found]
    places = ", ".join("?" * len(table.kinds))
    db.executemany(
        f"INSERT OR REPLACE INTO {into} (shop, {names}) VALUES (?, {places})",
        [(shop, *row) for row in wanted],
    )


def _to_sql(table: KpiTable, row: Row) -> tuple[Stored, ...]:
    """Build the values of the columns.

    Raises:
        ValueError: An attribute is missing, or a decimal has more places than its kind.
    """
    check_complete(table, row)
    return tuple(_stored(row.get(name), name, kind) for name, kind in table.kinds.items())


def _stored(value: Value, name: str, kind: Kind) -> Stored:
    if not isinstance(value, Decimal):
        return value
    if kind not in PLACES:
        if not is_quantity(name):
            message = f"{name} is a whole number, not {value}"
            raise ValueError(message)
        return f"{value:f}"
    number = units(value, name, kind)
    return number if -MAX_INTEGER <= number <= MAX_INTEGER else str(number).encode()


def parse_row(table: KpiTable, row: Sequence[Stored]) -> Row:
    """Parse a stored row.

    Args:
        table: Its table.
        row: Values of `columns_of(table)`, and `as_of`.

    Raises:
        StoreError: It is damaged.
    """
    values: dict[str, Value] = {}
    with parsing(f"row of {table.name} of {row[0]!s}"):
        date.fromisoformat(str(row[0]))
        for (name, kind), value in zip(table.kinds.items(), row, strict=False):
            if value is None:
                if name in table.attributes:
                    values[name] = None
            elif kind in PLACES:
                values[name] = from_units(_whole_number(value, name), kind)
            elif kind == "count":
                values[name] = value if isinstance(value, int) else whole_or_decimal(_text(value))
            else:
                values[name] = _text(value)
        values["as_of"] = int(row[-1] or 0)
    return values


def _text(value: Stored) -> str:
    if not isinstance(value, str):
        message = f"{value!r} is no text"
        raise ValueError(message)
    return value


def _whole_number(value: Stored, name: str) -> int:
    if isinstance(value, bytes) and value.removeprefix(b"-").isdigit():
        return int(value)
    if not isinstance(value, int):
        message = f"{name} is not a whole number"
        raise ValueError(message)
    return value
