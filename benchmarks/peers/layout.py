"""The columns of the sample data, for the peers; ours come from the built-in contract."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

Kind = Literal["integer", "text", "timestamp", "money"]

LAYOUT: dict[str, dict[str, Kind]] = {
    "orders": {
        "order_id": "integer",
        "user_id": "integer",
        "status": "text",
        "created_at": "timestamp",
        "returned_at": "timestamp",
        "shipped_at": "timestamp",
        "delivered_at": "timestamp",
        "num_of_item": "integer",
    },
    "order_items": {
        "id": "integer",
        "order_id": "integer",
        "user_id": "integer",
        "product_id": "integer",
        "status": "text",
        "created_at": "timestamp",
        "shipped_at": "timestamp",
        "delivered_at": "timestamp",
        "returned_at": "timestamp",
        "sale_price": "money",
    },
    "products": {
        "id": "integer",
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


def folders() -> tuple[Path, Path]:
    """The two arguments of a peer: where the CSV files are, where results go (made, empty)."""
    source, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True)
    return source, out
