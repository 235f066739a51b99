"""Reading clean objects: how often they are opened."""

from __future__ import annotations

import asyncio
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from worker.clean.reader import INLINE_ROWS, WHOLE_ROWS, CleanObject
from worker.clean.writer import parquet_stream
from worker.errors import DamagedObject
from worker.objects.memory import MemoryStore


async def stored(rows: int) -> MemoryStore:
    store, schema = MemoryStore(), pa.schema([pa.field(name, pa.int64()) for name in "ab"])
    async with parquet_stream(store, "object", schema) as stream:
        await stream.write(pa.table([list(range(rows))] * 2, schema=schema))
    return store


class Openings:
    """Counts what is opened and decoded, and how often in threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = self.decoded = self.threads = 0
        kind, to_thread = pq.ParquetFile, asyncio.to_thread
        read = kind.read_row_groups

        def counted(*args: Any, **options: Any) -> pq.ParquetFile:
            self.opened += 1
            return kind(*args, **options)

        async def threaded(*args: Any) -> Any:
            self.threads += 1
            return await to_thread(*args)

        def decoded(*args: Any, **options: Any) -> pa.Table:
            self.decoded += 1
            return read(*args, **options)

        monkeypatch.setattr(kind, "read_row_groups", decoded)
        monkeypatch.setattr(pq, "ParquetFile", counted)
        monkeypatch.setattr(asyncio, "to_thread", threaded)


async def test_a_small_object_is_opened_once_for_all_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, openings = CleanObject(await stored(20), "object"), Openings(monkeypatch)
    assert (await opened.schema()).names == ["a", "b"]
    for name in "abab":
        assert (await opened.read([0], [name])).column(name).to_pylist() == list(range(20))
    both = await opened.read([0], ["b", "a", "c"])
    assert both.schema.names == ["b", "a"]  # in the order asked for, and those that there are
    assert openings.opened == openings.decoded == 1
    assert openings.threads == 0
    held = opened.whole_bytes
    assert held >= len(opened.whole) + 2 * 20 * 8  # its bytes, and two columns of integers
    opened.forget_footer()
    assert (await opened.read([0], ["a"])).num_rows == 20
    opened.forget_whole()
    assert opened.whole_bytes == 0
    assert (await opened.read([0], ["b"])).num_rows == 20
    assert openings.opened == 3


async def test_more_rows_are_decoded_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = WHOLE_ROWS + 1
    opened, openings = CleanObject(await stored(rows), "object"), Openings(monkeypatch)
    for name in "ab":
        assert (await opened.read([0], [name])).column(name).to_pylist() == list(range(rows))
    assert openings.opened == 2  # to parse it, and to check its footer
    assert openings.decoded == 3
    assert opened.whole_bytes == len(opened.whole)


async def test_a_damaged_column_of_a_small_object_harms_no_other() -> None:
    store = await stored(20)
    info = await store.stat("object")
    data = bytearray(await store.read(info, 0, info.size_bytes))
    data[4:12] = bytes(8)
    opened = CleanObject(store, "object", lambda: _given(bytes(data)))
    assert (await opened.read([0], ["b"])).column("b").to_pylist() == list(range(20))
    with pytest.raises(DamagedObject, match="damaged"):
        await opened.read([0], ["a"])


async def test_many_rows_are_decoded_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = INLINE_ROWS + 1
    opened, openings = CleanObject(await stored(rows), "object"), Openings(monkeypatch)
    assert (await opened.read([0], ["b"])).column("b").to_pylist() == list(range(rows))
    assert openings.threads == 1


async def test_damage_of_a_small_object_is_named() -> None:
    store = await stored(20)
    info = await store.stat("object")
    data = bytearray(await store.read(info, 0, info.size_bytes))
    data[4:40] = bytes(36)
    opened = CleanObject(store, "object", lambda: _given(bytes(data)))
    with pytest.raises(DamagedObject, match="damaged"):
        await opened.read([0], ["a", "b"])


async def _given(data: bytes) -> bytes | None:
    return data
