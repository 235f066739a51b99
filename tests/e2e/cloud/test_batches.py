"""Uploads in batches: many at once, redelivered, out of order, poisoned; tasks that are killed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.cloud import shop
from tests.e2e.cloud.deployment import Deployment


def parts(count: int) -> dict[str, list[bytes]]:
    """Files of orders and of their items, and one of products."""
    uploads: dict[str, list[bytes]] = {"products": [shop.csv_bytes(shop.products())]}
    for part in range(count):
        orders = shop.orders(range(100 * part + 1, 100 * part + 20), seed=part)
        uploads.setdefault("orders", []).append(shop.csv_bytes(orders))
        uploads.setdefault("order_items", []).append(shop.csv_bytes(shop.items(orders, seed=part)))
    return uploads


def put_all(deployment: Deployment, uploads: dict[str, list[bytes]]) -> None:
    for dataset, bodies in uploads.items():
        for number, body in enumerate(bodies):
            deployment.upload(f"{dataset}/part-{number}.csv", body)


def test_many_uploads_become_kpis_in_few_tasks(deployment: Deployment, tmp_path: Path) -> None:
    messages = deployment.subscribe()
    uploads = parts(20)
    put_all(deployment, uploads)
    deployment.upload("orders/wrong.csv", b"nothing,that,belongs,here\n1,2,3,4\n")
    executions = deployment.drain()
    assert {one["status"] for one in executions} == {"SUCCEEDED"}
    shop.expect_kpis(deployment, tmp_path, uploads)
    assert deployment.keys("InputBucket") == []
    commands = [command[0] for command in deployment.commands()]
    # 42 files: a task for each would be 126.
    assert len(commands) <= 24, commands
    assert {"validate", "transform", "archive"} <= set(commands)
    told = list(messages)
    assert [one["event"] for one in told] == ["batch.refused"]
    assert told[0]["first"][0]["url"].endswith("orders/wrong.csv")
    (refused,) = [one for one in deployment.keys("ArchiveBucket", "quarantine/") if "json" in one]
    assert json.loads(deployment.read("ArchiveBucket", refused))["verdict"] == "refused"
