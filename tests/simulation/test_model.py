"""The model itself, held against DuckDB."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.simulation import model
from tests.simulation.model import BROKEN, HEADERS, Record, Upload
from tests.support import oracle


def test_the_model_agrees_with_duckdb(tmp_path: Path) -> None:
    rows = waiting = refused = 0
    for seed in range(30):
        random = Random(seed)
        uploads = [some_upload(random, number) for number in range(random.randint(6, 12))]
        files: dict[str, list[Path]] = {}
        for upload in sorted(uploads, key=model.version_order):
            if upload.accepted:
                path = tmp_path / f"{seed}-{upload.key.replace('/', '-')}"
                clean = Upload(key=upload.key, second=0, records=tuple(upload.clean))
                path.write_bytes(clean.text)
                files.setdefault(upload.dataset, []).append(path)
        tables = model.kpis(uploads)
        found = {
            name: [row for day in sorted(days) for row in days[day]]
            for name, days in tables.items()
        }
        assert (found, model.waiting(uploads)) == oracle.kpis_and_waiting(files)
        rows += sum(map(len, found.values()))
        waiting += model.waiting(uploads)
        refused += sum(not upload.accepted for upload in uploads)
    assert rows > 200
    assert waiting > 10
    assert refused > 3


def some_upload(random: Random, number: int) -> Upload:
    """Rows of few ids, so that versions, orders and products meet often."""
    dataset = random.choice(tuple(HEADERS))
    broken_rate = random.choice((0.0, 0.1, 0.6))
    return Upload(
        key=f"{dataset}/{number}.csv",
        second=random.randrange(4),
        records=tuple(
            BROKEN[dataset] if random.random() < broken_rate else some_record(random, dataset)
            for _ in range(random.randint(0, 12))
        ),
    )


def some_record(random: Random, dataset: str) -> Record:
    few, status = random.choices("12345", k=3), random.choice(("delivered", "Returned", ""))
    if dataset == "orders":
        return (few[0], few[1], status, f"2025-03-0{random.randint(1, 3)}T23:59:59")
    if dataset == "order_items":
        price = f"{random.randrange(100)}.{random.randrange(100):02d}"
        return (str(random.randint(1, 12)), few[1], few[2], status, price)
    return (few[0], random.choice(("Beauty", "Toys")))
