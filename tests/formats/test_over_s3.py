"""Files of every format from S3 are read as from a folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kpi.contract.loading import parse_contract
from tests.formats.test_same_kpis import (
    CONTRACT,
    FORMATS,
    publish,
    receipt,
    some_rows,
    without_files,
)
from tests.formats.writers import as_csv
from tests.language.product import Outcome
from tests.language.product import publish as publish_rows
from tests.support.emulators import Emulator, create_bucket
from tests.support.shops import Pipeline
from worker.objects.location import Location
from worker.objects.s3 import S3Store
from worker.validate.discovery import find_inputs
from worker.validate.formats import archive, parquet_records
from worker.validate.stream import BlockSizes
from worker.validate.validate_source import validate

SMALL = BlockSizes(block_bytes=1500, overlap_bytes=0)
CONTRACT_OF_ALL = CONTRACT.replace("FORMS", "") + "[limits]\nmax_reject_rate = 1\n"


def places(home: Path, outcome: Outcome) -> list[dict[str, Any]]:
    (entry,) = outcome.entries.values()
    return [row for key in entry.rejects for row in pq.read_table(home / "ws" / key).to_pylist()]


async def from_s3(home: Path, bucket: str, name: str, data: bytes) -> Outcome:
    contract = parse_contract(CONTRACT_OF_ALL, source="test")
    async with await S3Store.open(bucket) as store, Pipeline(home / "ws", contract, SMALL) as shop:
        async with store.create(name) as writer:
            await writer.write(data)
        inputs = await find_inputs([(store, Location(bucket=bucket, key=name))], contract)
        (source,) = inputs.sources
        entry, _ = await validate(source, shop.context())
        return await publish_rows(shop, {name: entry})


def test_every_format_over_s3_is_as_from_a_folder(
    moto: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    moto.use(monkeypatch)
    # Small parts: each file takes many requests.
    monkeypatch.setattr(archive, "BUFFER_BYTES", 1500)
    monkeypatch.setattr(parquet_records, "READ_BUFFER_BYTES", 1000)
    bucket = asyncio.run(create_bucket(moto))
    bad = {**some_rows()[0], "Price": "much", "Order": "bad"}
    rows = [*some_rows(), bad, *some_rows()]
    for name, write in {"sales.csv": as_csv, **FORMATS}.items():
        data = write(rows)
        local = publish(tmp_path / "folder" / name, CONTRACT_OF_ALL, name, data)
        remote = asyncio.run(from_s3(tmp_path / "s3" / name, bucket, name, data))
        assert receipt(remote) == receipt(local), name
        assert local.entries[name].rows_rejected, name
        assert without_files(remote.orders) == without_files(local.orders), name
        assert without_files(remote.categories) == without_files(local.categories), name
        found = places(tmp_path / "s3" / name, remote)
        assert found == places(tmp_path / "folder" / name, local), name
