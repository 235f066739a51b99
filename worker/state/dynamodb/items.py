"""DynamoDB items, documents in them, and conditional writes of them.

Items are in DynamoDB's own form, `{"S": text}` and `{"N": decimal digits}`, so that no number ever
becomes a float. Names of limits are those of "Quotas in Amazon DynamoDB".
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.errors import StoreError

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

# An item holds 400 KB with its names; what is left here is for its keys and small attributes.
_DOCUMENT_BYTES = 400 * 1024 - 4096

# Below this a document stays readable in the console; above it, capacity units matter more.
_PLAIN_DOCUMENT_BYTES = 16 * 1024


def document(data: bytes, what: str) -> Value:
    """UTF-8 JSON as an attribute: text, or compressed where it is long.

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
    """The JSON that `document` was given."""
    return value["S"].encode() if "S" in value else zlib.decompress(value["B"])


def number(value: int) -> Value:
    """An integer as an attribute."""
    return {"N": str(value)}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What the item that is there must fulfil for a write of it; `#a` stands for `attribute`."""

    attribute: str
    expression: str
    values: Item = field(default_factory=dict)


def absent(attribute: str) -> Condition:
    """No item, or one without that attribute, is there."""
    return Condition(attribute=attribute, expression="attribute_not_exists(#a)")


def unchanged(attribute: str, seen: int) -> Condition:
    """The attribute is what was seen; 0 was seen where there was no item."""
    if seen == 0:
        return absent(attribute)
    return Condition(attribute=attribute, expression="#a = :seen", values={":seen": number(seen)})


def not_above(attribute: str, limit: int) -> Condition:
    """The attribute is at most `limit`, or is not there."""
    return Condition(
        attribute=attribute,
        expression="attribute_not_exists(#a) OR #a <= :limit",
        values={":limit": number(limit)},
    )


def put(table: str, item: Item, condition: Condition | None = None) -> Put:
    """Put `item` into the table of that full name, where the condition holds."""
    request: Put = {"TableName": table, "Item": item}
    if condition is not None:
        request["ConditionExpression"] = condition.expression
        request["ExpressionAttributeNames"] = {"#a": condition.attribute}
        if condition.values:
            request["ExpressionAttributeValues"] = condition.values
    return request
