"""Read and write units of DynamoDB requests, from what passed by a tap.

Sizes are those of "DynamoDB item sizes and formats" in its developer guide, rounded up where it
says about: the units are never too low. Units are those of "DynamoDB read and write operations":
4 KB a read unit, strongly consistent; 1 KB a write unit, two within a transaction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.tap import Request

READ_BYTES, WRITE_BYTES = 4096, 1024

Item = dict[str, dict[str, Any]]
"""Attribute -> kind -> value, as DynamoDB's JSON has it."""


@dataclass(frozen=True, kw_only=True)
class Units:
    """What some requests consume.

    Attributes:
        requests: Number of requests to DynamoDB.
        read: Read request units.
        write: Write request units.
    """

    requests: int
    read: int
    write: int


def units_of(answers: Iterable[tuple[Request, bytes]]) -> Units:
    """Count the units of requests with their answers."""
    requests = read = write = 0
    for request, answer in answers:
        requests += 1
        asked = json.loads(request.body or b"{}")
        found = json.loads(answer or b"{}")
        read += _read_units(request.target, asked, found)
        write += _write_units(request.target, asked)
    return Units(requests=requests, read=read, write=write)


def _read_units(target: str, asked: dict[str, Any], found: dict[str, Any]) -> int:
    if target == "getitem":
        return _blocks(found.get("Item", {}), READ_BYTES)
    if target in ("query", "scan"):
        return _blocks(found.get("Items", []), READ_BYTES)
    if target == "batchgetitem":
        keys = sum(len(table["Keys"]) for table in asked["RequestItems"].values())
        items = [one for table in found.get("Responses", {}).values() for one in table]
        return sum(_blocks(one, READ_BYTES) for one in items) + keys - len(items)
    return 0


def _write_units(target: str, asked: dict[str, Any]) -> int:
    if target == "putitem":
        return _blocks(asked["Item"], WRITE_BYTES)
    if target in ("deleteitem", "updateitem"):
        return 1
    if target == "transactwriteitems":
        return sum(
            2 * _blocks(write["Put"]["Item"] if "Put" in write else {}, WRITE_BYTES)
            for write in asked["TransactItems"]
        )
    return 0


def _blocks(items: Item | list[Item], size: int) -> int:
    """Return how many blocks some items take; a missing one takes one."""
    every = items if isinstance(items, list) else [items]
    return max(1, math.ceil(sum(map(item_bytes, every)) / size))


def item_bytes(item: Item) -> int:
    """Return the size of an item: of the names and values of its attributes."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "N":  # a byte for two digits, one more, and one for a sign
        return math.ceil(len(content) / 2) + 2
    if kind == "S":
        return len(content.encode())
    if kind == "B":
        return len(content) * 3 // 4
    if kind == "M":
        return 3 + len(content) + item_bytes(content)
    if kind == "L":
        return 3 + sum(1 + _value_bytes(one) for one in content)
    return len(json.dumps(content))  # of sets more than they take; BOOL and NULL take 1
