"""Tell well-formed lines from malformed ones, many at a time.

Each line is looked at twice: as the start of a record, and as its continuation in a quoted field.
Together both kinds say where every record of a stretch of lines ends, in one pass over its bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kpi.csv.grammar import CR, LF
from kpi.csv.repetition import repeated
from kpi.kernels.arrays import Bytes, Mask, Positions

RECORD = 0
"""Kind of a line with which a record ends well."""

MALFORMED = 1
"""Kind of a line in which a closing quote is followed by neither a delimiter nor a line end."""

OPEN = 2
"""Kind of a line behind which a quoted field goes on."""


@dataclass(frozen=True)
class LineBounds:
    """Where some lines lie, ascending.

    Attributes:
        starts: Offset of each.
        texts: Offset behind its text.
        ends: Offset behind its line end.
    """

    starts: Positions
    texts: Positions
    ends: Positions

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Consecutive lines that were classified.

    Attributes:
        stop: Offset behind the last of them; where they start if there are none.
        lines: How many they are.
        malformed: Start, end of text, and end of each line that is a malformed record or too long.
        is_whole: Whether most of the lines that were looked at were classified.
    """

    stop: int
    lines: int
    malformed: LineBounds
    is_whole: bool


def nothing_classified(start: int) -> Stretch:
    """Return a stretch of no lines."""
    none = np.zeros(0, np.int64)
    return Stretch(stop=start, lines=0, malformed=LineBounds(none, none, none), is_whole=False)


def classify_lines(
    data: bytes, start: int, stop: int, *, delimiter: bytes, limit: int, open_stop: int
) -> Stretch:
    """Classify lines from the start of a record on.

    Args:
        data: Bytes of the stream.
        start: Where the first line starts.
        stop: Where to end at the latest.
        delimiter: Between fields.
        limit: Longest record, in bytes.
        open_stop: Lines that end before this are malformed where their quote stays open beyond all
            that is looked at.

    Returns:
        The lines up to the first whose quote stays open behind `stop`.
    """
    ends, texts = _line_ends(data, start, stop)
    if not len(ends):
        return nothing_classified(start)
    stop, count = int(ends[-1]), len(ends)
    starts = np.append(start, ends[:-1])
    of_first, of_others = _line_patterns(delimiter)
    kinds = of_first.kinds(data, start, stop)
    good = (kinds == RECORD) & (texts - starts <= limit)
    inner = np.zeros(count, bool)
    opened = np.flatnonzero(kinds == OPEN)
    if len(opened):
        inside = of_others.kinds(data, start, stop)
        closing = _next_closing(inside)[opened + 1]
        unclosed = opened[(closing == count) & (ends[opened] > open_stop)]
        if len(unclosed):
            count = int(unclosed[0])
        closed = closing < len(ends)
        closed[closed] = inside[closing[closed]] == RECORD
        closed[closed] = texts[closing[closed]] - starts[opened[closed]] <= limit
        count = _skip_fields(opened[closed], closing[closed], good, inner, count)
    bad = np.flatnonzero(~(good | inner)[:count])
    return Stretch(
        stop=int(ends[count - 1]) if count else start,
        lines=count,
        malformed=LineBounds(starts[bad], texts[bad], ends[bad]),
        is_whole=2 * count > len(ends),
    )


def _line_ends(data: bytes, start: int, stop: int) -> tuple[Positions, Positions]:
    """Find the lines that end before `stop`: the offsets behind them, and behind their texts."""
    codes = np.frombuffer(data, np.uint8)[start:stop]
    feeds, returns = codes == LF, codes == CR
    crlf = returns[:-1] & feeds[1:]
    is_end = feeds | returns
    is_end[:-1] &= ~crlf
    if len(returns):
        is_end[-1] = feeds[-1]  # a carriage return at the end may be half of CR LF
    at = np.flatnonzero(is_end)
    return at + (start + 1), at + start - np.append(False, crlf)[at]


def _next_closing(inside: Bytes) -> Positions:
    """For each line, find the first from it on that closes a field which is open before it.

    Returns:
        The number of lines where there is none, also behind the last of them.
    """
    count = len(inside)
    at = np.append(np.where(inside == OPEN, count, np.arange(count)), count)
    return np.minimum.accumulate(at[::-1])[::-1]


def _skip_fields(
    openers: Positions, closers: Positions, good: Mask, inner: Mask, count: int
) -> int:
    """Mark the records of several lines, from left to right.

    Args:
        openers: Lines that open a field which ends well, ascending.
        closers: The line that ends each.
        good: Becomes true where such a record starts.
        inner: Becomes true for its other lines.
        count: Number of lines to look at.

    Returns:
        The number of lines that were looked at: those of the last record whole.
    """
    after = 0
    for opener, closer in zip(openers.tolist(), closers.tolist(), strict=True):
        if opener >= count:
            break
        if opener >= after:
            after = closer + 1
            good[opener] = True
            inner[opener + 1 : after] = True
    return max(count, after)


@dataclass(frozen=True)
class _LinePattern:
    """Pattern of a line with its end, without backtracking; it matches every line.

    Attributes:
        pattern: Its groups are empty; the one that took part tells the kind.
        kind_of_group: Kind of each group; there is no group 0.
    """

    pattern: re.Pattern[bytes]
    kind_of_group: Bytes

    def kinds(self, data: bytes, start: int, stop: int) -> Bytes:
        groups = [one.lastindex or 0 for one in self.pattern.finditer(data, start, stop)]
        return self.kind_of_group[np.frombuffer(bytes(groups), np.uint8)]


@lru_cache
def _line_patterns(delimiter: bytes) -> tuple[_LinePattern, _LinePattern]:
    """Compile the patterns of a line that starts a record, and of one inside a quoted field."""
    comma = re.escape(delimiter)
    line_end = rb"(?:\r\n|\n|\r)()"
    text = repeated(rb'[^"\r\n]++|""')  # of a quoted field, within the line
    bare = rb'(?!")[^' + comma + rb"\r\n]*+"
    wrong = rb'[^"' + comma + rb"\r\n][^\r\n]*+"
    fields = repeated(rb'(?:"' + text + rb'"|' + bare + rb")" + comma)
    closed = rb'"(?:' + line_end + rb"|" + wrong + line_end + rb")"
    quoted = rb'"' + text + rb"(?:" + closed + rb"|" + line_end + rb")"
    first = fields + rb"(?:" + bare + line_end + rb"|" + quoted + rb")"
    first_kinds = (RECORD, RECORD, MALFORMED, OPEN)
    more = rb"(?:" + line_end + rb"|" + wrong + line_end + rb"|" + comma + first + rb")"
    inside = text + rb"(?:" + line_end + rb'|"' + more + rb")"
    inside_kinds = (OPEN, RECORD, MALFORMED, *first_kinds)
    return (
        _LinePattern(re.compile(first), np.array([RECORD, *first_kinds], np.uint8)),
        _LinePattern(re.compile(inside), np.array([RECORD, *inside_kinds], np.uint8)),
    )
