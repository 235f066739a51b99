"""Rejects are written some at a time, and none is left behind."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import worker.validate.reject_writer
from kpi.validation.rejects import PARSED_REJECTS, REJECTS
from worker.clean import Workspace
from worker.objects.local import FolderStore
from worker.objects.location import locate
from worker.validate.reject_writer import set_aside

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
async def test_all_of_them_are_there_in_their_order(
    tmp_path: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.validate.reject_writer, "HELD_ROWS", held)
    async with set_aside(workspace(tmp_path), "rejects.parquet") as aside:
        await aside.write(rejects(0, 2), 0)
        await aside.write(rejects(), 10)
        await aside.write(rejects(1), 10)
        await aside.write(rejects(0), 20)
    found = pq.ParquetFile(tmp_path / "rejects.parquet")
    # The header is row 1.
    written = found.read()
    assert written.schema.equals(REJECTS)
    assert written.column("row").to_pylist() == [2, 4, 13, 22]
    assert written.column("reasons").to_pylist() == [WHY] * 4
    assert found.num_row_groups == {1: 3, 3: 2, 100: 1}[held]
    assert aside.key == "rejects.parquet"


async def test_many_of_a_chunk_are_written_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.validate.reject_writer, "HELD_ROWS", 2)
    async with set_aside(workspace(tmp_path), "rejects.parquet") as aside:
        await aside.write(rejects(*range(9)), 0)
    found = pq.ParquetFile(tmp_path / "rejects.parquet")
    assert found.read().column("row").to_pylist() == list(range(2, 11))
    assert [found.metadata.row_group(at).num_rows for at in range(3)] == [4, 4, 1]


async def test_long_ones_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.validate.reject_writer, "HELD_BYTES", 1000)
    async with set_aside(workspace(tmp_path), "rejects.parquet") as aside:
        for number in range(4):
            await aside.write(rejects(0, raw=b"x" * 600), number)
    assert pq.ParquetFile(tmp_path / "rejects.parquet").num_row_groups == 2


async def test_without_any_there_is_no_object(tmp_path: Path) -> None:
    async with set_aside(workspace(tmp_path), "rejects.parquet") as aside:
        await aside.write(rejects(), 0)
    assert (aside.key, list(tmp_path.iterdir())) == (None, [])


async def test_where_something_fails_nothing_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.validate.reject_writer, "HELD_ROWS", 1)

    async def fail() -> None:
        async with set_aside(workspace(tmp_path), "rejects.parquet") as aside:
            await aside.write(rejects(0), 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not (tmp_path / "rejects.parquet").exists()
