"""Accepted uploads in columns: a row for each clean file, with what the ledger knows of it."""

from __future__ import annotations

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
    ]
)
"""Columns of every table of uploads. Four more follow for each column that has bounds; see
`bound_names`."""

NO_UPLOADS = FIELDS.empty_table()


def bound_names(column: str, kind: type) -> tuple[str, str]:
    """Return the names of the columns with the bounds of a column: integers, or texts."""
    suffix = "" if kind is int else "_text"
    return f"{column}:low{suffix}", f"{column}:high{suffix}"


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
        (entry.uploaded_at - EPOCH) // timedelta(microseconds=1),
        *(entry.content_id, entry.continues, entry.moved_from, feeds),
    )
    first_rows: dict[str, int] = defaultdict(int)
    for number, part in enumerate(entry.parts):
        dataset = part.dataset or entry.dataset
        of_part = (
            *(number, dataset, part.key, part.rows, first_rows[dataset]),
            *(part.size_bytes, part.ascending),
        )
        first_rows[dataset] += part.rows
        yield (*of_upload, *of_part), part
    if not entry.parts:
        yield (*of_upload, 0, "", None, 0, 0, 0, False), None


def read_feeds(text: str) -> dict[str, int | None]:
    """Parse the column `feeds`: dataset -> number of the entry of [[files]], where it is known."""
    found = {}
    for one in text.split():
        name, _, number = one.rpartition("=")
        found[name] = int(number) if number else None
    return found


def read_uploads(rows: pa.Table) -> list[Upload]:
    """Return the uploads that some rows are of, one for each row."""
    names = [
        *("sequence", "source_id", "url", "dataset", "uploaded_at"),
        *("content", "continues", "moved_from", "feeds"),
    ]
    columns = [rows.column(name).to_pylist() for name in names]
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
