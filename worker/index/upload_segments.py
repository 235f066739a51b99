"""Segments of a checkpoint: Parquet files of uploads, which are written and read by row groups."""

from __future__ import annotations

import hashlib
import tempfile
import weakref
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from worker.clean import Workspace
from worker.clean.reader import decoding
from worker.errors import DamagedObject, StoreError
from worker.index.checkpoint_manifest import Segment
from worker.index.upload_rows import FIELDS, type_of
from worker.index.upload_table import FileChunk, UploadTable
from worker.objects import open_range

GROUP_ROWS = 16_384
"""Rows of a row group: some 2 MB, of which mostly a few columns are read."""

HELD_BYTES = 1 << 20
"""Length of a segment up to which it is held in memory, and no temporary file is made."""

COPIED_BYTES = 2 << 20
"""Bytes of a segment that are copied at once."""

_WITHOUT_STATISTICS = frozenset(
    ["source_id", "url", "content", "key", "continues", "feeds", "ascending"]
)


class NoRoomError(StoreError):
    """Report that a file of this process cannot be written."""


@dataclass(frozen=True)
class StoredRows:
    """Rows in a file of this process, which is closed with them.

    Attributes:
        file: The file.
        size_bytes: Its length.
        crc: CRC-32 of its bytes.
        digest: 32 hex digits of their SHA-256, where they were written by this process.
    """

    file: IO[bytes]
    size_bytes: int
    crc: int
    digest: str = ""

    def __post_init__(self) -> None:
        weakref.finalize(self, self.file.close)

    def chunks(self, url: str) -> list[FileChunk]:
        """Return its row groups; they hold the file open.

        Raises:
            DamagedObject: They are no uploads, or of other columns.
        """
        with decoding(url, "a segment of a checkpoint"):
            parsed = pq.ParquetFile(_Held(self))
            schema = parsed.schema_arrow
            wrong = [name for name in schema.names if schema.field(name).type != type_of(name)]
            missing = set(FIELDS.names) - set(schema.names)
            if wrong or missing:
                raise DamagedObject(
                    url=url,
                    expected="the columns of uploads",
                    actual=f"others: {sorted((*wrong, *missing))}",
                )
            groups = range(parsed.metadata.num_row_groups)
            return [one for one in (FileChunk(parsed, number) for number in groups) if one.rows]


class _Held:
    """Bytes of some stored rows, as Arrow reads them; holds their file open."""

    closed = False

    def __init__(self, rows: StoredRows) -> None:
        self._rows = rows

    def read(self, size: int = -1) -> bytes:
        return self._rows.file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._rows.file.seek(offset, whence)

    def tell(self) -> int:
        return self._rows.file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        """Leave the file to whoever else reads it."""


def store_rows(table: UploadTable, start: int) -> StoredRows:
    """Write the rows from one on to a file of this process, by row groups.

    Raises:
        NoRoomError: The file cannot be written.
    """
    names = table.column_names
    schema = pa.schema([(name, type_of(name)) for name in names])
    try:
        file = _new_file()
        try:
            statistics = [name for name in names if name not in _WITHOUT_STATISTICS]
            with pq.ParquetWriter(
                file, schema, compression="zstd", write_statistics=statistics
            ) as writer:
                for group in _groups(table, names, start):
                    writer.write_table(group, row_group_size=GROUP_ROWS)
            return _described(file)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise _no_room(error) from error


async def write_segment(workspace: Workspace, rows: StoredRows, count: int) -> Segment:
    """Write rows to the folder of the index.

    Args:
        workspace: Where it is.
        rows: The rows.
        count: Number of them.

    Raises:
        StoreError: A store fails after retries.
    """
    name = f"{rows.digest}.parquet"
    async with workspace.store.create(workspace.absolute(workspace.index(name))) as writer:
        for start in range(0, rows.size_bytes, COPIED_BYTES):
            rows.file.seek(start)
            await writer.write(rows.file.read(COPIED_BYTES))
    return Segment(name=name, rows=count, size_bytes=rows.size_bytes, crc=rows.crc)


async def read_segment(workspace: Workspace, segment: Segment) -> list[FileChunk]:
    """Copy a segment to a file of this process, and return its row groups.

    Raises:
        SourceError: It is missing, or its bytes are not those that were written.
        NoRoomError: The file cannot be written.
        StoreError: A store fails after retries.
    """
    store, key = workspace.store, workspace.absolute(workspace.index(segment.name))
    info, data = await open_range(store, key, 0, min(COPIED_BYTES, segment.size_bytes))
    file, crc = _new_file(), 0
    try:
        for start in range(0, segment.size_bytes, COPIED_BYTES):
            end = min(start + COPIED_BYTES, segment.size_bytes)
            if start:
                data = await store.read(info, start, end)
            crc = zlib.crc32(data, crc)
            file.write(data)
        rows = StoredRows(file, segment.size_bytes, crc)
    except OSError as error:
        file.close()
        raise _no_room(error) from error
    except BaseException:
        file.close()
        raise
    if rows.crc != segment.crc:
        raise DamagedObject(
            url=key,
            expected=f"the bytes of CRC-32 {segment.crc:08x} that were written",
            actual=f"CRC-32 {rows.crc:08x}",
        )
    chunks = rows.chunks(key)
    found = sum(chunk.rows for chunk in chunks)
    if found != segment.rows:
        raise DamagedObject(url=key, expected=f"{segment.rows} rows", actual=f"{found}")
    return chunks


def _groups(table: UploadTable, names: list[str], start: int) -> Iterable[pa.Table]:
    """Yield the rows from one on in tables of `GROUP_ROWS`, fewer at the end."""
    held: list[pa.Table] = []
    rows = 0
    for _, columns in table.scan(*names, start=start):
        held.append(pa.table(columns, names))
        rows += len(held[-1])
        while rows >= GROUP_ROWS:
            joined = pa.concat_tables(held)
            yield joined.slice(0, GROUP_ROWS)
            held = [joined.slice(GROUP_ROWS)]
            rows -= GROUP_ROWS
    if rows:
        yield pa.concat_tables(held)


def _new_file() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(HELD_BYTES)


def _described(file: IO[bytes]) -> StoredRows:
    crc, digest, size = 0, hashlib.sha256(), 0
    file.seek(0)
    while data := file.read(COPIED_BYTES):
        crc = zlib.crc32(data, crc)
        digest.update(data)
        size += len(data)
    return StoredRows(file, size, crc, digest.hexdigest()[:32])


def _no_room(error: OSError) -> NoRoomError:
    return NoRoomError(f"a temporary file cannot be written: {error}")
