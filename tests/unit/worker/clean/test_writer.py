"""Encoding of clean rows."""

from __future__ import annotations

import asyncio
import uuid
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kpi.kernels.uuids import UUID
from worker.clean.writer import parquet_stream
from worker.objects.memory import MemoryStore

ROWS = 5000


def written(values: list[bytes], at_once: int, distinct: tuple[str, ...] = ()) -> pq.ParquetFile:
    """Write a column of UUIDs as a Parquet object, `at_once` rows in a row group."""
    store, schema = MemoryStore(), pa.schema([pa.field("id", UUID)])

    async def write() -> bytes:
        async with parquet_stream(store, "object", schema, high_cardinality=distinct) as stream:
            for at in range(0, len(values), at_once):
                await stream.write(pa.table([pa.array(values[at : at + at_once], UUID)], schema))
        info = await store.stat("object")
        return await store.read(info, 0, info.size_bytes)

    return pq.ParquetFile(pa.BufferReader(asyncio.run(write())))


@pytest.mark.parametrize("at_once", [ROWS, 100])
def test_uuids_are_packed_as_they_repeat(at_once: int) -> None:
    random = Random(1)
    different = [uuid.UUID(int=random.getrandbits(128)).bytes for _ in range(ROWS // 4)]
    values = [value for value in different for _ in range(4)]
    file = written(values, at_once)
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [at_once] * (ROWS // at_once)
    assert sum(group.column(0).total_compressed_size for group in groups) < 0.5 * 16 * ROWS
    assert file.read().column("id").cast(UUID).to_pylist() == values


@pytest.mark.parametrize(("distinct", "packed"), [((), True), (("other",), True), (("id",), False)])
def test_only_uuids_that_may_repeat_are_packed(distinct: tuple[str, ...], packed: bool) -> None:
    values = [uuid.UUID(int=number // 2).bytes for number in range(ROWS)]
    file = written(values, ROWS, distinct)
    assert (file.metadata.row_group(0).column(0).compression == "SNAPPY") is packed
    assert file.read().column("id").cast(UUID).to_pylist() == values


def test_an_object_without_rows_has_its_columns() -> None:
    file = written([], 1)
    assert (file.metadata.num_rows, file.schema_arrow.names) == (0, ["id"])
