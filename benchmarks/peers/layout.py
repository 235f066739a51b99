"""The columns of the sample data, for the peers; ours come from the built-in contract."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

Kind = Literal["id", "integer", "text", "timestamp", "money"]
Ids = Literal["integer", "uuid"]

LAYOUT: dict[str, dict[str, Kind]] = {
    "orders": {
        "order_id": "id",
        "user_id": "id",
        "status": "text",
        "created_at": "timestamp",
        "returned_at": "timestamp",
        "shipped_at": "timestamp",
        "delivered_at": "timestamp",
        "num_of_item": "integer",
    },
    "order_items": {
        "id": "id",
        "order_id": "id",
        "user_id": "id",
        "product_id": "id",
        "status": "text",
        "created_at": "timestamp",
        "shipped_at": "timestamp",
        "delivered_at": "timestamp",
        "returned_at": "timestamp",
        "sale_price": "money",
    },
    "products": {
        "id": "id",
        "sku": "text",
        "cost": "money",
        "category": "text",
        "name": "text",
        "brand": "text",
        "retail_price": "money",
        "department": "text",
    },
}

TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%S"


def arguments() -> tuple[Path, Path, Ids]:
    """Those of a peer: where the CSV files are, where results go (made, empty), what ids are."""
    source, out, ids = sys.argv[1:]
    Path(out).mkdir(parents=True)
    return Path(source), Path(out), kind_of_ids(ids)


def kind_of_ids(argument: str) -> Ids:
    """Return the last argument."""
    return "uuid" if argument == "uuid" else "integer"
