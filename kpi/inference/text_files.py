"""A sample of a text file: its encoding, delimiter, quoting and header line."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kpi.contract.file_entries import DELIMITERS
from kpi.inference.dates import read_dates
from kpi.inference.encodings import find_encoding
from kpi.inference.headers import meaning_of
from kpi.inference.samples import TableSample
from kpi.inference.total_rows import find_total_rows
from kpi.inference.values import BLANK_WORDS, NUMBER

SAMPLE_ROWS = 20_000
"""Rows of a file that are looked at: a file of 80 columns takes some 100 MB as texts."""

SNIFFED_RECORDS = 200
"""Records that tell the delimiter, and that the header is looked for among the first of."""

HEADER_RECORDS = 20

MIN_MATCH_SHARE = 0.5
"""Records of one width below which a text is no table."""


@dataclass(frozen=True)
class _Parsed:
    delimiter: str
    quoted: bool
    records: list[list[str]]


def sample_text(name: str, match: str, head: bytes, *, whole: bool) -> TableSample | None:
    """Read a sample of a text file; None where it is no table.

    Args:
        name: Path below the input.
        match: Pattern of `[[files]]` that takes the file.
        head: Its first bytes.
        whole: Whether these are all of it.
    """
    text, encoding = _decode(head, whole=whole)
    words: dict[str, object] = {}
    if encoding is not None:
        words["encoding"] = encoding
    lines = text.splitlines(keepends=True)
    declared = lines[0].strip().strip('"') if lines else ""
    if declared.lower().startswith("sep=") and len(declared) <= len("sep=;"):
        text = "".join(lines[1:])
    if not whole:
        text = text[: text.rfind("\n") + 1]
    parsed = _parse(text)
    if parsed is None:
        return None
    if parsed.delimiter != ",":
        words["delimiter"] = parsed.delimiter
    if not parsed.quoted:
        words["quote"] = ""
    return sample_records(name, match, parsed.records, words, whole=whole)


def sample_records(
    name: str,
    match: str,
    records: Sequence[Sequence[str]],
    words: Mapping[str, object],
    *,
    whole: bool,
) -> TableSample:
    """Find the header of some records, and make a sample of the rows below.

    Args:
        name: Path below the input, with a sheet or a member.
        match: Pattern of `[[files]]` that takes the file.
        records: Cells of the first records.
        words: How the file is written.
        whole: Whether these are all of its records.
    """
    words = dict(words)
    width = Counter(len(one) for one in records if any(one)).most_common(1)[0][0]
    at = _header_at(records, width)
    if at is None:
        headers = tuple(f"column {number + 1}" for number in range(width))
        words["columns"] = list(headers)
        body = records
    else:
        headers, body = tuple(cell.strip() for cell in records[at]), records[at + 1 :]
        if at:
            words["begins"] = next(cell for cell in headers if cell)
    width = len(headers)
    rows = [one for one in body if at is None or one != records[at]]
    fitting = [one for one in rows if len(one) == width]
    misfits = [one for one in rows if len(one) != width]
    cells = [[cell.strip() for cell in one] for one in fitting]
    filled = [one for one in cells if any(one)]
    totals = find_total_rows(headers, filled) if at is not None else None
    if totals is not None:
        filled = [one for number, one in enumerate(filled) if number not in totals.rows]
    return TableSample(
        name=name,
        match=match,
        headers=headers,
        columns=tuple(zip(*filled, strict=True)) if filled else tuple(() for _ in headers),
        words=words,
        has_headers=at is not None,
        whole=whole and len(records) < SAMPLE_ROWS,
        rows_total=len(rows),
        only=totals.condition if totals is not None else {},
        misfits=len(misfits),
        misfit_example=(len(misfits[0]), width) if misfits else (0, width),
    )


def _decode(head: bytes, *, whole: bool) -> tuple[str, str | None]:
    """Decode text: (text, encoding where the contract must say it)."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace"), None
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head, final=whole), None
    except UnicodeDecodeError:
        pass
    encoding = find_encoding(head)
    return head.decode(encoding, "ignore"), encoding


def _parse(text: str) -> _Parsed | None:
    """Find the delimiter that gives the most records of one width, more than one field each."""
    candidates = []
    for delimiter in DELIMITERS:
        for quoted in (True, False):
            records = _records(text, delimiter, SNIFFED_RECORDS, quoted=quoted)
            widths = Counter(len(one) for one in records if any(one))
            if not widths:
                return None
            width, count = widths.most_common(1)[0]
            share = count / sum(widths.values())
            if quoted and _has_stray_quotes(text, delimiter):
                share *= 0.99
            candidates.append(
                ((share if width > 1 else 0.0, width > 1, quoted, width), delimiter, quoted)
            )
    (share, several, *_), delimiter, quoted = max(candidates, key=lambda one: one[0])
    if not several or share < MIN_MATCH_SHARE:
        # One column: its name alone says something, or nothing does.
        delimiter, quoted = _by_header(text), True
    return _Parsed(delimiter, quoted, _records(text, delimiter, SAMPLE_ROWS, quoted=quoted))


def _by_header(text: str) -> str:
    """Take the delimiter that the first line has the most of."""
    first = text.split("\n", 1)[0]
    return max(DELIMITERS, key=first.count)


def _records(text: str, delimiter: str, count: int, *, quoted: bool) -> list[list[str]]:
    csv.field_size_limit(2**31 - 1)
    stream = io.StringIO(text, newline="")
    reader = (
        csv.reader(stream, delimiter=delimiter)
        if quoted
        else csv.reader(stream, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    )
    found: list[list[str]] = []
    try:
        for record in reader:
            if record:
                found.append(record)
            if len(found) >= count:
                break
    except csv.Error:
        return found
    return found


def _has_stray_quotes(text: str, delimiter: str) -> bool:
    """Whether quotes stand among the first records as plain characters do."""
    lines = text.splitlines(keepends=True)[:SNIFFED_RECORDS]
    try:
        for _ in csv.reader(lines, delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        # An end within quotes may be that of the lines that are looked at.
        return "expected after" in str(error)
    return False


def _header_at(records: Sequence[Sequence[str]], width: int) -> int | None:
    """Find the record that is the header; None where the file has none."""
    best, at = 0.0, None
    for number, record in enumerate(records[:HEADER_RECORDS]):
        score = _header_score(record, width)
        if score > best + 0.25:
            best, at = score, number
        if best >= 1.5:
            break
    if at is None or not _differs_from_rows(records, at):
        return None
    return at


def _header_score(record: Sequence[str], width: int) -> float:
    """Tell how much a record looks like headers: distinct words, none a value."""
    cells = [cell.strip() for cell in record]
    filled = [cell for cell in cells if cell]
    if not filled or len(filled) < min(2, width) or any(map(_is_value, filled)):
        return 0.0
    if len(set(map(str.casefold, filled))) < len(filled) * 0.9:
        return 0.0
    known = sum(bool(meaning_of(cell).words) for cell in filled)
    share = len(filled) / max(width, len(cells))
    return share + known / len(filled)


def _is_value(cell: str) -> bool:
    """Whether a cell is a number, a date or a word for none: no header."""
    if NUMBER.fullmatch(cell) and any(one.isdigit() for one in cell):
        return not cell[0].isalpha()
    return read_dates([cell]) is not None or cell.casefold() in BLANK_WORDS


def _differs_from_rows(records: Sequence[Sequence[str]], at: int) -> bool:
    """Whether the rows below have values where the header has words, or other words."""
    header = records[at]
    rows = [one for one in records[at + 1 :] if len(one) == len(header)]
    if not rows:
        return True
    if any(meaning_of(cell).words for cell in header):
        return True
    return any(
        sum(_is_value(row[column].strip()) for row in rows) > len(rows) / 2
        for column in range(len(header))
    )
