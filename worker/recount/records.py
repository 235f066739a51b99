"""Split raw CSV text into records, by the `csv` module."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator

MAX_SCANS = 20
"""Times that the bytes of a file may be read while quotes open and never close."""


class TooAmbiguousError(Exception):
    """So many quotes open and never close that splitting the file takes too long."""


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

    A malformed record, or one that is too long, ends at its first line end and is left out: no row
    of it counts. Bytes that are not UTF-8 become surrogates, which no valid text has.

    Args:
        lines: Lines of the file, the header among them.
        delimiter: Character between fields.
        max_record_bytes: Longest record.

    Raises:
        TooAmbiguousError: Splitting takes too long.
    """
    csv.field_size_limit(2**31 - 1)
    source = _Lines(lines, max_record_bytes)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            source.end_record_at_first_line()
            continue
        if source.end_record() <= max_record_bytes and fields:
            yield fields


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
