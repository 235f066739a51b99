"""Dialect of a CSV file: its delimiter and its header, found in its first records."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kpi.contract.model import header_form
from kpi.csv.chunk import Chunk
from kpi.csv.first_record import find_other_format
from kpi.csv.header import Refusal
from kpi.csv.record_index import find_records
from kpi.csv.splitter import RecordSplitter

HEADER_RECORDS = 200
"""Records among which the header must stand."""


FIXED_WIDTH_LINES = 20
"""Lines that must have one length for a file to count as one of columns of fixed width."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How the records of a file are written, and where its rows begin.

    Attributes:
        delimiter: Between fields.
        headers: Of its columns, in order.
        start: Offset of the first row.
        records_before: Records that stand before the first row: titles and the header.
    """

    delimiter: str
    headers: tuple[str, ...]
    start: int
    records_before: int


@dataclass(frozen=True, kw_only=True)
class HeaderRule:
    """What a contract says of the header.

    Attributes:
        delimiters: Those that may stand between fields.
        quoted: Whether quotes are more than plain characters.
        columns: Headers of a file without header record; empty where there is one.
        begins: A cell of the header; None where it is the first record.
        wanted: Folded headers; the header has one of each tuple.
        max_columns: Columns at most.
    """

    delimiters: Sequence[str]
    quoted: bool
    columns: tuple[str, ...]
    begins: str | None
    wanted: Sequence[tuple[str, ...]]
    max_columns: int


def find_dialect(head: bytes, rule: HeaderRule, *, whole: bool) -> Dialect | Refusal:
    """Find the dialect that yields every column asked for.

    Args:
        head: First bytes of the file, UTF-8.
        rule: What the contract says.
        whole: Whether `head` is all of the file.
    """
    found = [one for name in rule.delimiters if (one := _try(head, name, rule, whole=whole))]
    if not found:
        return _refusal(head, rule)
    fitting = [dialect for dialect in found if _fits(dialect, rule)]
    if len(fitting) > 1 and any(len(one.headers) > 1 for one in fitting):
        names = " and ".join(repr(one.delimiter) for one in fitting)
        return Refusal(reason=f"expected one delimiter that yields every column, got {names}")
    if fitting:
        if len(fitting[0].headers) > rule.max_columns:
            got = len(fitting[0].headers)
            return Refusal(reason=f"expected at most {rule.max_columns} columns, got {got}")
        return fitting[0]
    if rule.columns or has_fixed_width(head) or find_other_format(head):
        return _refusal(head, rule)
    # The mapper names what is missing.
    return max(found, key=lambda dialect: _matches(dialect, rule))


def has_fixed_width(head: bytes) -> bool:
    """Whether the first lines are of one length, with runs of blanks and no delimiter in them."""
    lines = head.splitlines()[:FIXED_WIDTH_LINES]
    return (
        len(lines) > 1
        and len(set(map(len, lines))) == 1
        and all(b"  " in line and not any(mark in line for mark in b",;\t|") for line in lines)
    )


def _matches(dialect: Dialect, rule: HeaderRule) -> tuple[int, int]:
    forms = set(map(header_form, dialect.headers))
    return sum(not forms.isdisjoint(one) for one in rule.wanted), len(forms)


def _fits(dialect: Dialect, rule: HeaderRule) -> bool:
    return _matches(dialect, rule)[0] == len(rule.wanted)


def _try(head: bytes, delimiter: str, rule: HeaderRule, *, whole: bool) -> Dialect | None:
    """Look for the header with one delimiter."""
    chunk = _records(head, delimiter, quoted=rule.quoted, whole=whole)
    if chunk is None:
        return None
    records = find_records(chunk, delimiter=delimiter)
    starts = records.starts
    for number, (start, end) in enumerate(records[:HEADER_RECORDS].pairs()):
        text = bytes(chunk.data[start:end]).decode("utf-8", "replace").removeprefix("\ufeff")
        if _is_declaration(text):
            continue
        cells = _cells(text, delimiter, quoted=rule.quoted)
        if rule.columns:
            if len(cells) != len(rule.columns):
                return None
            return Dialect(
                delimiter=delimiter,
                headers=rule.columns,
                start=start,
                records_before=number,
            )
        if rule.begins is not None and header_form(rule.begins) not in map(header_form, cells):
            continue
        behind = int(starts[number + 1]) if number + 1 < len(starts) else chunk.size
        return Dialect(
            delimiter=delimiter, headers=tuple(cells), start=behind, records_before=number + 1
        )
    return None


def _cells(text: str, delimiter: str, *, quoted: bool) -> list[str]:
    if not quoted:
        return text.split(delimiter)
    csv.field_size_limit(2**31 - 1)
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:  # a lone carriage return, say
        return [text]


def _is_declaration(text: str) -> bool:
    """Whether a record is the line `sep=;` of a spreadsheet."""
    bare = text.strip().strip('"')
    return bare.lower().startswith("sep=") and len(bare) <= len("sep=;")


def _records(head: bytes, delimiter: str, *, quoted: bool, whole: bool) -> Chunk | None:
    if not quoted:
        return plain_chunk(head, 0)
    splitter = RecordSplitter(delimiter=delimiter, max_record_bytes=len(head) + 1)
    return next(splitter.split(head, last=whole), None)


def plain_chunk(data: bytes, offset: int) -> Chunk:
    """Make a chunk of whole lines in which quotes are plain characters."""
    return Chunk(
        buffer=data,
        start=0,
        stop=len(data),
        offset=offset,
        quotes_pair_up=True,
        few_quotes=np.zeros(0, np.int64),
    )


def _refusal(head: bytes, rule: HeaderRule) -> Refusal:
    if not head.strip():
        return Refusal(reason="expected a header, got an empty file")
    if other := find_other_format(head):
        return Refusal(reason=other)
    if rule.begins is not None:
        return Refusal(
            reason=f"expected a header with the cell {rule.begins!r} among the first "
            f"{HEADER_RECORDS} records, got none"
        )
    if rule.columns:
        names = " or ".join(map(repr, rule.delimiters))
        return Refusal(
            reason=f"expected {len(rule.columns)} columns with {names} between them, got a first "
            "record of others (columns of fixed width are not read)"
        )
    if has_fixed_width(head):
        return Refusal(
            reason="expected columns with a delimiter between them, got lines of one length with "
            "blanks between their values: columns of fixed width are not read"
        )
    return Refusal(reason="expected a header, got no whole record")
