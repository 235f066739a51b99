"""Read and write units of DynamoDB requests, from what passed by a tap.

Sizes are those of the JSON of items, which is longer than what DynamoDB counts: the units are never
too low. Units are those of "DynamoDB read and write operations" in its developer guide: 4 KB a read
unit, strongly consistent; 1 KB a write unit, two within a transaction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.tap import Request

READ_BYTES, WRITE_BYTES = 4096, 1024


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


def _blocks(item: object, size: int) -> int:
    """Return how many blocks an item takes; a missing one takes one."""
    return max(1, math.ceil(len(json.dumps(item, separators=(",", ":"))) / size))
