"""Parquet objects written row group by row group."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from kpi.kernels.uuids import UUID
from worker.clean.footer_stats import ISLANDS, column_ranges
from worker.clean.uuid_columns import stored_schema
from worker.clean.value_clusters import islands
from worker.objects import ObjectStore, ObjectWriter
from worker.state.entry import Range


@asynccontextmanager
async def parquet_stream(
    store: ObjectStore,
    key: str,
    schema: pa.Schema,
    ranged: Sequence[str] = (),
    executor: Executor | None = None,
    *,
    various: Sequence[str] = (),
) -> AsyncIterator[ParquetStream]:
    """A new Parquet object; it appears whole when the block ends, never where it raises.

    Args:
        store: Where.
        key: Its key.
        schema: Of its rows.
        ranged: Columns whose smallest and largest value each row group tells.
        executor: Threads that encode; those that parse, since one thread more than there are cores
            only makes the others wait.
        various: Columns of ids of which neighbours are hardly ever the same.
    """
    async with store.create(key) as writer:
        stream = ParquetStream(writer, schema, ranged, executor, various=various)
        try:
            yield stream
            await stream.finish()
        finally:
            await stream.abandon()


class ParquetStream:
    """Writes row groups to an object as they come; holds two encoded row groups in memory.

    One is on its way to the object while the next is being encoded.
    """

    def __init__(
        self,
        writer: ObjectWriter,
        schema: pa.Schema,
        ranged: Sequence[str] = (),
        executor: Executor | None = None,
        *,
        various: Sequence[str] = (),
    ) -> None:
        self._writer = writer
        self._executor = executor
        self._ranged = ranged
        self._sink = _Sink()
        footers: list[pq.FileMetaData] = []
        self._footers = footers
        self._islands: dict[str, dict[int, list[tuple[int, int, int]]]] = {}
        self._groups = 0
        self._parquet = pq.ParquetWriter(
            self._sink,
            stored_schema(schema),
            metadata_collector=footers,
            write_statistics=list(ranged),
            **_encoding(schema, various),
        )
        self._writing: asyncio.Task[None] | None = None
        self.size_bytes = 0

    async def write(self, rows: pa.Table) -> None:
        """Append `rows` as one row group."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._encode, rows)
        await self._drain()

    async def finish(self) -> None:
        """Write the footer."""
        if self._islands:
            told = orjson.dumps(self._islands, option=orjson.OPT_NON_STR_KEYS)
            self._parquet.add_key_value_metadata({ISLANDS: told})
        await asyncio.to_thread(self._parquet.close)
        await self._drain()
        await self._written()

    async def abandon(self) -> None:
        """Wait until nothing writes any more."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    def ranges(self) -> dict[str, Range]:
        """Smallest and largest value of the ranged columns, once the footer is written.

        A column is left out where the footer does not tell for every row group: Parquet keeps no
        statistics of texts beyond 4 KiB.
        """
        found = {}
        for column in self._ranged:
            spans = column_ranges(self._footers[0], column)
            known = [one for one in spans if one is not None]
            if known and len(known) == len(spans):
                low, high = min(one[0] for one in known), max(one[1] for one in known)
                found[column] = Range(low=low, high=high)
        return found

    def _encode(self, rows: pa.Table) -> None:
        self._parquet.write_table(rows.cast(stored_schema(rows.schema)), max(rows.num_rows, 1))
        for column in self._ranged:
            found = islands(_integers(rows.column(column)))
            if len(found) > 1:
                of_groups = self._islands.setdefault(column, {})
                of_groups[self._groups] = [(one.low, one.high, one.rows) for one in found]
        self._groups += 1

    async def _drain(self) -> None:
        data = self._sink.take()
        self.size_bytes += len(data)
        await self._written()
        self._writing = asyncio.create_task(self._writer.write(data))

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
            self._writing = None


def _encoding(schema: pa.Schema, various: Sequence[str]) -> dict[str, Any]:
    """How each column is encoded; measured in benchmarks/README.md.

    Numbers are packed by their differences, which is smaller and twice as fast as general
    compression. Of UUIDs only repetition can be left out, which Snappy finds soonest; where there
    is hardly any it only takes time. Texts are compressed, those of few values through a
    dictionary, the others apart from their lengths.
    """
    numbers = [
        field.name
        for field in schema
        if pa.types.is_integer(field.type)
        or pa.types.is_timestamp(field.type)
        or pa.types.is_decimal(field.type)
    ]
    # Nested columns are named by the paths of their leaves; those keep the default.
    uuids = {
        field.name: "none" if field.name in various else "snappy"
        for field in schema
        if field.type == UUID
    }
    compression = dict.fromkeys(numbers, "none") | uuids
    texts = {name: "zstd" for name in schema.names if name not in compression}
    strings = [field.name for field in schema if pa.types.is_string(field.type)]
    return {
        "use_dictionary": [field.name for field in schema if pa.types.is_dictionary(field.type)],
        "column_encoding": {
            **dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
            **dict.fromkeys(strings, "DELTA_LENGTH_BYTE_ARRAY"),
        },
        "compression": {**compression, **texts},
        "compression_level": dict.fromkeys(texts, 1),
        "store_decimal_as_integer": True,
    }


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Values of a column, or microseconds since 1970; none of another type."""
    if not (pa.types.is_int64(column.type) or pa.types.is_timestamp(column.type)):
        return np.zeros(0, np.int64)
    return column.drop_null().to_numpy().view(np.int64)


class _Sink(io.RawIOBase):
    """Takes what the encoder writes until the event loop fetches it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # Arrow writes bytes only
        self._parts.append(bytes(data))
        self._position += len(data)
        return len(data)

    def take(self) -> bytes:
        """All of it as one: an object is written in few calls."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
