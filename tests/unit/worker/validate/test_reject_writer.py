"""Rejects are written in batches, and none is left behind."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kpi.validation.rejects import PARSED_REJECTS, REJECTS
from worker.clean import Workspace
from worker.objects.local import FolderStore
from worker.objects.location import locate
from worker.validate.reject_writer import RejectBatch, open_reject_writer

WHY = [{"reason": "missing_value", "column": "a", "expected": "a value"}]


def workspace(home: Path) -> Workspace:
    return Workspace(store=FolderStore(), location=locate(str(home)))


def rejects(*rows: int, raw: bytes = b"1,2") -> pa.Table:
    why = pa.array([WHY], REJECTS.field("reasons").type)
    zeros = pa.array([0] * len(rows), pa.int32())
    return pa.table(
        {
            "row": rows,
            "byte_offset": [9 * row for row in rows],
            "raw": [raw] * len(rows),
            "reasons": pa.DictionaryArray.from_arrays(zeros, why),
        },
        schema=PARSED_REJECTS,
    )


@pytest.mark.parametrize("held", [1, 3, 100])
async def test_all_rejects_are_written_in_order(tmp_path: Path, held: int) -> None:
    batch = RejectBatch(rows=held)
    async with open_reject_writer(workspace(tmp_path), "rejects.parquet", batch=batch) as writer:
        await writer.write(rejects(0, 2), 0)
        await writer.write(rejects(), 10)
        await writer.write(rejects(1), 10)
        await writer.write(rejects(0), 20)
    found = pq.ParquetFile(tmp_path / "rejects.parquet")
    # The header is row 1.
    written = found.read()
    assert written.schema.equals(REJECTS)
    assert written.column("row").to_pylist() == [2, 4, 13, 22]
    assert written.column("reasons").to_pylist() == [WHY] * 4
    assert found.num_row_groups == {1: 3, 3: 2, 100: 1}[held]
    assert writer.key == "rejects.parquet"


async def test_many_rejects_of_a_chunk_become_several_row_groups(tmp_path: Path) -> None:
    batch = RejectBatch(rows=2)
    async with open_reject_writer(workspace(tmp_path), "rejects.parquet", batch=batch) as writer:
        await writer.write(rejects(*range(9)), 0)
    found = pq.ParquetFile(tmp_path / "rejects.parquet")
    assert found.read().column("row").to_pylist() == list(range(2, 11))
    assert [found.metadata.row_group(at).num_rows for at in range(3)] == [4, 4, 1]


async def test_long_rejects_are_written_early(tmp_path: Path) -> None:
    batch = RejectBatch(size_bytes=1000)
    async with open_reject_writer(workspace(tmp_path), "rejects.parquet", batch=batch) as writer:
        for number in range(4):
            await writer.write(rejects(0, raw=b"x" * 600), number)
    assert pq.ParquetFile(tmp_path / "rejects.parquet").num_row_groups == 2


async def test_without_rejects_no_object_appears(tmp_path: Path) -> None:
    async with open_reject_writer(workspace(tmp_path), "rejects.parquet") as writer:
        await writer.write(rejects(), 0)
    assert (writer.key, list(tmp_path.iterdir())) == (None, [])


async def test_a_failing_block_leaves_no_object(tmp_path: Path) -> None:
    batch = RejectBatch(rows=1)

    async def fail() -> None:
        async with open_reject_writer(
            workspace(tmp_path), "rejects.parquet", batch=batch
        ) as writer:
            await writer.write(rejects(0), 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not (tmp_path / "rejects.parquet").exists()
