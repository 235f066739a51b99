"""Build DynamoDB items, documents in them, and conditional writes of them.

Items are in DynamoDB's own form, `{"S": text}` and `{"N": decimal digits}`, so that no number ever
becomes a float. Names of limits are those of "Quotas in Amazon DynamoDB".
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kpi.aggregation.tables import LEDGER_PARTITION_KEY, LEDGER_SORT_KEY
from worker.errors import StoreError
from worker.state.corruption import parsing

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import (
        AttributeValueTypeDef,
        PutTypeDef,
        TransactWriteItemTypeDef,
    )

    Value = AttributeValueTypeDef
    Item = Mapping[str, AttributeValueTypeDef]
    Put = PutTypeDef
    Write = TransactWriteItemTypeDef

_DOCUMENT_BYTES = 400 * 1024 - 4096
"""Largest document of an item. An item holds 400 KB with its names; the rest is for its keys and
small attributes."""

_PLAIN_DOCUMENT_BYTES = 16 * 1024
"""Largest document kept as text. Short ones stay readable in the console; of long ones the capacity
units matter more."""


def document(data: bytes, what: str) -> Value:
    """Build an attribute of UTF-8 JSON: text, or compressed where it is long.

    Raises:
        StoreError: It does not fit an item even so.
    """
    if len(data) <= _PLAIN_DOCUMENT_BYTES:
        return {"S": data.decode()}
    packed = zlib.compress(data)
    if len(packed) > _DOCUMENT_BYTES:
        raise StoreError(
            f"{what} has {len(data)} bytes of JSON, {len(packed)} compressed",
            hint=f"a DynamoDB item holds {_DOCUMENT_BYTES}",
            retryable=False,
        )
    return {"B": packed}


def document_bytes(value: Value) -> bytes:
    """Return the JSON that `document` was given."""
    return value["S"].encode() if "S" in value else zlib.decompress(value["B"])


def number(value: int) -> Value:
    """Build a number attribute."""
    return {"N": str(value)}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Condition on the existing item for a write of it; `#a` is the name of `attribute`."""

    attribute: str
    expression: str
    values: Item = field(default_factory=dict)


def absent(attribute: str) -> Condition:
    """Require that there is no item, or one without that attribute."""
    return Condition(attribute=attribute, expression="attribute_not_exists(#a)")


def unchanged(attribute: str, seen: int) -> Condition:
    """Require that the attribute is still what was seen; 0 was seen where there was no item."""
    if seen == 0:
        return absent(attribute)
    return Condition(attribute=attribute, expression="#a = :seen", values={":seen": number(seen)})


def not_above(attribute: str, limit: int) -> Condition:
    """Require that the attribute is at most `limit`, or absent."""
    return Condition(
        attribute=attribute,
        expression="attribute_not_exists(#a) OR #a <= :limit",
        values={":limit": number(limit)},
    )


def put(table: str, item: Item, condition: Condition | None = None) -> Put:
    """Build a request that puts `item` into a table where the condition holds."""
    request: Put = {"TableName": table, "Item": item}
    if condition is not None:
        request["ConditionExpression"] = condition.expression
        request["ExpressionAttributeNames"] = {"#a": condition.attribute}
        if condition.values:
            request["ExpressionAttributeValues"] = condition.values
    return request


def _name(item: Item) -> str:
    return f"{item[LEDGER_PARTITION_KEY]['S']} {item[LEDGER_SORT_KEY]['S']}"


def sequence_of(item: Item) -> int:
    """Return the sequence of an item of the ledger."""
    with parsing(f"sequence in ledger item {_name(item)}"):
        return int(item["sequence"]["N"])


def json_of(item: Item, name: str) -> bytes:
    """Return a JSON document of an item."""
    with parsing(f"{name} in ledger item {_name(item)}"):
        return document_bytes(item[name])
