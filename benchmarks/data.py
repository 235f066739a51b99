"""Sample data for the cases, made once by `shopkpi sample` and kept in the scratch folder."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import measure


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A folder of sample data.

    Attributes:
        folder: Has the folders `orders`, `order_items` and `products`.
        rows: Dataset -> rows, without headers.
        dirty: Dataset -> rows that break the contract.
        size_bytes: Of all files.
    """

    folder: Path
    rows: Counter[str]
    dirty: Counter[str]
    size_bytes: int

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*/*"))


def sample(scratch: Path, *, orders: int, **options: str | int | float) -> Sample:
    """Make a sample, unless the scratch folder has it from an earlier run.

    Args:
        scratch: The scratch folder.
        orders: Number of orders.
        options: Other options of `shopkpi sample`, without the dashes.
    """
    asked = {"orders": orders, **options}
    name = "-".join(f"{key}_{value}" for key, value in sorted(asked.items()))
    folder = scratch / "data" / name
    # The receipt is written last: without it, whatever lies in the folder is not whole.
    receipt = folder.with_name(f"{name}.json")
    if not receipt.exists():
        shutil.rmtree(folder, ignore_errors=True)
        arguments = [part for key, value in asked.items() for part in (f"--{key}", str(value))]
        command = [sys.executable, "-m", "worker", "sample", str(folder), *arguments]
        made = measure([*command, "--format", "json"], log=scratch / "logs" / "sample.log")
        receipt.write_text(made.output)
    rows: Counter[str] = Counter()
    dirty: Counter[str] = Counter()
    size_bytes = 0
    for line in map(json.loads, receipt.read_text().splitlines()):
        dataset = line["file"].split("/")[0]
        rows[dataset] += line["rows"]
        dirty[dataset] += line["dirty"]
        size_bytes += line["bytes"]
    return Sample(folder=folder, rows=rows, dirty=dirty, size_bytes=size_bytes)


def next_day(scratch: Path, year: Sample, number: int, *, orders: int) -> Sample:
    """Orders and items of one more day after a year; their products are the year's.

    A sample numbers its orders and items from 1 on, as the year does: here they go on behind the
    year's.

    Args:
        scratch: The scratch folder.
        year: What went before; 365 days from 2025-01-01.
        number: 1 for 2026-01-01, 2 for the day after, and so on.
        orders: Orders on the day.
    """
    plain = sample(scratch, orders=orders, days=1, start=f"2026-01-{number:02d}")
    folder = scratch / "data" / f"day_{number}-{orders}-after-{year.rows['orders']}"
    shutil.rmtree(folder, ignore_errors=True)
    first_order = year.rows["orders"] + (number - 1) * plain.rows["orders"]
    first_item = year.rows["order_items"] + (number - 1) * plain.rows["order_items"]
    shifts = {
        "orders": {"order_id": first_order},
        "order_items": {"id": first_item, "order_id": first_order},
    }
    for dataset, shift in shifts.items():
        (folder / dataset).mkdir(parents=True)
        for path in (plain.folder / dataset).iterdir():
            _shift(path, folder / dataset / f"day_{number}.csv", shift)
    rows = Counter({dataset: plain.rows[dataset] for dataset in shifts})
    size_bytes = sum(path.stat().st_size for path in folder.glob("*/*"))
    return Sample(folder=folder, rows=rows, dirty=Counter(), size_bytes=size_bytes)


def _shift(source: Path, target: Path, shift: dict[str, int]) -> None:
    with source.open(newline="") as read, target.open("w", newline="") as write:
        reader = csv.DictReader(read)
        writer = csv.DictWriter(write, reader.fieldnames or [], lineterminator="\n")
        writer.writeheader()
        for row in reader:
            for name, by in shift.items():
                row[name] = str(int(row[name]) + by)
            writer.writerow(row)
