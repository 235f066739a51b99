"""What one upload's transform asks for after years: over a ledger that was made up."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

from benchmarks import ours
from benchmarks.cases.cloud import create_tables
from benchmarks.cases.counting import Counted, count
from benchmarks.emulator import client_environment, put_objects, running_ministack, upload
from benchmarks.measure import measure
from benchmarks.results import Row
from benchmarks.rounds import Bench
from benchmarks.tap import tapped

LEDGERS = ((1_000, 50), (182_500, 365), (1_825_000, 3_650))
"""Receipts and days: of a short while, and 500 a day for one and for ten years."""

STATE = {"workspace": "s3://clean", "state": "dynamodb://years"}

ORDERS_HEADER = "order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item"
PRODUCTS_HEADER = "id,sku,cost,category,name,brand,retail_price,department"


def long_ledgers(bench: Bench) -> list[Row]:
    """Count one upload's transform over ledgers of some length."""
    is_whole = bench.orders >= 1_000_000
    ledgers = LEDGERS if is_whole else LEDGERS[:1]
    rows: list[Row] = []
    for receipts, days in ledgers:
        counted = _one_upload(receipts, days, bench.scratch / "logs" / "years")
        what = f"of one upload's transform, {receipts:,} receipts of {days:,} days"
        rows += [
            Row(
                what=f"read units {what}",
                ours=str(counted.units.read),
                best=counted.units.read,
                unit="",
                limit=250,
            ),
            Row(
                what=f"S3 GET {what}",
                ours=str(counted.gets),
                best=counted.gets,
                unit="",
                limit=250,
            ),
            Row(
                what=f"peak memory {what}",
                ours=f"{counted.peak_bytes / 2**20:.0f} MiB",
                best=counted.peak_bytes / 2**20,
                unit="MiB",
            ),
            Row(
                what=f"price {what}",
                ours=f"${counted.dollars:.6f}",
                best=counted.dollars,
                unit="",
                limit=0.0005,
            ),
        ]
    return rows


def _one_upload(receipts: int, days: int, logs: Path) -> Counted:
    logs.mkdir(parents=True, exist_ok=True)
    with running_ministack(logs / "ministack.log") as endpoint, tapped(endpoint) as tap:
        environment = client_environment(endpoint)
        create_tables(STATE["state"], logs, environment)
        for bucket in ("clean", "incoming"):
            upload(endpoint, bucket, [])

        def run(*command: str) -> None:
            measure(command, log=logs / "years.log", environment=environment, sample=False)

        products = logs / "products.csv"
        products.write_text(
            "\n".join([PRODUCTS_HEADER, *(f"{_id(one)},S,1.00,C,n,b,2.00,d" for one in range(9))])
        )
        put_objects(endpoint, "incoming", [(products, "products/1.csv")])
        run(*ours.command("run", "s3://incoming", **STATE), "--contract", "uuid-ids")
        made = [sys.executable, "-m", "benchmarks.long_ledger", str(receipts), str(days)]
        run(*made, *STATE.values())
        orders = logs / "orders.csv"
        orders.write_text(
            "\n".join(
                [
                    ORDERS_HEADER,
                    *(f"{_id(one)},{_id(one)},delivered,2035-01-01,,,,1" for one in range(20)),
                ]
            )
        )
        put_objects(endpoint, "incoming", [(orders, "orders/new.csv")])
        run(*ours.command("validate", "s3://incoming/orders/new.csv", **STATE))
        usage, counted = count(ours.command("transform", **STATE), tap, logs)
        if ours.published(usage)["days"] != 1:
            raise ours.WrongResult("expected one day to be published")
        return counted


def _id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))
