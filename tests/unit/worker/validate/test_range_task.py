"""Manifests of byte ranges: whoever can write one can neither delete nor commit other objects."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.shops import Pipeline
from worker.errors import ConfigError, ContractChanged, DamagedObject, StoreError
from worker.state import Adoption
from worker.validate.byte_range import ByteRange
from worker.validate.range_task import commit_ranges, validate_range

ORDERS = b"order_id,user_id,created_at\n1,7,2025-03-01\n2,7,2025-03-01\n"
FIRST = ByteRange(0, 43)
FIRST_ADOPTION = Adoption(
    digest="1" * 64, text="", tables=(), recorded_at=datetime(2025, 4, 1, tzinfo=UTC)
)


@pytest.mark.parametrize(
    "change",
    [
        {"parts": "../victim.txt"},
        {"parts": "/etc/passwd"},
        {"parts": "clean/orders/uploaded_on=2025-03-01/0123456789abcdef-01234567.parquet"},
        {"rejects": "../victim.txt"},
        {"source_id": "0123456789abcdef"},
    ],
)
async def test_a_manifest_that_names_other_objects_is_refused(
    tmp_path: Path, change: dict[str, str]
) -> None:
    path = tmp_path / "in" / "orders" / "1.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(ORDERS)
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    async with Pipeline(tmp_path / "work") as pipeline:
        source = await pipeline.source(path)
        await validate_range(source, FIRST, pipeline.context())
        (manifest,) = (tmp_path / "work" / "pieces").rglob("*.json")
        entry: dict[str, Any] = json.loads(manifest.read_bytes())
        match change:
            case {"parts": key}:
                entry["parts"] = [dict(entry["parts"][0], key=key)]
            case {"rejects": key}:
                entry["rejects"] = [key]
            case _:
                entry |= change
        # A range of another plan, which does not tile the object: its objects would be deleted.
        forged = manifest.with_name(f"{ByteRange(0, 44).padded}.json")
        forged.write_text(json.dumps(entry))
        with pytest.raises(DamagedObject, match="expected a manifest of bytes 0-44"):
            await validate_range(source, ByteRange(43, len(ORDERS)), pipeline.context())
        assert victim.read_text() == "precious"
        forged.unlink()
        assert (await commit_ranges(source, pipeline.context())).rows_clean == 2


async def test_ranges_of_a_contract_that_is_no_longer_in_force_are_told(tmp_path: Path) -> None:
    path = tmp_path / "in" / "orders" / "1.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(ORDERS)
    async with Pipeline(tmp_path / "work") as pipeline:
        assert pipeline.state is not None
        source, context = await pipeline.source(path), pipeline.context()
        await validate_range(source, FIRST, context)
        with pytest.raises(StoreError, match="nothing from byte 43"):
            await commit_ranges(source, context)
        other = replace(FIRST_ADOPTION, digest="0" * 64)
        await pipeline.state.adopt(other, replaces=0)
        outdated = replace(context, adoption=FIRST_ADOPTION)
        with pytest.raises(ContractChanged):
            await commit_ranges(source, outdated)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
async def test_a_range_that_tears_a_line_is_refused(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "in" / "orders" / "1.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(ORDERS.replace(b"\n", end))
    size = path.stat().st_size
    edge = 43 if len(end) == 1 else 45
    async with Pipeline(tmp_path / "work") as pipeline:
        source = await pipeline.source(path)
        for torn in (edge + 1, edge + 3, size - 2):
            for byte_range in (ByteRange(0, torn), ByteRange(torn, size)):
                with pytest.raises(ConfigError, match="a line end before byte"):
                    await validate_range(source, byte_range, pipeline.context())
        await validate_range(source, ByteRange(0, edge), pipeline.context())
        entry, _ = await validate_range(source, ByteRange(edge, size), pipeline.context())
        assert (entry.sequence > 0, entry.rows_clean) == (True, 2)
