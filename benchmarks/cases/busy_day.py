"""What one upload's transform costs on a day that has many files: its sums are kept (0014)."""

from __future__ import annotations

from pathlib import Path

from benchmarks import ours
from benchmarks.cases.cloud import create_tables
from benchmarks.cases.counting import Counted, count
from benchmarks.emulator import client_environment, put_objects, running_ministack, upload
from benchmarks.measure import measure
from benchmarks.results import Row
from benchmarks.rounds import Bench
from benchmarks.tap import tapped

FILES = 100
FILE_ORDERS = 20
UPLOADS = 3
"""Transforms that are counted one after the other; the dearest is what is told."""

STATE = {"workspace": "s3://clean", "state": "dynamodb://busy"}

HEADER = "order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item\n"


def busy_day(bench: Bench) -> list[Row]:
    """Count transforms of one upload each on a day of many files."""
    logs = bench.scratch / "logs" / "busy"
    logs.mkdir(parents=True, exist_ok=True)
    with running_ministack(logs / "ministack.log") as endpoint, tapped(endpoint) as tap:
        environment = client_environment(endpoint)
        create_tables(STATE["state"], logs, environment)
        for bucket in ("clean", "incoming"):
            upload(endpoint, bucket, [])

        def put(numbers: range) -> None:
            files = [(_file(logs, number), f"orders/{number:06d}.csv") for number in numbers]
            put_objects(endpoint, "incoming", files)

        def run(*command: str) -> None:
            measure(command, log=logs / "busy.log", environment=environment, sample=False)

        put(range(FILES))
        run(*ours.command("run", "s3://incoming", **STATE))
        counted: list[Counted] = []
        for number in range(FILES, FILES + UPLOADS):
            put(range(number, number + 1))
            run(*ours.command("validate", f"s3://incoming/orders/{number:06d}.csv", **STATE))
            usage, found = count(ours.command("transform", **STATE), tap, logs)
            if ours.published(usage)["days"] != 1:
                raise ours.WrongResult("expected one day to be published")
            counted.append(found)
    dearest = max(counted, key=lambda one: one.dollars)
    what = f"of one upload's transform on a day of {FILES} files"
    return [
        Row(
            what=f"S3 PUT and LIST {what}",
            ours=str(dearest.puts),
            best=dearest.puts,
            unit="",
        ),
        Row(
            what=f"S3 GET {what}",
            ours=str(dearest.gets),
            best=dearest.gets,
            unit="",
            limit=250,
        ),
        Row(
            what=f"price {what}",
            ours=f"${dearest.dollars:.6f}",
            best=dearest.dollars,
            unit="",
            limit=0.0005,
        ),
    ]


def _file(folder: Path, number: int) -> Path:
    path = folder / f"{number}.csv"
    first = number * FILE_ORDERS + 1
    rows = (
        f"{one},{one % 997},delivered,2025-01-01T{one % 24:02d}:00:00,,,,1\n"
        for one in range(first, first + FILE_ORDERS)
    )
    path.write_text(HEADER + "".join(rows))
    return path
