"""The clean zone: immutable Parquet objects under keys made from the source object.

    clean/<dataset>/uploaded_on=<date>/<source_id>-<contract>.parquet      clean rows
    rejects/<dataset>/uploaded_on=<date>/<source_id>-<contract>.parquet    rejects, if there are any

A key names all that the bytes are made of: the source object and the contract's digest. So a worker
that comes late writes what is there already, and one with another contract does not touch what the
ledger has. Each chunk of a source object is one row group, so that reading prunes by the ranges in
the footers.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from kpi.contract import Contract
from kpi.uuids import UUID, uuid_text
from worker.errors import SourceError
from worker.islands import Island, islands
from worker.objects import ObjectInfo, ObjectStore, ObjectWriter
from worker.source import Source
from worker.state.entry import Range
from worker.urls import Location
from worker.uuid_columns import plain_schema, stored_schema

FOOTER_BYTES = 64 * 1024
"""How much of an object's end is read at once to find its footer."""

PARSED_FOOTER = 10
"""Memory of a footer by its length, as measured for 1 to 100 row groups of ten columns."""

ISLANDS = b"shopkpi.islands"
"""Where a footer tells of `column_islands`, as JSON."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

COALESCE_BYTES = 512 * 1024
"""Byte ranges nearer to each other than this are read as one: a request takes as much CPU time as
receiving so many bytes."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where the clean zone and the rejects lie."""

    store: ObjectStore
    location: Location

    def key(self, zone: str, source: Source, contract: Contract, piece: str = "") -> str:
        """Key of an object of `zone`, relative to the workspace."""
        day = source.info.uploaded_at.date().isoformat()
        name = f"{result_name(source, contract)}{piece}.parquet"
        return f"{zone}/{source.dataset}/uploaded_on={day}/{name}"

    def absolute(self, key: str) -> str:
        return self.location.join(key)


def result_name(source: Source, contract: Contract) -> str:
    """What is made from a source object under a contract, and from nothing else."""
    return f"{source.source_id}-{contract.digest[:8]}"


class ParquetStream:
    """Writes row groups to an object as they come; holds two encoded row groups in memory.

    One is on its way to the object while the next is being encoded.
    """

    def __init__(self, writer: ObjectWriter, schema: pa.Schema, ranged: Sequence[str] = ()) -> None:
        self._writer = writer
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
            **_encoding(schema),
        )
        self._writing: asyncio.Task[None] | None = None
        self.size_bytes = 0

    async def write(self, rows: pa.Table) -> None:
        """Append `rows` as one row group."""
        await asyncio.to_thread(self._encode, rows)
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


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """How each column is encoded; measured in benchmarks/README.md.

    Numbers are packed by their differences, which is smaller and twice as fast as general
    compression; of UUIDs only repetition can be left out, which Snappy finds soonest; texts are
    compressed, those of few values through a dictionary, the others apart from their lengths.
    """
    numbers = [
        field.name
        for field in schema
        if pa.types.is_integer(field.type)
        or pa.types.is_timestamp(field.type)
        or pa.types.is_decimal(field.type)
    ]
    # Nested columns are named by the paths of their leaves; those keep the default.
    uuids = [field.name for field in schema if field.type == UUID]
    compression = dict.fromkeys(numbers, "none") | dict.fromkeys(uuids, "snappy")
    texts = {name: "zstd" for name in schema.names if name not in compression}
    various = [field.name for field in schema if pa.types.is_string(field.type)]
    return {
        "use_dictionary": [field.name for field in schema if pa.types.is_dictionary(field.type)],
        "column_encoding": {
            **dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
            **dict.fromkeys(various, "DELTA_LENGTH_BYTE_ARRAY"),
        },
        "compression": {**compression, **texts},
        "compression_level": dict.fromkeys(texts, 1),
        "store_decimal_as_integer": True,
    }


def column_ranges(metadata: pq.FileMetaData, column: str) -> list[tuple[Any, Any] | None]:
    """Smallest and largest value of a column in each row group, as its footer tells.

    Instants are microseconds since 1970, UUIDs are texts; None where the footer does not tell.
    """
    found: list[tuple[Any, Any] | None] = []
    index = None
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if index is None:
            # `metadata.schema` would tie footer and schema to each other, and so keep both until
            # the garbage collector comes.
            paths = [group.column(at).path_in_schema for at in range(group.num_columns)]
            index = paths.index(column)
        statistics = group.column(index).statistics
        known = statistics is not None and statistics.has_min_max
        found.append((_plain(statistics.min), _plain(statistics.max)) if known else None)
    return found


def column_islands(metadata: pq.FileMetaData) -> dict[str, dict[int, list[Island]]]:
    """Column -> row group -> where its values lie, for those that have more than one island."""
    told = (metadata.metadata or {}).get(ISLANDS)
    return {
        column: {
            int(number): [Island(*one) for one in found] for number, found in of_groups.items()
        }
        for column, of_groups in (orjson.loads(told) if told else {}).items()
    }


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Values of a column, or microseconds since 1970; none of another type."""
    if not (pa.types.is_int64(column.type) or pa.types.is_timestamp(column.type)):
        return np.zeros(0, np.int64)
    return column.drop_null().to_numpy().view(np.int64)


def _plain(value: Any) -> Any:  # noqa: ANN401  (integers, texts or instants)
    if isinstance(value, datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return uuid_text(value) if isinstance(value, bytes) else value


@asynccontextmanager
async def parquet_stream(
    store: ObjectStore, key: str, schema: pa.Schema, ranged: Sequence[str] = ()
) -> AsyncIterator[ParquetStream]:
    """A new Parquet object; it appears whole when the block ends, never where it raises.

    Args:
        store: Where.
        key: Its key.
        schema: Of its rows.
        ranged: Columns whose smallest and largest value each row group tells.
    """
    async with store.create(key) as writer:
        stream = ParquetStream(writer, schema, ranged)
        try:
            yield stream
            await stream.finish()
        finally:
            await stream.abandon()


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


class CleanObject:
    """A Parquet object for reading some row groups and columns of it.

    Its footer is read when it is first needed, and once more where it was forgotten meanwhile.

    Attributes:
        bytes_read: Bytes read so far, footers included.
    """

    __slots__ = ("_footer", "_info", "_key", "_store", "_whole", "bytes_read")

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._info: ObjectInfo | None = None
        self._footer: pq.FileMetaData | None = None
        self._whole = b""
        self.bytes_read = 0

    @property
    def held_bytes(self) -> int:
        """About the memory that `forget` gives back."""
        footer = self._footer
        length = 0 if footer is None else int(footer.serialized_size)
        return PARSED_FOOTER * length + len(self._whole)

    def forget(self) -> None:
        """Give up the footer until it is needed again."""
        self._footer, self._whole = None, b""

    async def footer(self) -> pq.FileMetaData:
        """The footer.

        Errors: `SourceError` where the object is missing or is not Parquet, `SourceChanged` where
            it is another version than when it was opened.
        """
        return (await self._opened())[1]

    async def schema(self) -> pa.Schema:
        """Columns and their types. Errors: as `footer`."""
        info, footer, _ = await self._opened()
        return plain_schema(_file(info, footer, []).schema_arrow)

    async def read(self, row_groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Rows of some row groups, in order, with some columns.

        Errors: as `footer`; `SourceError` where the bytes cannot be read.
        """
        info, footer, whole = await self._opened()
        if whole:
            held = [(0, whole)]
        else:
            spans = _coalesce(_spans(footer, row_groups, columns))
            parts = await asyncio.gather(*(self._read(info, start, end) for start, end in spans))
            held = [(start, part) for (start, _), part in zip(spans, parts, strict=True)]

        def read() -> pa.Table:
            rows = _file(info, footer, held).read_row_groups(
                list(row_groups), columns=list(columns), use_threads=False
            )
            return rows.cast(plain_schema(rows.schema))

        return await asyncio.to_thread(read)

    async def _opened(self) -> tuple[ObjectInfo, pq.FileMetaData, bytes]:
        """The version that is read, its footer, and all of its bytes where they are few."""
        if self._info is None:
            self._info = await self._store.stat(self._key)
        info, footer, whole = self._info, self._footer, self._whole
        if footer is None:
            size = info.size_bytes
            start = max(size - FOOTER_BYTES, 0)
            tail = await self._read(info, start, size)
            # The rows of a small object have come with its footer.
            whole = tail if start == 0 else b""
            length = int.from_bytes(tail[-8:-4], "little") + 8
            if tail[-4:] != b"PAR1" or length > size:
                raise SourceError(f"{info.url}: expected a Parquet object, got other bytes")
            if length > len(tail):
                tail = await self._read(info, size - length, size)
            footer = pq.read_metadata(pa.BufferReader(tail))
            self._footer, self._whole = footer, whole
        return info, footer, whole

    async def _read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        self.bytes_read += end - start
        return await self._store.read(info, start, end)


def _file(
    info: ObjectInfo, footer: pq.FileMetaData, held: list[tuple[int, bytes]]
) -> pq.ParquetFile:
    return pq.ParquetFile(pa.PythonFile(_Ranges(held, info.size_bytes), mode="r"), metadata=footer)


def _spans(
    footer: pq.FileMetaData, row_groups: Iterable[int], columns: Iterable[str]
) -> list[tuple[int, int]]:
    """Where some columns of some row groups lie, ascending."""
    wanted = set(columns)
    spans = []
    for number in row_groups:
        group = footer.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            if column.path_in_schema.split(".")[0] in wanted:
                start = column.data_page_offset
                if column.has_dictionary_page:
                    start = min(start, column.dictionary_page_offset)
                spans.append((start, start + column.total_compressed_size))
    return sorted(spans)


class _Ranges(io.RawIOBase):
    """The parts of an object that were read, as a file in which they stand at their places."""

    def __init__(self, held: list[tuple[int, bytes]], size: int) -> None:
        super().__init__()
        self._held = held
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        end = self._size if size < 0 else min(self._position + size, self._size)
        for start, part in self._held:
            if start <= self._position and end <= start + len(part):
                data = part[self._position - start : end - start]
                self._position = end
                return data
        raise OSError(f"bytes {self._position} to {end} were not read")


def _coalesce(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= COALESCE_BYTES:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
