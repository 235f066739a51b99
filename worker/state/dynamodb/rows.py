"""Convert KPI rows to DynamoDB items and back."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from kpi.aggregation.tables import PLACES, KpiTable
from worker.errors import StoreError
from worker.state import Row
from worker.state.corruption import parsing
from worker.state.kpi_rows import EXACT, scaled, stored_row, whole_or_decimal

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item, Value

_SORT_KEY_BYTES = 1024
"""Longest sort key ("Quotas in Amazon DynamoDB")."""


def row_item(table: KpiTable, row: Row, as_of: int) -> Item:
    """Build the item of a row: its attributes, `as_of`, and `month` for the index by_month.

    Raises:
        StoreError: Its category or product id cannot be a key of DynamoDB.
    """
    values = stored_row(table, row, as_of)
    if table.group_key is not None:
        group = str(values[table.group_key])
        if not 1 <= len(group.encode()) <= _SORT_KEY_BYTES:
            raise StoreError(
                f"{table.name} of {values[table.partition_key]}: {table.group_key} has "
                f"{len(group.encode())} bytes",
                hint=f"a key of DynamoDB has 1 to {_SORT_KEY_BYTES}",
                retryable=False,
            )
    return {
        **{name: _value(value) for name, value in values.items() if value is not None},
        "month": {"S": str(values[table.partition_key])[:7]},
    }


def row_key(table: KpiTable, item: Item) -> Item:
    """Return the key of an item."""
    names = [table.partition_key, *([table.group_key] if table.group_key else [])]
    return {name: item[name] for name in names}


def row_of(table: KpiTable, item: Item) -> Row:
    """Parse the row of an item: in the table's order, `as_of` last.

    Raises:
        StoreError: It is damaged.
    """
    row: dict[str, str | int | Decimal | None] = {}
    with parsing(f"row of {table.name} of {item[table.partition_key]['S']}"):
        for name, kind in table.kinds.items():
            if name not in item:
                # Of a key it is damage; of a KPI the contract gave it no meaning.
                if name not in table.optional:
                    row[name] = item[name]["S"] if kind in ("date", "text") else None
                continue
            value = item[name]
            if "S" in value:
                row[name] = value["S"]
            elif kind in PLACES:
                # DynamoDB drops trailing zeros.
                row[name] = scaled(Decimal(value["N"]), name, kind)
            else:
                row[name] = whole_or_decimal(value["N"])
        row["as_of"] = int(item["as_of"]["N"])
    return row


def is_same(item: Item, other: Item) -> bool:
    """Return whether both have the same attributes, numbers compared as numbers."""
    return item.keys() == other.keys() and all(
        _plain(value) == _plain(other[name]) for name, value in item.items()
    )


def _value(value: str | int | Decimal) -> Value:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, Decimal):
        # As DynamoDB keeps it: without trailing zeros, and zero without a sign.
        return {"N": format(EXACT.normalize(value), "f") if value else "0"}
    return {"N": str(value)}


def _plain(value: Value) -> object:
    return Decimal(value["N"]) if "N" in value else value
