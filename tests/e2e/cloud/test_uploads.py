"""From PutObject to KPI rows through the synthesized template: rule, machines, worker, tables.

Real are the template, the matching of events, the state machines' definitions, the worker and its
stores. Not real are the container, which is a process of this machine, and IAM, which the emulator
does not enforce.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.cloud import shop
from tests.e2e.cloud.deployment import Deployment
from tests.unit.infra.templates import ROOT


def test_an_upload_becomes_kpis(deployment: Deployment, tmp_path: Path) -> None:
    orders = shop.orders(range(1, 60))
    files = {
        "products": shop.csv_bytes(shop.products()),
        "orders": shop.csv_bytes(orders),
        "order_items": shop.csv_bytes(shop.items(orders)),
    }
    for number, (dataset, body) in enumerate(files.items(), 1):
        deployment.upload(f"{dataset}/monday & co/part 1.csv", body)
        deployment.drain(number)
    shop.expect_kpis(deployment, tmp_path, {name: [body] for name, body in files.items()})
    # As a user asks for them.
    done = subprocess.run(
        [sys.executable, "-m", "worker", "query", "orders", "--format", "json"],
        env={
            **deployment.emulator.environment,
            "SHOPKPI_STATE": deployment.outputs["State"],
            "SHOPKPI_WORKSPACE": f"s3://{deployment.outputs['CleanBucket']}",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [row["order_date"] for row in json.loads(done.stdout)] == [
        "2025-03-01",
        "2025-03-02",
        "2025-03-03",
    ]
    # The raw objects are out of the way, each below its source_id.
    assert deployment.keys("InputBucket") == []
    moved = deployment.keys("ArchiveBucket", "archive/")
    committed = deployment.events("source.committed")
    assert sorted(moved) == sorted(
        f"archive/{one['source_id']}/{one['url'].split('/', 3)[3]}" for one in committed
    )
    # One id from the event to the KPI rows, and the execution beside it.
    for one in committed:
        lines = [json.loads(line) for line in deployment.logs() if one["source_id"] in line]
        assert [line["event"] for line in lines] == [
            *("source.received", "source.committed", "batch.published", "source.moved"),
        ]
        assert len({line["execution"] for line in lines}) == 1
        assert lines[2]["as_of"] >= one["sequence"]
    of_orders = next(key for key in moved if "/orders/" in key)
    assert deployment.read("ArchiveBucket", of_orders) == files["orders"]
