"""Uploads that a contract's patterns take, wherever they are in the input bucket."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.cloud.deployment import Deployment, plain
from tests.e2e.cloud.running import SETTINGS, Cloud, deployable
from tests.unit.infra.templates import ROOT

CONTRACT = """\
language = 2
name = "tills"
day = "as written"
currency = "EUR"

[[files]]
match = "till/{store}/sales_*.csv"
feeds = ["orders", "order_items"]
numbers = "1.234,50"
[[files]]
match = "*.jsonl"
feeds = ["refunds"]
[[files]]
match = "*.pdf"
feeds = []

[orders.columns]
order_id = { join = ["{store}", "Receipt"] }
created_at = "Time"
[order_items]
key = "order"
[order_items.columns]
order_id = { join = ["{store}", "Receipt"] }
category = "Group"
quantity = "Qty"
after_discount = "Amount"
[refunds]
key = "row"
[refunds.columns]
order_id = "receipt"
amount = "amount"
"""

HEADER = b"Receipt;Time;Group;Qty;Amount\n"
NORTH = HEADER + b"1;2025-03-01 10:00;Tea;2;1.000,50\n1;2025-03-01;Cups;1;4,00\n"
SOUTH = HEADER + b"1;2025-03-02 11:00;Tea;1;2,00\n"
WEST = HEADER + b"1;2025-03-03 12:00;Tea;1;3,00\n"
REFUNDS = b'{"receipt": "south 1", "amount": "2.00"}\n'


def zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def tills(cloud: Cloud, tmp_path: Path) -> Deployment:
    """A deployment whose contract is of language 2, and a ledger that has adopted ours."""
    template = deployable(tmp_path / "cdk.out", {**SETTINGS, "contract": "shopify"})
    made = Deployment.create(cloud.emulator, template, cloud.home)
    contract, first = tmp_path / "tills.toml", tmp_path / "till" / "west" / "sales_0.csv"
    contract.write_text(CONTRACT)
    first.parent.mkdir(parents=True)
    first.write_bytes(WEST)
    subprocess.run(
        [sys.executable, "-m", "worker", "run", str(first), "--contract", str(contract)],
        env={
            **made.emulator.environment,
            "SHOPKPI_STATE": made.outputs["State"],
            "SHOPKPI_WORKSPACE": f"s3://{made.outputs['CleanBucket']}",
        },
        cwd=ROOT,
        check=True,
    )
    return made


def test_patterns_take_uploads_wherever_they_are(tills: Deployment) -> None:
    tills.upload("2025/till/north/sales_1.csv", NORTH)
    tills.drain(1)
    # A marker, as tools write it beside their files, is deleted from the queue unread.
    tills.upload("2025/till/north/_SUCCESS", b"")
    tills.upload("week.zip", zipped({"till/south/sales_1.csv": SOUTH, "back.jsonl": REFUNDS}))
    tills.drain(2)
    tills.upload("manual.pdf", b"%PDF-1.7 nothing of a shop")
    tills.drain(3)
    tills.upload("notes.txt", b"nothing that the contract knows\n")
    tills.drain(4)

    days = tills.rows("order_kpis")
    assert [(one["order_date"], one["total_revenue"], one["refunds"]) for one in plain(days)] == [
        ("2025-03-01", 1004.5, 0),
        ("2025-03-02", 2, 2),
        ("2025-03-03", 3, 0),
    ]
    assert {one["category"] for one in tills.rows("category_kpis")} == {"Tea", "Cups"}
    # Moved as ever: what counts, and what is not needed, to the archive; the marker stays.
    assert tills.keys("InputBucket") == ["2025/till/north/_SUCCESS"]
    archived = tills.keys("ArchiveBucket", "archive/")
    assert sorted(key.split("/", 2)[2] for key in archived) == [
        *("2025/till/north/sales_1.csv", "manual.pdf", "week.zip")
    ]
    moved = tills.keys("ArchiveBucket", "quarantine/")
    assert [key.partition("/")[2].partition("/")[2] for key in sorted(moved)] == [
        "notes.txt",
        "notes.txt.verdict.json",
    ]
    # The sweep passes over the marker too.
    before = len(tills.executions("intake"))
    tills.start("sweep", {"again": ""})
    tills.wait(1, "sweep")
    assert len(tills.executions("intake")) == before
