"""Generate the files of a small shop, and compare its KPI tables with the oracle."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tests.e2e.cloud.deployment import Deployment, plain
from tests.support import oracle

Rows = list[dict[str, object]]

CATEGORIES = ("Beauty", "Jeans", "Kids & Toys")


def products(count: int = 10) -> Rows:
    return [
        {
            "id": number,
            "sku": f"sku-{number}",
            "cost": "1.50",
            "category": CATEGORIES[number % len(CATEGORIES)],
            "name": f"product, {number}",
            "brand": "brand",
            "retail_price": "9.99",
            "department": "department",
        }
        for number in range(1, count + 1)
    ]


def orders(numbers: Iterable[int], *, seed: int = 1) -> Rows:
    """Orders of three days, a fifth of them returned."""
    random_ = random.Random(seed)
    rows: Rows = []
    for number in numbers:
        created = datetime(2025, 3, 1) + timedelta(seconds=random_.randrange(3 * 86_400))
        returned = random_.random() < 0.2
        rows.append(
            {
                "order_id": number,
                "user_id": random_.randrange(1, 50),
                "status": "returned" if returned else "delivered",
                "created_at": created.isoformat(),
                "returned_at": (created + timedelta(days=9)).isoformat() if returned else "",
                "shipped_at": "",
                "delivered_at": "",
                "num_of_item": 2,
            }
        )
    return rows


def items(of: Rows, *, each: int = 2, seed: int = 2) -> Rows:
    """Items of orders; their ids follow from the orders'."""
    random_ = random.Random(seed)
    return [
        {
            "id": int(str(order["order_id"])) * 10 + number,
            "order_id": order["order_id"],
            "user_id": order["user_id"],
            "product_id": random_.randrange(1, 11),
            "status": order["status"],
            "created_at": order["created_at"],
            "shipped_at": "",
            "delivered_at": "",
            "returned_at": "",
            "sale_price": f"{random_.randrange(100, 10_000) / 100:.2f}",
        }
        for order in of
        for number in range(each)
    ]


def csv_bytes(rows: Rows) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def expect_kpis(
    deployment: Deployment, folder: Path, uploads: Mapping[str, Sequence[bytes]]
) -> None:
    """Expect all three KPI tables to equal those of the oracle over the uploads, in order."""
    files: dict[str, list[Path]] = {}
    for dataset, bodies in uploads.items():
        for number, body in enumerate(bodies):
            path = folder / f"{dataset}-{number}.csv"
            path.write_bytes(body)
            files.setdefault(dataset, []).append(path)
    expected = oracle.kpis(files)
    for table, rows in expected.items():
        assert plain(deployment.rows(table)) == plain(rows), table
    assert expected["order_kpis"]
