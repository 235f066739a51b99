"""Write Parquet objects row group by row group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from kpi.kernels.uuids import UUID
from worker.clean.byte_sink import ByteSink
from worker.clean.footer_stats import CLUSTERS_KEY, INTEGERS_KEY, column_ranges
from worker.clean.uuid_columns import stored_schema
from worker.clean.value_clusters import value_clusters, whole_numbers
from worker.objects import ObjectStore, ObjectWriter
from worker.state.entry import Interval

MAP_DICTIONARY_BYTES = 4 * 2**20
"""Limit of a dictionary in files with unknown columns: 10,000 names of 255 bytes and their
lengths."""


@asynccontextmanager
async def parquet_stream(
    store: ObjectStore,
    key: str,
    schema: pa.Schema,
    bounded: Sequence[str] = (),
    executor: Executor | None = None,
    *,
    high_cardinality: Sequence[str] = (),
    numbered: Sequence[str] = (),
) -> AsyncIterator[ParquetStream]:
    """Create a Parquet object, which appears whole when the block ends, and never if it raises.

    Args:
        store: Store of the object.
        key: Its key.
        schema: Schema of its rows.
        bounded: Columns whose least and greatest value each row group records.
        executor: Threads that encode. They are those that parse: one thread more than there are
            cores only makes the others wait.
        high_cardinality: Columns of ids that hardly ever equal their neighbours.
        numbered: Columns of texts whose bounds are recorded as numbers, where all are.
    """
    async with store.create(key) as writer:
        stream = ParquetStream(
            writer,
            schema,
            bounded,
            executor,
            high_cardinality=high_cardinality,
            numbered=numbered,
        )
        try:
            yield stream
            await stream.finish()
        finally:
            await stream.abandon()


class ParquetStream:
    """Writes row groups to an object, with two encoded row groups in memory.

    One is being sent to the object while the next is being encoded.
    """

    def __init__(
        self,
        writer: ObjectWriter,
        schema: pa.Schema,
        bounded: Sequence[str] = (),
        executor: Executor | None = None,
        *,
        high_cardinality: Sequence[str] = (),
        numbered: Sequence[str] = (),
    ) -> None:
        self._numbered = numbered
        self._integers: dict[str, dict[int, list[tuple[int, int, int]]]] = {}
        self._writer = writer
        self._executor = executor
        self._bounded = bounded
        self._sink = ByteSink()
        footers: list[pq.FileMetaData] = []
        self._footers = footers
        self._clusters: dict[str, dict[int, list[tuple[int, int, int]]]] = {}
        self._groups = 0
        self._parquet = pq.ParquetWriter(
            self._sink,
            stored_schema(schema),
            metadata_collector=footers,
            write_statistics=list(bounded),
            **_encoding(schema, high_cardinality),
        )
        self._writing: asyncio.Task[None] | None = None
        self.size_bytes = 0

    async def write(self, rows: pa.Table) -> None:
        """Append `rows` as one row group."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._encode, rows)
        await self._drain()

    async def finish(self) -> None:
        """Write the footer."""
        for key, clusters in ((CLUSTERS_KEY, self._clusters), (INTEGERS_KEY, self._integers)):
            if clusters:
                text = orjson.dumps(clusters, option=orjson.OPT_NON_STR_KEYS)
                self._parquet.add_key_value_metadata({key: text})
        await asyncio.to_thread(self._parquet.close)
        await self._drain()
        await self._written()

    async def abandon(self) -> None:
        """Wait until the last write has ended, however it ends."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    def ranges(self) -> dict[str, Interval]:
        """Return the bounds of the bounded columns, once the footer is written.

        A column without statistics in every row group is left out: Parquet keeps none of texts
        beyond 4 KiB.
        """
        found = {}
        for column in self._bounded:
            of_groups = column_ranges(self._footers[0], column)
            known = [bounds for bounds in of_groups if bounds is not None]
            if known and len(known) == len(of_groups):
                low, high = min(low for low, _ in known), max(high for _, high in known)
                found[column] = Interval(low=low, high=high)
        return found

    def _encode(self, rows: pa.Table) -> None:
        self._parquet.write_table(rows.cast(stored_schema(rows.schema)), max(rows.num_rows, 1))
        for column in self._bounded:
            found = value_clusters(_integers(rows.column(column)))
            if len(found) > 1:
                of_groups = self._clusters.setdefault(column, {})
                of_groups[self._groups] = [(one.low, one.high, one.rows) for one in found]
        for column in self._numbered:
            found = value_clusters(whole_numbers(rows.column(column)))
            if found:
                of_groups = self._integers.setdefault(column, {})
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


def _encoding(schema: pa.Schema, high_cardinality: Sequence[str]) -> dict[str, Any]:
    """Choose the encoding of each column, as measured in benchmarks/README.md.

    Numbers are delta-packed: smaller than general compression, and twice as fast. UUIDs compress by
    repetition alone, which Snappy finds fastest; columns without repetition stay uncompressed.
    Texts are compressed: by a dictionary if they have one, else with their lengths apart.
    """
    numbers = [
        field.name
        for field in schema
        if pa.types.is_integer(field.type)
        or pa.types.is_timestamp(field.type)
        or pa.types.is_decimal(field.type)
    ]
    uuids = {
        field.name: "none" if field.name in high_cardinality else "snappy"
        for field in schema
        if field.type == UUID
    }
    compression = dict.fromkeys(numbers, "none") | uuids
    maps = [field.name for field in schema if pa.types.is_map(field.type)]
    # Nested texts are few distinct ones: names of columns, reasons of rejects.
    nested = [path for field in schema for path in _nested_leaves(field.name, field.type)]
    dictionaries = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    dictionaries += [path for path in nested if not path.endswith(".value")]
    texts = {path: "zstd" for path in (*schema.names, *nested) if path not in compression}
    strings = [field.name for field in schema if pa.types.is_string(field.type)]
    return {
        "use_dictionary": dictionaries,
        "column_encoding": {
            **dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
            **dict.fromkeys(strings, "DELTA_LENGTH_BYTE_ARRAY"),
        },
        "compression": {**compression, **texts},
        "compression_level": dict.fromkeys(texts, 1),
        "store_decimal_as_integer": True,
        # Room for the names of all unknown columns: without a dictionary, each row repeats them.
        **({"dictionary_pagesize_limit": MAP_DICTIONARY_BYTES} if maps else {}),
    }


def _nested_leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    """Name the columns below a nested one, as Parquet does."""
    if pa.types.is_map(kind):
        yield from (f"{path}.key_value.key", f"{path}.key_value.value")
    elif pa.types.is_list(kind):
        below = f"{path}.list.element"
        yield from _nested_leaves(below, kind.value_type)
    elif pa.types.is_struct(kind):
        yield from (f"{path}.{field.name}" for field in kind)


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return the integers of a column, or its microseconds since 1970; none of another type."""
    if not (pa.types.is_int64(column.type) or pa.types.is_timestamp(column.type)):
        return np.zeros(0, np.int64)
    return column.drop_null().to_numpy().view(np.int64)
