"""Rows of all files in a temporary file, so that memory holds no more than some days need."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import IO, Any

from worker.recount.shop.dates import Moment
from worker.recount.shop.rows import Row

MEMORY_BYTES = 32 * 2**20
"""Rows up to this size are kept in memory."""


@dataclass(frozen=True)
class Segment:
    """Where the rows of a file are: bytes of the temporary file."""

    start: int
    stop: int


class Spool:
    """Rows that are written once and read again and again, in their order."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115
        self._end = 0

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()

    def write(self, rows: Iterable[Row]) -> Segment:
        """Append the rows of one file for one dataset."""
        start = self._end
        for row in rows:
            self.append(row)
        return Segment(start, self._end)

    def append(self, row: Row) -> None:
        """Append a row."""
        line = json.dumps([row.is_deletion, row.values], default=_encode).encode() + b"\n"
        self._file.seek(self._end)
        self._file.write(line)
        self._end += len(line)

    @property
    def end(self) -> int:
        """Bytes so far."""
        return self._end

    def read(self, segment: Segment) -> Iterator[Row]:
        """Yield the rows of a segment."""
        at = segment.start
        while at < segment.stop:
            self._file.seek(at)
            lines = self._file.readlines(2**20)
            for line in lines:
                if at >= segment.stop:
                    return
                at += len(line)
                is_deletion, values = _JSON.decode(line.decode())
                yield Row(values, is_deletion)


def _encode(value: object) -> dict[str, Any]:
    if isinstance(value, Decimal):
        return {"\0number": str(value)}
    if isinstance(value, Moment):
        return {"\0day": value.day.isoformat(), "\0at": value.microseconds}
    raise TypeError(type(value))


def _decode(value: dict[str, Any]) -> object:
    if "\0number" in value:
        return Decimal(value["\0number"])
    if "\0day" in value:
        return Moment(date.fromisoformat(value["\0day"]), value["\0at"])
    return value


_JSON = json.JSONDecoder(object_hook=_decode)
