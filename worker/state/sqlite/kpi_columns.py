"""Columns that hold KPI rows in SQLite, and those that show them to other tools.

SQLite has no decimals: texts sort wrongly, floats lose cents. An amount is a whole number of its
minor unit, a rate one of basis points (ten-thousandths), a quantity with decimals a text. Beside
each is a virtual column with the number itself. It takes no room, and unlike an expression in a
view it has a declared type, by which other tools choose theirs.
"""

from __future__ import annotations

from kpi.aggregation.completeness import MONEY_OF_ITEMS
from kpi.aggregation.tables import PLACES, SHOP_KEY, Kind, KpiTable

_QUANTITIES = ("total_items_sold", "units_sold")
"""Counts that may have decimals: sums of quantities."""


def rows_table(table: KpiTable) -> str:
    """Name the table that holds the rows; its view has the name of the KPI table."""
    return f"{table.name.removesuffix('s')}_rows"


def is_quantity(name: str) -> bool:
    """Return whether a count may have decimals."""
    return name in _QUANTITIES


def column(name: str, kind: Kind) -> str:
    """Name the column that holds an attribute."""
    if kind == "money":
        return f"{name}_minor"
    if kind == "rate":
        return f"{name}_bp"
    return f"{name}_exact" if is_quantity(name) else name


def definitions(name: str, kind: Kind, *, is_key: bool) -> list[str]:
    """Build the definitions of the columns of an attribute, the one that holds it first."""
    stored = column(name, kind)
    if kind in PLACES:
        units = f"CAST({stored} AS REAL) / {10 ** PLACES[kind]}"
        return [f"{stored} INTEGER", f"{name} REAL AS ({units})"]
    if is_quantity(name):
        # Without a type: a number would lose digits.
        return [stored, f"{name} NUMERIC AS (CAST({stored} AS NUMERIC))"]
    declared = "INTEGER" if kind == "count" else "TEXT"
    return [f"{stored} {declared}{' NOT NULL' if is_key else ''}"]


_HAS_NO_ITEMS = (
    "total_orders > 0 AND orders_without_items = total_orders "
    "AND (items_missing > 0 OR orders_without_promise > 0)"
)
"""`kpi.aggregation.completeness.has_no_items` in SQL."""


def shown_definitions(table: KpiTable) -> list[str]:
    """Build the definitions of the virtual columns that views show instead of others.

    They are null where an amount is not known, since no item of its day has come.
    """
    if not table.completeness:
        return []
    return [
        f"shown_{name} {kind} AS (CASE WHEN {_HAS_NO_ITEMS} THEN NULL ELSE {name} END)"
        for amount in MONEY_OF_ITEMS
        for name, kind in ((amount, "REAL"), (f"{amount}_minor", "INTEGER"))
    ]


def shown_column(table: KpiTable, name: str) -> str:
    """Name the column of a table that its view shows under a name."""
    is_shown = table.completeness and name.removesuffix("_minor") in MONEY_OF_ITEMS
    return f"shown_{name}" if is_shown else name


def key_columns(table: KpiTable) -> list[str]:
    """Name the columns of the primary key."""
    return [SHOP_KEY, table.partition_key, *([table.group_key] if table.group_key else [])]
