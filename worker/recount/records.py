"""Split raw CSV text into records, by the `csv` module."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_SCANS = 20
"""Times that the bytes of a file may be read while quotes open and never close."""


class TooAmbiguousError(Exception):
    """So many quotes open and never close that splitting the file takes too long."""


@dataclass(frozen=True)
class Dialect:
    """How a file separates cells.

    Attributes:
        delimiter: Character between fields.
        is_quoted: Whether quotes may stand around a field; else they are plain characters.
        escape: Character that makes the next one plain; empty for none.
    """

    delimiter: str
    is_quoted: bool = True
    escape: str = ""


def read_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Split blocks into lines that end with `\n`, `\r\n` or a lone `\r`, ends kept."""
    rest = b""
    for block in blocks:
        lines = (rest + block).splitlines(keepends=True)
        # The last line may go on in the next block, and so may a line end after `\r`.
        rest = lines.pop() if lines else b""
        yield from lines
    if rest:
        yield from rest.splitlines(keepends=True)


def read_records(
    lines: Iterable[bytes], delimiter: str, max_record_bytes: int
) -> Iterator[list[str]]:
    """Yield the fields of each well-formed record; blank lines are skipped.

    Args:
        lines: Lines of the file, the header among them.
        delimiter: Character between fields.
        max_record_bytes: Longest record.

    Raises:
        TooAmbiguousError: Splitting takes too long.
    """
    records = split_records(lines, Dialect(delimiter), max_record_bytes)
    return (fields for fields in records if fields is not None)


def split_records(
    lines: Iterable[bytes], dialect: Dialect, max_record_bytes: int
) -> Iterator[list[str] | None]:
    """Yield the fields of each record; None for one that is malformed or too long.

    Such a record ends at its first line end. Bytes that are not UTF-8 become surrogates, which no
    valid text has.

    Raises:
        TooAmbiguousError: Splitting takes too long.
    """
    csv.field_size_limit(2**31 - 1)
    source = _Lines(lines, max_record_bytes)
    reader = csv.reader(
        (_with_nulls(line) for line in source) if dialect.escape else source,
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.is_quoted else csv.QUOTE_NONE,
        escapechar=dialect.escape or None,
        strict=True,
    )
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            source.end_record_at_first_line()
            yield None
            continue
        is_short = source.end_record() <= max_record_bytes
        if fields:
            yield [_shown(one) for one in fields] if is_short else None


_NULL = "\U0010fffe"
"""In the place of an escaped N: a character that no text has."""


def _with_nulls(line: str) -> str:
    return re.sub(r"\\(.)", lambda pair: _NULL if pair[1] == "N" else pair[0], line)


def _shown(field: str) -> str:
    """Read a field; one that is an escaped N alone has no value."""
    return "" if field == _NULL else field.replace(_NULL, "N")


class _Lines:
    """Lines of a file as `csv` takes them; those of a malformed record can be read again."""

    def __init__(self, lines: Iterable[bytes], max_record_bytes: int) -> None:
        self._lines = iter(lines)
        self._max_record_bytes = max_record_bytes
        self._again: deque[bytes] = deque()
        self._record: list[bytes] = []
        self._record_bytes = 0
        self._done_bytes = 0
        self._repeated_bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._record.append(line)
        self._record_bytes += len(line)
        if len(self._record) > 1 and self._record_bytes > self._max_record_bytes + 2:
            raise csv.Error("the record is too long")
        return line.decode("utf-8", "surrogateescape")

    def end_record(self) -> int:
        """End the record with the last line read, and return its bytes without line end."""
        line_end = len(self._record[-1]) - len(self._record[-1].rstrip(b"\r\n"))
        record_bytes = self._record_bytes - line_end
        self._done_bytes += self._record_bytes
        self._record, self._record_bytes = [], 0
        return record_bytes

    def end_record_at_first_line(self) -> None:
        """End a malformed record with its first line; the others are read again."""
        first, *rest = self._record
        self._again.extendleft(reversed(rest))
        self._done_bytes += len(first)
        self._repeated_bytes += self._record_bytes - len(first)
        self._record, self._record_bytes = [], 0
        if self._repeated_bytes > MAX_SCANS * (self._done_bytes + self._max_record_bytes):
            raise TooAmbiguousError
