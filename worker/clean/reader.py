"""Read some row groups and columns of Parquet objects with few requests."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from worker.clean.uuid_columns import plain_schema
from worker.errors import DamagedObject, WorkerError
from worker.objects import ObjectInfo, ObjectStore, open_range

FOOTER_BYTES = 64 * 1024
"""Bytes read from the end of an object to find its footer."""

PARSED_FOOTER_BYTES_PER_BYTE = 10
"""Memory of a parsed footer for each encoded byte, measured on 1 to 100 row groups of ten
columns."""

COALESCE_BYTES = 512 * 1024
"""Gap up to which byte ranges are read as one: a request costs the CPU time of so much data."""

INLINE_ROWS = 4_096
"""Rows of a small object that are decoded at once: a thread costs the CPU time of so many."""

WHOLE_ROWS = 512
"""Rows of a small object whose columns are decoded together: each call costs the CPU time of some
hundred rows."""

ReadElsewhere = Callable[[], Awaitable[bytes | None]]
"""Reads all bytes of a small object where a copy of them is; None where there is none."""


@contextmanager
def decoding(url: str, what: str) -> Iterator[None]:
    """Turn any error of decoding into one that names the object.

    Args:
        url: URL of the object.
        what: Part of it that the block decodes, and does nothing else.

    Raises:
        DamagedObject: It cannot be decoded.
    """
    try:
        yield
    except WorkerError:
        raise
    # Any class: Arrow raises OSError and a dozen errors of its own, Python's readers of texts, JSON
    # and times a dozen others, and a damaged byte can lead to any of them.
    except Exception as error:
        cause = (str(error).splitlines() or [""])[0][:200].strip()
        raise DamagedObject(
            url=url,
            expected=f"{what} as it was written",
            actual=f"damaged bytes ({type(error).__name__}{': ' if cause else ''}{cause})",
        ) from error


async def read_end(store: ObjectStore, key: str) -> bytes:
    """Read up to `FOOTER_BYTES` from the end of an object: a small one whole.

    Raises:
        SourceError, StoreError: It cannot be read.
    """
    return (await open_range(store, key, -FOOTER_BYTES))[1]


class CleanObject:
    """A Parquet object whose row groups and columns are read in part.

    Its footer is read when it is first needed, and again after `forget_footer`.

    Attributes:
        bytes_read: Bytes read so far, footers included.
        whole_bytes: Memory that `forget_whole` frees.
    """

    __slots__ = (
        *("_elsewhere", "_file", "_footer", "_info", "_key", "_rows", "_schema", "_store"),
        *("_visited", "_whole"),
        *("bytes_read", "whole_bytes"),
    )

    def __init__(
        self, store: ObjectStore, key: str, elsewhere: ReadElsewhere | None = None
    ) -> None:
        self._store = store
        self._key = key
        self._elsewhere = elsewhere
        self._info: ObjectInfo | None = None
        self._footer: pq.FileMetaData | None = None
        self._schema: pa.Schema | None = None
        self._file: pq.ParquetFile | None = None
        self._rows: pa.Table | None = None
        self._visited = False
        self._whole = b""
        self.bytes_read = self.whole_bytes = 0

    @property
    def url(self) -> str:
        """Return its URL; before anything of it has been read, its key."""
        return self._key if self._info is None else self._info.url

    @property
    def footer_bytes(self) -> int:
        """Estimate the memory that `forget_footer` frees."""
        if self._footer is None:
            return 0
        return PARSED_FOOTER_BYTES_PER_BYTE * int(self._footer.serialized_size)

    @property
    def whole(self) -> bytes:
        """Return all bytes of a small object; empty where they are not held."""
        return self._whole

    def forget_footer(self) -> None:
        """Free the parsed footer until it is needed again."""
        self._footer = self._schema = self._file = None

    def forget_whole(self) -> None:
        """Free the bytes of a small object until they are needed again."""
        self._whole, self._file, self._rows = b"", None, None
        self.whole_bytes = 0

    async def footer(self) -> pq.FileMetaData:
        """Return the footer.

        Raises:
            SourceError: The object is missing or is not Parquet.
            SourceChanged: It is another version than when it was opened.
        """
        return (await self._opened())[1]

    async def schema(self) -> pa.Schema:
        """Return columns and their types.

        Raises:
            SourceError: As `footer`; `SourceChanged` likewise.
        """
        size, footer, whole = await self._opened()
        if self._schema is None:
            with decoding(self.url, "a Parquet schema"):
                file = self._opened_whole(footer) if whole else _open(size, footer, [])
                self._schema = plain_schema(file.schema_arrow)
        return self._schema

    async def read(self, row_groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Read some columns of some row groups, in their order.

        Raises:
            SourceError: As `footer`, or the bytes cannot be decoded; `SourceChanged` as `footer`.
        """
        size, footer, whole = await self._opened()
        if self._rows is not None and list(row_groups) == list(range(footer.num_row_groups)):
            return self._rows.select([one for one in columns if one in self._rows.schema.names])
        if whole and footer.num_rows <= INLINE_ROWS:
            return _decode(self.url, lambda: self._opened_whole(footer), row_groups, columns)
        held = [(0, whole)] if whole else await self._read_columns(footer, row_groups, columns)
        return await asyncio.to_thread(
            _decode, self.url, lambda: _open(size, footer, held), row_groups, columns
        )

    def _opened_whole(self, footer: pq.FileMetaData) -> pq.ParquetFile:
        """Open a small object, once for all of its reads."""
        if self._file is None:
            self._file = pq.ParquetFile(pa.BufferReader(self._whole), metadata=footer)
        return self._file

    async def _read_columns(
        self, footer: pq.FileMetaData, row_groups: Sequence[int], columns: Sequence[str]
    ) -> list[tuple[int, bytes]]:
        info = await self._found()
        with decoding(info.url, "a Parquet footer"):
            byte_ranges = _coalesce(_column_byte_ranges(footer, row_groups, columns))
        for start, end in byte_ranges:
            if not 0 <= start <= end <= info.size_bytes:
                raise DamagedObject(
                    url=info.url,
                    expected=f"columns within its {info.size_bytes} bytes",
                    actual=f"a damaged footer with a column at bytes {start} to {end}",
                )
        self.bytes_read += sum(end - start for start, end in byte_ranges)
        parts = await self._store.read_ranges(info, byte_ranges)
        return [(start, part) for (start, _), part in zip(byte_ranges, parts, strict=True)]

    async def _opened(self) -> tuple[int, pq.FileMetaData, bytes]:
        """Return the length of the version that is read, its footer, and a small object's bytes."""
        if not self._whole and self._elsewhere is not None:
            self._whole = await self._elsewhere() or b""
            self.bytes_read += len(self._whole)
            self.whole_bytes = len(self._whole)
        footer, whole = self._footer, self._whole
        if footer is not None:
            size = len(whole) or (await self._found()).size_bytes
        else:
            tail = whole or await self._read_end()
            size = len(whole) or (await self._found()).size_bytes
            start = size - len(tail)
            # The rows of a small object have come with its footer.
            whole = tail if start == 0 else b""
            length = int.from_bytes(tail[-8:-4], "little") + 8
            if tail[-4:] != b"PAR1" or length > size:
                raise DamagedObject(url=self.url, expected="a Parquet object", actual="other bytes")
            if length > len(tail):
                tail = await self._read(size - length, size)
            with decoding(self.url, "a Parquet footer"):
                file = pq.ParquetFile(pa.BufferReader(tail))
                footer = file.metadata
                if whole and footer.num_rows <= WHOLE_ROWS:
                    self._rows = _decode_whole(self.url, file)
                # Once is enough: it is the same version each time.
                if not self._visited:
                    if self._rows is None:
                        _visit(footer, size)
                    self._visited = True
            self._footer, self._whole = footer, whole
            self.whole_bytes = len(whole) + (0 if self._rows is None else int(self._rows.nbytes))
            self._file = file if whole else None
        return size, footer, whole

    async def _read_end(self) -> bytes:
        """Read up to `FOOTER_BYTES` from the end: at first with one request."""
        if self._info is None:
            self._info, tail = await open_range(self._store, self._key, -FOOTER_BYTES)
            self.bytes_read += len(tail)
            return tail
        size = self._info.size_bytes
        return await self._read(max(size - FOOTER_BYTES, 0), size)

    async def _found(self) -> ObjectInfo:
        if self._info is None:
            self._info = await self._store.stat(self._key)
        return self._info

    async def _read(self, start: int, end: int) -> bytes:
        self.bytes_read += end - start
        return await self._store.read(await self._found(), start, end)


def _open(size: int, footer: pq.FileMetaData, held: list[tuple[int, bytes]]) -> pq.ParquetFile:
    return pq.ParquetFile(pa.PythonFile(_SparseFile(held, size), mode="r"), metadata=footer)


def _decode(
    url: str,
    opened: Callable[[], pq.ParquetFile],
    row_groups: Sequence[int],
    columns: Sequence[str],
) -> pa.Table:
    """Decode some columns of some row groups.

    Raises:
        DamagedObject: The bytes cannot be decoded, or are not what the footer promises.
    """
    with decoding(url, "Parquet pages"):
        file = opened()
        rows = file.read_row_groups(list(row_groups), columns=list(columns), use_threads=False)
        promised = sum(file.metadata.row_group(number).num_rows for number in row_groups)
        if rows.num_rows != promised:
            raise DamagedObject(
                url=url,
                expected=f"{promised} rows",
                actual=f"{rows.num_rows} from damaged pages",
            )
        rows.validate(full=True)
        for field in rows.schema:
            if not field.nullable and rows.column(field.name).null_count:
                raise DamagedObject(
                    url=url,
                    expected=f"a value of {field.name} in every row",
                    actual="none in some, so its footer is damaged",
                )
        plain = plain_schema(rows.schema)
        return rows if plain.equals(rows.schema) else rows.cast(plain)


def _decode_whole(url: str, file: pq.ParquetFile) -> pa.Table | None:
    """Decode all columns of an object whose bytes are held; None where some are damaged.

    Arrow checks every column of every row group on the way, as in `_visit`. Which one is damaged,
    and whether anybody needs it, is found where columns are read.
    """
    try:
        every_column = file.schema_arrow.names
        return _decode(url, lambda: file, range(file.num_row_groups), every_column)
    except DamagedObject:
        return None


def _visit(footer: pq.FileMetaData, size: int) -> None:
    """Have Arrow check every column of every row group in a call that can raise.

    `RowGroupMetaData.column` cannot raise: a footer that contradicts itself ends the process there
    (pyarrow 26, whose libparquet.pxd declares `ColumnChunk` without `except +`). Reading the whole
    object makes the same checks, but raises; here it stops at the first byte that it requests.

    Raises:
        Exception: Of any kind; the footer is damaged.
    """
    empty = _EmptyFile([], size)
    file = pq.ParquetFile(pa.PythonFile(empty, mode="r"), metadata=footer, pre_buffer=True)
    try:
        file.read_row_groups(list(range(footer.num_row_groups)), use_threads=False)
    except Exception:
        if not empty.was_read:
            raise


def _column_byte_ranges(
    footer: pq.FileMetaData, row_groups: Iterable[int], columns: Iterable[str]
) -> list[tuple[int, int]]:
    """Return the byte ranges of some columns of some row groups, ascending."""
    wanted = set(columns)
    byte_ranges = []
    for number in row_groups:
        group = footer.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            if column.path_in_schema.split(".")[0] in wanted:
                start = column.data_page_offset
                if column.has_dictionary_page:
                    start = min(start, column.dictionary_page_offset)
                byte_ranges.append((start, start + column.total_compressed_size))
    return sorted(byte_ranges)


class _SparseFile(io.RawIOBase):
    """A read-only file of which only some byte ranges are present."""

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
        return bytes(self._view(size))

    def read_buffer(self, size: int = -1, /) -> pa.Buffer:
        """Return the same without a copy; Arrow calls this where a file has it."""
        return pa.py_buffer(self._view(size))

    def _view(self, size: int) -> memoryview:
        end = self._size if size < 0 else min(self._position + size, self._size)
        for start, part in self._held:
            if start <= self._position and end <= start + len(part):
                view = memoryview(part)[self._position - start : end - start]
                self._position = end
                return view
        raise OSError(f"bytes {self._position} to {end} were not read")


class _EmptyFile(_SparseFile):
    """A file without any byte, which remembers whether one was requested."""

    was_read = False

    def _view(self, _: int) -> memoryview:
        self.was_read = True
        return memoryview(b"")


def _coalesce(byte_ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join byte ranges that are at most `COALESCE_BYTES` apart."""
    joined: list[tuple[int, int]] = []
    for start, end in byte_ranges:
        if joined and start - joined[-1][1] <= COALESCE_BYTES:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
