"""Accepted uploads in columns: a row for each clean file, with what the ledger knows of it."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from worker.state.entry import Entry, Part
from worker.state.upload import Upload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIELDS = pa.schema(
    [
        pa.field("sequence", pa.int64()),
        pa.field("source_id", pa.string()),
        pa.field("url", pa.string()),
        pa.field("dataset", pa.string()),
        pa.field("uploaded_at", pa.int64()),  # microseconds since 1970
        pa.field("content", pa.string()),
        pa.field("continues", pa.string()),
        pa.field("moved_from", pa.string()),
        # Datasets that it feeds by a contract of language 2, with the number of the entry of
        # [[files]] where the ledger has it: `orders=0 items=`.
        pa.field("feeds", pa.string()),
        # Of the clean file; without a key where the upload has none.
        pa.field("part", pa.int32()),
        pa.field("part_dataset", pa.string()),
        pa.field("key", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("first_row", pa.int64()),
        pa.field("size_bytes", pa.int64()),
        pa.field("ascending", pa.bool_()),
        # CRC-32 of texts, by which a look-up skips most of them; see `CHECKSUMS`.
        pa.field("source_crc", pa.uint32()),
        pa.field("url_crc", pa.uint32()),
        pa.field("content_crc", pa.uint32()),
        pa.field("key_crc", pa.uint32()),
    ]
)
"""Columns of every table of uploads. Four more follow for each column that has bounds; see
`bound_names`."""

CHECKSUMS = {
    "source_id": "source_crc",
    "url": "url_crc",
    "content": "content_crc",
    "key": "key_crc",
}
"""Column of texts -> column with their CRC-32; that of null is 0."""

NO_UPLOADS = FIELDS.empty_table()


def bound_names(column: str, kind: type) -> tuple[str, str]:
    """Return the names of the columns with the bounds of a column: integers, or texts."""
    suffix = "" if kind is int else "_text"
    return f"{column}:low{suffix}", f"{column}:high{suffix}"


def microseconds(instant: datetime) -> int:
    """Return an instant as the column `uploaded_at` has it."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def type_of(name: str) -> pa.DataType:
    """Return the type of a column of uploads."""
    at = FIELDS.get_field_index(name)
    if at >= 0:
        return FIELDS.field(at).type
    return pa.string() if name.endswith("_text") else pa.int64()


def checksum(text: str | None) -> int:
    """Return the CRC-32 of a text; 0 for null."""
    return 0 if text is None else zlib.crc32(text.encode())


def upload_rows(entries: Iterable[Entry]) -> pa.Table:
    """Return the rows of some accepted entries, in their order."""
    rows = [row for entry in entries for row in _rows_of(entry)]
    if not rows:
        return NO_UPLOADS
    columns = zip(*(row for row, _ in rows), strict=True)
    arrays = [pa.array(one, field.type) for one, field in zip(columns, FIELDS, strict=True)]
    names = list(FIELDS.names)
    bounds: dict[tuple[str, type], tuple[list[object], list[object]]] = {}
    for at, (_, part) in enumerate(rows):
        for column, interval in part.ranges.items() if part else ():
            kind: type = int if isinstance(interval.low, int) else str
            lows, highs = bounds.setdefault(
                (column, kind), ([None] * len(rows), [None] * len(rows))
            )
            lows[at], highs[at] = interval.low, interval.high
    for (column, kind), values in sorted(bounds.items(), key=str):
        type_ = pa.int64() if kind is int else pa.string()
        names += bound_names(column, kind)
        arrays += [pa.array(one, type_) for one in values]
    return pa.table(arrays, names)


def _rows_of(entry: Entry) -> Iterator[tuple[tuple[object, ...], Part | None]]:
    """Yield the values of `FIELDS` and the clean file, for each of an entry, at least once."""
    feeds = " ".join(
        f"{name}={'' if one.file_entry is None else one.file_entry}"
        for name, one in entry.feeds.items()
    )
    of_upload = (
        *(entry.sequence, entry.source_id, entry.url, entry.dataset),
        microseconds(entry.uploaded_at),
        *(entry.content_id, entry.continues, entry.moved_from, feeds),
    )
    checksums = [checksum(one) for one in (entry.source_id, entry.url, entry.content_id)]
    first_rows: dict[str, int] = defaultdict(int)
    for number, part in enumerate(entry.parts):
        dataset = part.dataset or entry.dataset
        of_part = (
            *(number, dataset, part.key, part.rows, first_rows[dataset]),
            *(part.size_bytes, part.ascending),
        )
        first_rows[dataset] += part.rows
        yield (*of_upload, *of_part, *checksums, checksum(part.key)), part
    if not entry.parts:
        yield (*of_upload, 0, "", None, 0, 0, 0, False, *checksums, 0), None


def read_feeds(text: str) -> dict[str, int | None]:
    """Parse the column `feeds`: dataset -> number of the entry of [[files]], where it is known."""
    found = {}
    for one in text.split():
        name, _, number = one.rpartition("=")
        found[name] = int(number) if number else None
    return found


UPLOAD_COLUMNS = (
    *("sequence", "source_id", "url", "dataset", "uploaded_at"),
    *("content", "continues", "moved_from", "feeds"),
)
"""Columns that `read_uploads` wants."""


def read_uploads(rows: pa.Table) -> list[Upload]:
    """Return the uploads that some rows are of, one for each row."""
    columns = [rows.column(name).to_pylist() for name in UPLOAD_COLUMNS]
    return [
        Upload(
            sequence=sequence,
            source_id=source_id,
            name=url,
            dataset=dataset,
            uploaded_at=EPOCH + timedelta(microseconds=at),
            content=content,
            continues=continues,
            moved_from=moved_from,
            feeds=bool(feeds),
        )
        for sequence, source_id, url, dataset, at, content, continues, moved_from, feeds in zip(
            *columns, strict=True
        )
    ]
