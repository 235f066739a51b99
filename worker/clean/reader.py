"""Parquet objects read in part: some row groups, some columns, few requests."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from worker.clean.uuid_columns import plain_schema
from worker.errors import DamagedObject, WorkerError
from worker.objects import ObjectInfo, ObjectStore

FOOTER_BYTES = 64 * 1024
"""How much of an object's end is read at once to find its footer."""

PARSED_FOOTER = 10
"""Memory of a footer by its length, as measured for 1 to 100 row groups of ten columns."""

COALESCE_BYTES = 512 * 1024
"""Byte ranges nearer to each other than this are read as one: a request takes as much CPU time as
receiving so many bytes."""


@contextmanager
def decoding(url: str, what: str) -> Iterator[None]:
    """Tells of damaged bytes in words of ours.

    Args:
        url: Of the object.
        what: Part of it that the block decodes, and does nothing else.

    Raises:
        DamagedObject: It cannot be decoded.
    """
    try:
        yield
    except WorkerError:
        raise
    # Arrow says it with OSError and a dozen errors of its own, Python's readers of texts, JSON and
    # times with a dozen others: a damaged byte can make anything of what stands there.
    except Exception as error:
        cause = (str(error).splitlines() or [""])[0][:200].strip()
        raise DamagedObject(
            url=url,
            expected=f"{what} as it was written",
            actual=f"damaged bytes ({type(error).__name__}{': ' if cause else ''}{cause})",
        ) from error


class CleanObject:
    """A Parquet object for reading some row groups and columns of it.

    Its footer is read when it is first needed, and once more where it was forgotten meanwhile.

    Attributes:
        bytes_read: Bytes read so far, footers included.
    """

    __slots__ = ("_footer", "_info", "_key", "_store", "_visited", "_whole", "bytes_read")

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._info: ObjectInfo | None = None
        self._footer: pq.FileMetaData | None = None
        self._visited = False
        self._whole = b""
        self.bytes_read = 0

    @property
    def url(self) -> str:
        """Where it lies; below which store, only once something of it has been read."""
        return self._key if self._info is None else self._info.url

    @property
    def footer_bytes(self) -> int:
        """About the memory that `forget_footer` gives back."""
        return 0 if self._footer is None else PARSED_FOOTER * int(self._footer.serialized_size)

    @property
    def whole_bytes(self) -> int:
        """The memory that `forget_whole` gives back."""
        return len(self._whole)

    def forget_footer(self) -> None:
        """Give up the parsed footer until it is needed again."""
        self._footer = None

    def forget_whole(self) -> None:
        """Give up the bytes of a small object until they are needed again."""
        self._whole = b""

    async def footer(self) -> pq.FileMetaData:
        """The footer.

        Errors: `SourceError` where the object is missing or is not Parquet, `SourceChanged` where
            it is another version than when it was opened.
        """
        return (await self._opened())[1]

    async def schema(self) -> pa.Schema:
        """Columns and their types. Errors: as `footer`."""
        info, footer, _ = await self._opened()
        with decoding(info.url, "a Parquet schema"):
            return plain_schema(_file(info, footer, []).schema_arrow)

    async def read(self, row_groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Rows of some row groups, in order, with some columns.

        Errors: as `footer`; `SourceError` where the bytes cannot be read.
        """
        info, footer, whole = await self._opened()
        if whole:
            held = [(0, whole)]
        else:
            with decoding(info.url, "a Parquet footer"):
                spans = _coalesce(_spans(footer, row_groups, columns))
            for start, end in spans:
                if not 0 <= start <= end <= info.size_bytes:
                    raise DamagedObject(
                        url=info.url,
                        expected=f"columns within its {info.size_bytes} bytes",
                        actual=f"a damaged footer with a column at bytes {start} to {end}",
                    )
            self.bytes_read += sum(end - start for start, end in spans)
            parts = await self._store.read_ranges(info, spans)
            held = [(start, part) for (start, _), part in zip(spans, parts, strict=True)]

        def read() -> pa.Table:
            with decoding(info.url, "Parquet pages"):
                rows = _file(info, footer, held).read_row_groups(
                    list(row_groups), columns=list(columns), use_threads=False
                )
                promised = sum(footer.row_group(number).num_rows for number in row_groups)
                if rows.num_rows != promised:
                    raise DamagedObject(
                        url=info.url,
                        expected=f"{promised} rows",
                        actual=f"{rows.num_rows} from damaged pages",
                    )
                rows.validate(full=True)
                for field in rows.schema:
                    if not field.nullable and rows.column(field.name).null_count:
                        raise DamagedObject(
                            url=info.url,
                            expected=f"a value of {field.name} in every row",
                            actual="none in some, so its footer is damaged",
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
            tail = whole or await self._read(info, start, size)
            # The rows of a small object have come with its footer.
            whole = tail if start == 0 else b""
            length = int.from_bytes(tail[-8:-4], "little") + 8
            if tail[-4:] != b"PAR1" or length > size:
                raise DamagedObject(url=info.url, expected="a Parquet object", actual="other bytes")
            if length > len(tail):
                tail = await self._read(info, size - length, size)
            with decoding(info.url, "a Parquet footer"):
                footer = pq.read_metadata(pa.BufferReader(tail))
                # Once: it is the same version each time.
                if not self._visited:
                    _visit(footer, size)
                    self._visited = True
            self._footer, self._whole = footer, whole
        return info, footer, whole

    async def _read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        self.bytes_read += end - start
        return await self._store.read(info, start, end)


def _file(
    info: ObjectInfo, footer: pq.FileMetaData, held: list[tuple[int, bytes]]
) -> pq.ParquetFile:
    return pq.ParquetFile(pa.PythonFile(_Ranges(held, info.size_bytes), mode="r"), metadata=footer)


def _visit(footer: pq.FileMetaData, size: int) -> None:
    """Have Arrow look at every column of every row group, where it can still raise.

    `RowGroupMetaData.column` cannot: where the footer contradicts itself, that ends the process
    (pyarrow 26, whose libparquet.pxd declares `ColumnChunk` without `except +`). Reading all of it
    goes the same way first, but raises; it ends at the first byte that it asks for.

    Raises:
        Exception: Of any kind; the footer is damaged.
    """
    nothing = _Nothing([], size)
    file = pq.ParquetFile(pa.PythonFile(nothing, mode="r"), metadata=footer, pre_buffer=True)
    try:
        file.read_row_groups(list(range(footer.num_row_groups)), use_threads=False)
    except Exception:
        if not nothing.asked:
            raise


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
        return bytes(self._view(size))

    def read_buffer(self, size: int = -1, /) -> pa.Buffer:
        """As `read`, and what Arrow calls in its place where it is there: copies nothing."""
        return pa.py_buffer(self._view(size))

    def _view(self, size: int) -> memoryview:
        end = self._size if size < 0 else min(self._position + size, self._size)
        for start, part in self._held:
            if start <= self._position and end <= start + len(part):
                view = memoryview(part)[self._position - start : end - start]
                self._position = end
                return view
        raise OSError(f"bytes {self._position} to {end} were not read")


class _Nothing(_Ranges):
    """An object of that length without bytes; tells whether it was asked for some."""

    asked = False

    def _view(self, _: int) -> memoryview:
        self.asked = True
        return memoryview(b"")


def _coalesce(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= COALESCE_BYTES:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
