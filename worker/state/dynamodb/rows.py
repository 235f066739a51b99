"""Convert KPI rows to DynamoDB items and back."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING

from kpi.aggregation.tables import PLACES, SHOP_KEY, KpiTable
from worker.errors import StoreError
from worker.state import Row
from worker.state.corruption import parsing
from worker.state.kpi_rows import EXACT, scaled, stored_row, whole_or_decimal
from worker.state.shop import SEPARATOR

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item, Value

_SORT_KEY_BYTES = 1024
"""Longest sort key ("Quotas in Amazon DynamoDB"); a group alone may be as long."""

_DIGEST_DIGITS = 64
"""Of SHA-256, in hexadecimal."""

_LAST_CHARACTER = "\U0010ffff"
"""Sorts behind all others."""


def sort_key(shop: str, table: KpiTable, group: str | None) -> str:
    """Return the sort key of a row: the shop, and behind it the group.

    Of a group that is too long the rest is replaced by a digest of all of it.
    """
    if table.group_key is None or group is None:
        return shop
    lead = f"{shop}{SEPARATOR}"
    data = group.encode()
    room = _SORT_KEY_BYTES - len(lead)
    if len(data) <= room:
        return lead + group
    start = data[: room - _DIGEST_DIGITS - 1].decode(errors="ignore")
    return f"{lead}{start}{SEPARATOR}{hashlib.sha256(data).hexdigest()}"


def sort_keys(shop: str, table: KpiTable) -> tuple[str, str]:
    """Return the lowest and the highest sort key of a shop's rows of a day."""
    if table.group_key is None:
        return shop, shop
    return f"{shop}{SEPARATOR}", f"{shop}{SEPARATOR}{_LAST_CHARACTER}"


def row_item(shop: str, table: KpiTable, row: Row) -> Item:
    """Build the item of a row: its keys, the shop, and its attributes.

    Raises:
        StoreError: Its category or product id cannot be a key of DynamoDB.
    """
    values = stored_row(table, row)
    group = None if table.group_key is None else str(values[table.group_key])
    if group is not None and not 1 <= len(group.encode()) <= _SORT_KEY_BYTES:
        raise StoreError(
            f"{table.name} of {values[table.partition_key]}: {table.group_key} has "
            f"{len(group.encode())} bytes",
            hint=f"expected 1 to {_SORT_KEY_BYTES}",
            retryable=False,
        )
    return {
        **{name: _value(value) for name, value in values.items() if value is not None},
        SHOP_KEY: {"S": shop},
        table.sort_key: {"S": sort_key(shop, table, group)},
    }


def row_key(table: KpiTable, item: Item) -> Item:
    """Return the key of an item."""
    return {name: item[name] for name in (table.partition_key, table.sort_key)}


def row_of(table: KpiTable, item: Item, as_of: int) -> Row:
    """Parse the row of an item: in the table's order, `as_of` last.

    Raises:
        StoreError: It is damaged.
    """
    row: dict[str, str | int | Decimal | None] = {}
    with parsing(f"row of {table.name} of {item[table.partition_key]['S']}"):
        for name, kind in table.kinds.items():
            if name not in item:
                # Of a key it is damage; of a KPI the contract gave it no meaning.
                if name in table.attributes:
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
        row["as_of"] = as_of
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
