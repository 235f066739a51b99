"""Files that writers drop while workers run: new rows, updates, repetitions, dirt.

A shop's days go by as they write: most rows are of the last week, so that what a worker has to do
does not grow with all that has ever arrived. Now and then a file corrects rows of an earlier week.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random

Record = tuple[str, ...]

HEADERS: dict[str, Record] = {
    "orders": ("order_id", "user_id", "status", "created_at"),
    "order_items": ("id", "order_id", "product_id", "status", "sale_price"),
    "products": ("id", "category"),
}
DIRT: dict[str, tuple[Record, ...]] = {
    "orders": (("x", "1", "", "2025-03-01T00:00:00"), ("1", "1", "", "yesterday"), ("1", "1")),
    "order_items": (("1", "1", "1", "", "-5.00"), ("1", "", "1", "", "5.00"), ("1", "1", "1")),
    "products": (("1", ""), ("1.5", "Toys"), ("1", "Toys", "?")),
}
"""Rows that break the contract; none of them counts."""

STATUSES = ("delivered", "shipped", "returned", "Returned", "")
CATEGORIES = ("Beauty", "Toys", "Décor", "Tea, Coffee", 'Sizes 12"', "Garden", "Books")
PRODUCTS = 200
FIRST_DAY = date(2025, 3, 1)
FILES_A_DAY = 20
"""Files that a writer writes on one day of its shop."""

LATE_DAYS = 7
LATE_ORDERS = 300
"""Age of the days and orders that later versions of rows belong to."""

CORRECTIONS = 0.02
"""Files whose rows are of an earlier time."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of one file, as its writer knows it; a line of `<writer>.jsonl`.

    Attributes:
        key: Path below the folder of uploads.
        mtime_ns: When it was written.
        size_bytes: Its length.
        rows: Rows in it.
        clean: Rows that keep to the contract; 0 where the file is refused.
        truth: Plain CSV file with its clean rows, below the folder of truths; None where refused.
    """

    key: str
    mtime_ns: int
    size_bytes: int
    rows: int
    clean: int
    truth: str | None

    @property
    def dataset(self) -> str:
        return self.key.split("/")[0]


def write_files(
    name: str, uploads: Path, truths: Path, seed: str, pause_s: float, stop: Event
) -> None:
    """Write a file now and then until `stop` is set."""
    writer = Writer(name, uploads, truths, Random(f"{seed}-{name}"))
    while not stop.wait(writer.random.uniform(0, 2 * pause_s)):
        writer.write_one()


class Writer:
    """Writes files whose names begin with its own name."""

    def __init__(self, name: str, uploads: Path, truths: Path, random: Random) -> None:
        self.random = random
        self._name = name
        self._uploads = uploads
        self._truths = truths
        self._numbers: dict[str, list[int]] = {dataset: [] for dataset in HEADERS}
        self._orders = 50
        self._written = 0
        self._last: dict[str, tuple[list[Record], list[Record]]] = {}

    def write_one(self) -> None:
        """A new file, one once more under another name, or a new version of an earlier one."""
        dataset = self.random.choices(tuple(HEADERS), (4, 5, 1))[0]
        if dataset in self._last and self.random.random() < 0.08:
            rows, clean = self._last[dataset]
        else:
            rows, clean = self._rows(dataset)
            self._last[dataset] = rows, clean
        numbers = self._numbers[dataset]
        if numbers and self.random.random() < 0.04:
            number = self.random.choice(numbers)
        else:
            number = len(numbers)
            numbers.append(number)
        self._put(dataset, f"{dataset}/{self._name}-{number:06d}.csv", rows, clean)
        self._written += 1

    def _rows(self, dataset: str) -> tuple[list[Record], list[Record]]:
        rows: list[Record] = []
        clean: list[Record] = []
        count = self.random.randint(0, 80)
        spoiled = self.random.random() < 0.03
        # How far back the shop is, of all its time.
        back = self.random.random() if self.random.random() < CORRECTIONS else 0.0
        for _ in range(count):
            # Below the 10 % that the contract allows, or far beyond.
            dirty = spoiled or (10 * (len(rows) - len(clean) + 1) <= count)
            if dirty and self.random.random() < (0.6 if spoiled else 0.03):
                rows.append(self.random.choice(DIRT[dataset]))
            else:
                rows.append(self._record(dataset, back=back))
                clean.append(rows[-1])
        return rows, clean

    def _record(self, dataset: str, *, back: float) -> Record:
        random = self.random
        status = random.choice(STATUSES)
        if dataset == "products":
            product = random.randint(1, PRODUCTS)
            # Who changes one's category changes every day.
            category = random.choice(CATEGORIES) if back else CATEGORIES[product % 7]
            return (str(product), category)
        if dataset == "orders" and not back and random.random() < 0.7:
            self._orders += 1
        newest = math.ceil(self._orders * (1 - back))
        oldest = max(1, newest - LATE_ORDERS)
        if dataset == "orders":
            today = int(self._written // FILES_A_DAY * (1 - back))
            day = FIRST_DAY + timedelta(days=max(0, today - random.randint(0, LATE_DAYS)))
            clock = f"{random.randrange(24):02d}:{random.randrange(60):02d}:00"
            user = str(random.randint(1, 500))
            order = str(random.randint(oldest, newest))
            return (order, user, status, f"{day.isoformat()}T{clock}")
        # Some items come long before their order, some never see one.
        order = str(random.randint(oldest, newest + 10))
        product_id = str(random.randint(1, PRODUCTS + 5))
        price = f"{random.randrange(500)}.{random.randrange(100):02d}"
        return (str(random.randint(3 * oldest, 3 * newest)), order, product_id, status, price)

    def _put(self, dataset: str, key: str, rows: list[Record], clean: list[Record]) -> None:
        refused = 10 * (len(rows) - len(clean)) > len(rows)
        data = _text(dataset, rows)
        if self.random.random() < 0.2:
            data = gzip.compress(data, mtime=0)
        path = self._uploads / key
        path.parent.mkdir(parents=True, exist_ok=True)
        # Hidden until it is whole, as any careful program does it.
        hidden = path.with_name(f".{path.name}")
        hidden.write_bytes(data)
        now_ns = time.time_ns()
        os.utime(hidden, ns=(now_ns, now_ns))
        truth = None
        if not refused:
            truth = f"{key}-{now_ns}"
            there = self._truths / truth
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(_text(dataset, clean))
        version = Version(
            key=key,
            mtime_ns=now_ns,
            size_bytes=len(data),
            rows=len(rows),
            clean=0 if refused else len(clean),
            truth=truth,
        )
        with (self._truths / f"{self._name}.jsonl").open("a") as manifest:
            manifest.write(json.dumps(asdict(version)) + "\n")
        hidden.replace(path)


def read_versions(truths: Path) -> list[Version]:
    """Every version that any writer has written, by file and age."""
    found = [
        Version(**json.loads(line))
        for manifest in sorted(truths.glob("*.jsonl"))
        for line in manifest.read_text().splitlines()
    ]
    return sorted(found, key=lambda version: (version.key, version.mtime_ns))


def _text(dataset: str, rows: list[Record]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADERS[dataset])
    writer.writerows(rows)
    return text.getvalue().encode()
