"""Look for an id in every byte that is stored: decompressed, and decoded where it is a table."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\x78\x9c": zlib.decompress,
}
"""First bytes -> decompression."""


def stored_bytes(folders: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of everything below some folders, hidden files too."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield from texts_of(str(path), path.read_bytes())


def texts_of(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield an object as it is, and as what it holds."""
    yield name, data
    if name.endswith(".pack"):
        # Parquet files one after another: each begins and ends with its magic number.
        files = data[4 : data.rindex(b"PAR1")].split(b"PAR1PAR1")
        for number, file in enumerate(files):
            yield from texts_of(f"{name}:{number}", b"PAR1" + file + b"PAR1")
    elif data[:4] == b"PAR1":
        yield f"{name} as a table", _table_text(data)
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from texts_of(f"{name}:{member}", archive.read(member))
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        yield f"{name} decompressed", pa.CompressedInputStream(io.BytesIO(data), "zstd").read()
    elif data[:16] == b"SQLite format 3\0" and Path(name).exists():
        yield from _database_texts(Path(name))
    for magic, decompress in MAGIC.items():
        if data.startswith(magic):
            yield from texts_of(f"{name} decompressed", decompress(data))


def whole_value(identifier: str) -> re.Pattern[bytes]:
    """Return a pattern of an id that is no part of a longer word or number."""
    return re.compile(rb"(?<![0-9A-Za-z])" + re.escape(identifier.encode()) + rb"(?![0-9A-Za-z])")


def mentions(identifier: str, folders: Iterable[Path]) -> list[str]:
    """Name everything that has an id as a whole value, or as a word of an index."""
    whole = whole_value(identifier)
    word = struct.pack("<Q", int(identifier)) if identifier.isdecimal() else None
    return [
        name
        for name, data in stored_bytes(folders)
        if whole.search(data) or (word and name.endswith(".run") and word in data)
    ]


def _table_text(data: bytes) -> bytes:
    file = pq.ParquetFile(io.BytesIO(data))
    texts = [str(file.schema_arrow), str(file.metadata.metadata)]
    for group in range(file.num_row_groups):
        of_group = file.metadata.row_group(group)
        texts += [str(of_group.column(at).statistics) for at in range(of_group.num_columns)]
        for row in file.read_row_group(group).to_pylist():
            texts += [_text(value) for value in row.values()]
    return "\n".join(texts).encode()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _database_texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each value of each table; pages that were freed are among the bytes of the file."""
    with sqlite3.connect(path) as db:
        for (table,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            for row in db.execute(f"SELECT * FROM {table}"):
                for value in row:
                    data = value if isinstance(value, bytes) else str(value).encode()
                    yield f"{path.name}:{table}", data
    db.close()
