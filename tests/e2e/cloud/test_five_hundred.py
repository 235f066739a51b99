"""Five hundred uploads at once: every KPI is right, and few tasks start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.cloud import shop
from tests.e2e.cloud.deployment import Deployment

PAIRS = 249
"""Files of orders, and as many of their items; products and a file that is refused make 500."""

TASK_STARTS = 30
"""A task for each step of each file would be 1,500 starts; 6 were counted. On a slow machine the
uploads take longer than a window, so that more batches begin."""


def test_five_hundred_uploads_at_once(deployment: Deployment, tmp_path: Path) -> None:
    uploads: dict[str, list[bytes]] = {"products": [shop.csv_bytes(shop.products())]}
    for part in range(PAIRS):
        orders = shop.orders(range(100 * part + 1, 100 * part + 6), seed=part)
        uploads.setdefault("orders", []).append(shop.csv_bytes(orders))
        uploads.setdefault("order_items", []).append(shop.csv_bytes(shop.items(orders, seed=part)))
    files = {
        f"{dataset}/part-{number}.csv": body
        for dataset, bodies in uploads.items()
        for number, body in enumerate(bodies)
    }
    files["orders/wrong.csv"] = b"nothing,that,belongs,here\n1,2,3,4\n"
    assert len(files) == 500
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: deployment.upload(*one), files.items()))
    executions = deployment.drain(500)
    assert {one["status"] for one in executions} == {"SUCCEEDED"}
    shop.expect_kpis(deployment, tmp_path, uploads)
    assert deployment.keys("InputBucket") == []
    assert deployment.messages("UploadDeadLetters") == 0
    commands = [command[0] for command in deployment.commands()]
    assert len(commands) <= TASK_STARTS, commands
    # A file is read by one task, or by a second one that finds its entry there.
    committed = [one["source_id"] for one in deployment.events("source.committed")]
    assert len(committed) == len(set(committed)) == 499
