"""Grammar of quoted fields: where a record ends, and where it is malformed.

RFC 4180, lenient where that is safe. A field that starts with a quote runs to its closing quote,
and `""` inside it is one quote. A quote elsewhere is an ordinary character. A record is *malformed*
if a closing quote is followed by neither a delimiter nor a record end, or if a quote is never
closed.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

from kpi.csv.repetition import repeated
from kpi.kernels.arrays import Bytes, Positions

LF, CR, QUOTE = 10, 13, 34

_LINE_WINDOW_BYTES = 256
"""Bytes in which a line end is looked for first."""

_PAIRS_AT_ONCE = 2**18
"""Pairs of quotes that are checked together: a block of quotes alone has some millions."""


def quotes_pair_up(codes: Bytes, quotes: Positions, delimiter: int, *, last: bool) -> bool:
    """Check whether quotes, taken in turn, open at a field's start and close at a field's end.

    Args:
        codes: The bytes.
        quotes: Offsets of all quotes in them, ascending.
        delimiter: The byte between fields.
        last: Whether no bytes follow, so that an open quote stays open.
    """
    if last and len(quotes) % 2:
        return False
    step = 2 * _PAIRS_AT_ONCE
    return all(
        _pairs_stand_at_edges(codes, quotes, first, min(first + step, len(quotes)), delimiter)
        for first in range(0, len(quotes), step)
    )


def _pairs_stand_at_edges(
    codes: Bytes, quotes: Positions, first: int, stop: int, delimiter: int
) -> bool:
    """Check the pairs of quotes from the `first` of them on; `stop` is even, or their number."""
    size = len(codes)
    openers, closers = quotes[first:stop:2], quotes[first + 1 : stop : 2]
    before = codes[np.maximum(openers - 1, 0)]
    starts_field = (openers == 0) | (before == delimiter) | (before == LF) | (before == CR)
    continues = np.zeros(len(openers), bool)
    continues[1:] = openers[1:] == closers[: len(openers) - 1] + 1
    continues[:1] = first > 0 and quotes[first] == quotes[first - 1] + 1
    if not (starts_field | continues).all():
        return False
    after = codes[np.minimum(closers + 1, size - 1)]
    ends_field = (closers == size - 1) | (after == delimiter) | (after == LF) | (after == CR)
    following = quotes[first + 2 : stop + 1 : 2]
    continued = np.zeros(len(closers), bool)
    continued[: len(following)] = closers[: len(following)] + 1 == following
    return bool((ends_field | continued).all())


class RecordKind(enum.Enum):
    """Verdict on the record that begins at some offset."""

    WELL_FORMED = enum.auto()
    MALFORMED = enum.auto()
    UNCLOSED = enum.auto()


@dataclass(frozen=True, slots=True)
class RecordEnd:
    """Verdict on a record, and where it was reached.

    Attributes:
        kind: The verdict.
        stop: Behind the line end of a well-formed record, at the first wrong byte of a malformed
            one, at the end of the data for one with an open quote.
    """

    kind: RecordKind
    stop: int


class RecordEndFinder:
    """Find the ends of records from left to right, in linear time.

    A malformed record ends at its first line end, so the next one starts inside it and may scan
    as far again: each of the lines `a","b` opens a quote that the next line closes. But a record
    that continues behind a line end is inside a quoted field there. A record that starts inside
    another and continues behind its own first line end is in the other's field, and ends with it.
    """

    def __init__(self, data: bytes, delimiter: bytes) -> None:
        self._data = data
        self._patterns = _record_patterns(delimiter)
        self._last = RecordEnd(RecordKind.WELL_FORMED, 0)

    def skip_well_formed(self, start: int, stop: int) -> int:
        """Skip the well-formed records that begin at `start` and end before `stop`.

        Returns:
            The offset behind the last of them; `start` where the first one needs a closer look.
        """
        if start < self._last.stop:
            # Lines without quotes are records of their own inside of whatever failed.
            stop = min(stop, self._last.stop)
            quote = self._data.find(b'"', start, stop)
            stop = stop if quote < 0 else quote
            # A carriage return at the end may be half of CR LF.
            feed, lone = (
                self._data.rfind(b"\n", start, stop),
                self._data.rfind(b"\r", start, stop - 1),
            )
            return max(start, feed + 1, lone + 1)
        run = self._patterns.run.match(self._data, start, stop)
        return run.end() if run else start

    def open_stop(self, *, limit: int, whole_stop: int) -> int:
        """Return where lines end at the latest that are malformed if their quote stays open.

        They start inside a record that fails, which is malformed or longer than `limit`, and fail
        with it.

        Args:
            limit: Longest record, in bytes.
            whole_stop: Offset up to which an unclosed record is too long in any case.
        """
        end = self._last.stop
        if self._last.kind is RecordKind.MALFORMED:
            return end - 1
        if self._last.kind is RecordKind.WELL_FORMED:
            return min(end - limit - 2, whole_stop)  # two bytes of a line end
        return min(end - 1, whole_stop)

    def find_end(self, start: int) -> RecordEnd:
        """Find the end of the record at `start`, which must not decrease from call to call."""
        data, patterns = self._data, self._patterns
        if start < self._last.stop:
            line = end_of_line(data, start)
            if line is not None and line < self._last.stop:
                text_end = line - line_end_bytes(data, line)
                if patterns.well_formed.match(data, start, text_end):
                    return RecordEnd(RecordKind.WELL_FORMED, line)
                wrong = patterns.malformed.match(data, start, text_end)
                return RecordEnd(RecordKind.MALFORMED, wrong.end() - 1) if wrong else self._last
        good = patterns.well_formed.match(data, start)
        if good is not None:
            self._last = RecordEnd(RecordKind.WELL_FORMED, good.end())
        elif wrong := patterns.malformed.match(data, start):
            self._last = RecordEnd(RecordKind.MALFORMED, wrong.end() - 1)
        else:
            self._last = RecordEnd(RecordKind.UNCLOSED, len(data))
        return self._last


@lru_cache
def field_pattern(delimiter: bytes) -> re.Pattern[bytes]:
    """Compile the pattern of a field with the delimiter behind it."""
    comma = re.escape(delimiter)
    quoted = rb'"' + repeated(rb'[^"]++|""') + rb'"'
    return re.compile(rb"(?:" + quoted + rb'|(?!")[^' + comma + rb"\r\n]*+)" + comma)


@dataclass(frozen=True)
class _RecordPatterns:
    """Patterns for one delimiter, without backtracking.

    Attributes:
        well_formed: A record with its line end, or up to the end of the data.
        malformed: A record up to and with its first wrong byte.
        run: Records that surely end. A carriage return at the end of the data does not count: the
            next byte may be its line feed.
    """

    well_formed: re.Pattern[bytes]
    malformed: re.Pattern[bytes]
    run: re.Pattern[bytes]


@lru_cache
def _record_patterns(delimiter: bytes) -> _RecordPatterns:
    comma = re.escape(delimiter)
    quoted = rb'"' + repeated(rb'[^"]++|""') + rb'"'
    bare = rb'(?!")[^' + comma + rb"\r\n]*+"
    field = rb"(?:" + quoted + rb"|" + bare + rb")"
    fields = field + repeated(comma + field)
    line_end = rb"(?:\r\n|\n|\r(?!\Z))"
    return _RecordPatterns(
        well_formed=re.compile(fields + rb"(?:\r\n|\n|\r|\Z)"),
        malformed=re.compile(repeated(field + comma) + quoted + rb"[^" + comma + rb'\r\n"]'),
        run=re.compile(repeated(fields + line_end)),
    )


def record_spans(data: bytes, delimiter: bytes) -> tuple[Positions, Positions]:
    """Find start and end, line end included, of each record; blank lines are records here.

    Args:
        data: Well-formed records only.
        delimiter: Between fields.
    """
    found = _record_patterns(delimiter).well_formed.finditer(data)
    edges = np.fromiter(chain.from_iterable(map(re.Match.span, found)), np.int64)
    # At the end of the data the pattern matches once more, without a byte.
    edges = edges[: 2 * np.searchsorted(edges[0::2], len(data))]
    starts, ends = edges[0::2], edges[1::2]
    expected = np.append(0, ends)
    wrong = np.flatnonzero(expected != np.append(starts, len(data)))
    if len(wrong):  # the splitter lets only well-formed records through
        raise AssertionError(f"a malformed record at byte {expected[wrong[0]]} of a chunk")
    return starts, ends


def line_end_bytes(data: bytes, end: int) -> int:
    """Measure the line end before `end`: 2, 1, or 0 bytes where there is none."""
    if data[end - 1] == LF:
        return 2 if data[end - 2 : end - 1] == b"\r" else 1
    return int(data[end - 1] == CR)


def end_of_line(data: bytes, start: int) -> int | None:
    """Find the offset behind the first line end at or after `start`.

    Returns:
        None where no line surely ends: a carriage return at the very end may be half of CR LF.
    """
    size, window = len(data), _LINE_WINDOW_BYTES
    feed = lone = -1
    at = start
    # A search for one of the two runs through the whole data where all lines end with the other.
    while feed < 0 and lone < 0 and at < size:
        feed = data.find(b"\n", at, at + window)
        lone = data.find(b"\r", at, at + window if feed < 0 else feed)
        at, window = at + window, 2 * window
    if lone >= 0:
        if lone + 1 == size:
            return None
        return lone + 2 if data[lone + 1] == LF else lone + 1
    return feed + 1 if feed >= 0 else None
