"""The model itself, held against DuckDB, and against the recount of contract language 2."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from kpi.contract.model import Contract
from tests.language.files import File
from tests.language.recounted import recount
from tests.simulation import model
from tests.simulation.contracts import LANGUAGE_2, LOOKED_UP, MEANINGS
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


@pytest.mark.parametrize("contract", [LANGUAGE_2, LOOKED_UP], ids=lambda one: one.name)
def test_the_model_agrees_with_the_recount(contract: Contract) -> None:
    rows = waiting = replaced = 0
    meaning = MEANINGS[contract.name]
    for seed in range(60):
        random = Random(seed)
        uploads = [some_upload(random, number % 5) for number in range(random.randint(4, 9))]
        # One second each: the recount knows no order of equal times.
        uploads = [replace(one, second=at) for at, one in enumerate(uploads)]
        files = [File(one.key, one.text.decode(), one.second) for one in uploads if one.accepted]
        counted = model.counted({str(one.second): one for one in uploads}, [], whole=False)
        tables = model.kpis(counted, meaning)
        found = recount(contract.text, files).rows
        for name, of_table in tables.items():
            every = [row for day in sorted(of_table) for row in of_table[day]]
            others = sorted(found[name], key=lambda row: str([*row.values()][:2]))
            assert len(others) == len(every), (seed, name)
            for row, other in zip(every, others, strict=True):
                shown = {key: other[key] for key in row} | {"order_date": str(other["order_date"])}
                assert shown == row, (seed, name)
        rows += sum(map(len, found.values()))
        waiting += model.waiting(counted, meaning)
        replaced += len({one.key for one in counted}) < len(counted)
    assert rows > 200
    assert waiting > 50
    assert replaced > 10


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
