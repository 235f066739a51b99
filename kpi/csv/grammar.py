"""The grammar of quoted fields: where a record ends, and where it goes wrong.

RFC 4180, lenient where that is safe: a field that starts with a quote runs to its closing quote,
`""` inside stands for one quote; a quote elsewhere is an ordinary character. A record is
*malformed* when something other than a delimiter or a record end follows a closing quote, or when
a quote is never closed.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Positions

LF, CR, QUOTE = 10, 13, 34


def pair_up(codes: npt.NDArray[np.uint8], quotes: Positions, delimiter: int, *, last: bool) -> bool:
    """Whether quotes, taken in turn, open at a field's start and close at a field's end."""
    if last and len(quotes) % 2:
        return False
    size = len(codes)
    openers, closers = quotes[0::2], quotes[1::2]
    before = codes[np.maximum(openers - 1, 0)]
    starts_field = (openers == 0) | (before == delimiter) | (before == LF) | (before == CR)
    continues = np.zeros(len(openers), bool)
    continues[1:] = openers[1:] == closers[: len(openers) - 1] + 1
    if not (starts_field | continues).all():
        return False
    after = codes[np.minimum(closers + 1, size - 1)]
    ends_field = (closers == size - 1) | (after == delimiter) | (after == LF) | (after == CR)
    continued = np.zeros(len(closers), bool)
    following = openers[1:]
    continued[: len(following)] = closers[: len(following)] + 1 == following
    return bool((ends_field | continued).all())


class Kind(enum.Enum):
    """How a record goes on from its start."""

    WELL_FORMED = enum.auto()
    MALFORMED = enum.auto()
    UNCLOSED = enum.auto()


class End(NamedTuple):
    """What a record turns out to be, and where: behind its line end, at the first byte that is
    wrong, or at the end of the data, in an open quote."""

    kind: Kind
    stop: int


class Ends:
    """Finds the ends of records, in time that grows with the data and not with its square.

    A malformed record ends at its first line end, so the next one starts inside of it and may run
    just as far: each of the lines `a","b` opens a quote that the next line closes and opens anew.
    But a record that goes on behind a line end is inside a quoted field there. So a record that
    starts inside of another and goes on behind its own first line end is in the same field as the
    other, and ends with it.
    """

    def __init__(self, data: bytes, delimiter: bytes) -> None:
        self._data = data
        self._well_formed, self._malformed, self._run = _patterns(delimiter)
        self._last = End(Kind.WELL_FORMED, 0)

    def of_run(self, start: int, stop: int) -> int:
        """Behind the last of the well-formed records, at `start` and after it, that end before
        `stop`; `start` where none is found without looking farther."""
        if start < self._last.stop:
            # Lines without quotes are records of their own inside of whatever failed.
            stop = min(stop, self._last.stop)
            quote = self._data.find(b'"', start, stop)
            return max(start, self._data.rfind(b"\n", start, stop if quote < 0 else quote) + 1)
        run = self._run.match(self._data, start, stop)
        return run.end() if run else start

    def of_record(self, start: int) -> End:
        """The end of the record at `start`; records are asked for from left to right."""
        data = self._data
        if start < self._last.stop:
            line = end_of_line(data, start)
            if line is not None and line < self._last.stop:
                text_end = line - line_end_bytes(data, line)
                if self._well_formed.match(data, start, text_end):
                    return End(Kind.WELL_FORMED, line)
                wrong = self._malformed.match(data, start, text_end)
                return End(Kind.MALFORMED, wrong.end() - 1) if wrong else self._last
        good = self._well_formed.match(data, start)
        if good is not None:
            self._last = End(Kind.WELL_FORMED, good.end())
        elif wrong := self._malformed.match(data, start):
            self._last = End(Kind.MALFORMED, wrong.end() - 1)
        else:
            self._last = End(Kind.UNCLOSED, len(data))
        return self._last


@lru_cache
def field_pattern(delimiter: bytes) -> re.Pattern[bytes]:
    """A field and the delimiter behind it."""
    comma = re.escape(delimiter)
    return re.compile(rb'(?:"(?:[^"]++|"")*+"|(?!")[^' + comma + rb"\r\n]*+)" + comma)


@lru_cache
def _patterns(
    delimiter: bytes,
) -> tuple[re.Pattern[bytes], re.Pattern[bytes], re.Pattern[bytes]]:
    """A well-formed record with its line end, the beginning of a malformed one, and well-formed
    records that surely end: a carriage return at the end of the data may be half of a line end."""
    comma = re.escape(delimiter)
    quoted = rb'"(?:[^"]++|"")*+"'
    bare = rb'(?!")[^' + comma + rb"\r\n]*+"
    field = rb"(?:" + quoted + rb"|" + bare + rb")"
    fields = field + rb"(?:" + comma + field + rb")*+"
    good = fields + rb"(?:\r\n|\n|\r|\Z)"
    bad = rb"(?:" + field + comma + rb")*+" + quoted + rb"[^" + comma + rb'\r\n"]'
    run = rb"(?:" + fields + rb"(?:\r\n|\n|\r(?!\Z)))*+"
    return re.compile(good), re.compile(bad), re.compile(run)


def careful_spans(data: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
    """Start and end, line end excluded, of each of some well-formed records but blank lines."""
    good, _, _ = _patterns(delimiter)
    start = 0
    while start < len(data):
        match = good.match(data, start)
        if match is None:  # the splitter lets only well-formed records through
            raise AssertionError(f"a malformed record at byte {start} of a chunk")
        end = start + len(match.group().rstrip(b"\r\n"))
        if end > start:
            yield start, end
        start = match.end()


def line_end_bytes(data: bytes, end: int) -> int:
    """Length of the line end before `end`: 2, 1, or 0 where there is none."""
    if data[end - 1] == LF:
        return 2 if data[end - 2 : end - 1] == b"\r" else 1
    return int(data[end - 1] == CR)


def end_of_line(data: bytes, start: int) -> int | None:
    """Just behind the first line end at or after `start`; None where there is none yet."""
    feed = data.find(b"\n", start)
    lone = data.find(b"\r", start, None if feed < 0 else feed)
    if lone >= 0:
        if lone + 1 == len(data):
            return None
        return lone + 2 if data[lone + 1] == LF else lone + 1
    return feed + 1 if feed >= 0 else None
