"""Where records end in a stream of CSV bytes, so that chunks of whole records can be parsed apart.

Grammar (RFC 4180, lenient where that is safe): a record ends at `\\n`, `\\r\\n` or a lone `\\r`
outside quotes. A field that starts with a quote runs to its closing quote, `""` inside stands for
one quote; a quote elsewhere is an ordinary character. A record is *malformed* when something other
than a delimiter or a record end follows a closing quote, when a quote is never closed, or when the
record is longer than allowed. A malformed record ends at the first line end after its start, so
that it never costs its neighbours. Where records end depends on the stream alone, not on how it
was cut into blocks.
"""

from __future__ import annotations

import codecs
import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from kpi.reasons import Reason

LF, CR, QUOTE = 10, 13, 34

Positions = npt.NDArray[np.int64]

_FIELDS_LOOKED_BACK = 64
"""Quoted fields with line ends that are passed over one by one before all are looked at."""

_FEW_RECORDS = 4000
"""Up to so many records of a chunk are faster handled one by one than by masks over its bytes."""

_SPARSE = 512
"""Where a byte stands less often than once in so many, searching is faster than comparing all."""


@dataclass(frozen=True, kw_only=True)
class Malformed:
    """A record that cannot be taken apart.

    Attributes:
        offset: Its stream offset.
        raw: Its bytes without line end; the first `max_record_bytes` where it is longer.
        reason: `MALFORMED_QUOTES` or `RECORD_TOO_LONG`.
    """

    offset: int
    raw: bytes
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Whole records, ready for the parser.

    Attributes:
        data: The bytes: a view of the beginning of a `bytes`, of the block read where that is
            possible; malformed records in them are blanked by line feeds, which parsers skip.
        offset: Stream offset of data[0].
        malformed: The malformed records, ascending by offset.
        plain: True where no quote stands in `data`.
    """

    data: memoryview
    offset: int
    malformed: tuple[Malformed, ...] = ()
    plain: bool = False


class RecordSplitter:
    """Cuts a stream of blocks into chunks of whole records, at most one chunk a block.

    Memory: the block and one unfinished record of at most `max_record_bytes`.
    """

    def __init__(self, *, delimiter: str = ",", max_record_bytes: int, offset: int = 0) -> None:
        self._delimiter = delimiter.encode()
        self._limit = max_record_bytes
        self._offset = offset
        self._rest = b""
        self._skipping: Malformed | None = None

    def push(self, block: bytes, *, last: bool = False) -> Chunk | None:
        """The records that `block` completes; None where it completes none.

        Args:
            block: The next bytes of the stream.
            last: True for the final block: what is left then is the final record, line end or not.
        """
        data = self._rest + block if self._rest else block
        if self._skipping is not None:
            return self._skip(data, last=last)
        plain = QUOTE not in data
        if plain:
            end: int | None = len(data) if last else _last_record_end(data)
        else:
            end = _last_quoted_record_end(data, self._delimiter[0], last=last)
        if end is None or (len(data) > self._limit and self._has_long_record(data, end, plain)):
            return self._take_carefully(data, last=last)
        return self._take(data, end, plain=plain)

    def _has_long_record(self, data: bytes, end: int, plain: bool) -> bool:
        if len(data) - end > self._limit:
            return True
        chunk = Chunk(data=memoryview(data)[:end], offset=0, plain=plain)
        starts, ends = record_starts(chunk, delimiter=self._delimiter.decode())
        return len(starts) > 0 and int((ends - starts).max()) > self._limit

    def _take(
        self,
        data: bytes,
        end: int,
        *,
        malformed: tuple[Malformed, ...] = (),
        plain: bool = False,
    ) -> Chunk | None:
        offset = self._offset
        self._rest = data[end:]
        self._offset += end
        if end == 0 and not malformed:
            return None
        return Chunk(data=memoryview(data)[:end], offset=offset, malformed=malformed, plain=plain)

    def _take_carefully(self, data: bytes, *, last: bool) -> Chunk | None:
        """Record by record, for quotes that do not pair up as RFC 4180 has it."""
        ends = _Ends(data, self._delimiter)
        blanked = bytearray(data)
        malformed: list[Malformed] = []
        start, size = 0, len(data)
        # A carriage return at the very end may be a line end: no part of the record.
        text_end = size - data.endswith(b"\r")
        while start < size:
            run = ends.of_run(start, start + self._limit)
            if run > start:
                start = run
                continue
            found = ends.of_record(start)
            if (
                found.kind is _Kind.WELL_FORMED
                and (found.stop < size or last or data[size - 1] == LF)
                and found.stop - start - _line_end_bytes(data, found.stop) <= self._limit
            ):
                start = found.stop
                continue
            end = _line_end(data, start)
            unfinished = end is None or found.kind is not _Kind.MALFORMED
            if unfinished and not last and text_end - start <= self._limit:
                break
            if end is None:
                if not last:
                    # The line of the malformed record goes on: pass over it as it arrives.
                    chunk = self._take(bytes(blanked), start, malformed=tuple(malformed))
                    skipped = self._skip(self._rest, last=False)
                    return chunk or skipped
                end = size
            raw = data[start:end].rstrip(b"\r\n")
            too_long = len(raw) > self._limit
            reason = Reason.RECORD_TOO_LONG if too_long else Reason.MALFORMED_QUOTES
            malformed.append(
                Malformed(offset=self._offset + start, raw=raw[: self._limit], reason=reason)
            )
            blanked[start:end] = b"\n" * (end - start)
            start = end
        rest = data[start:]
        chunk = self._take(bytes(blanked), start, malformed=tuple(malformed))
        self._rest = rest
        return chunk

    def _skip(self, data: bytes, *, last: bool) -> Chunk | None:
        """Pass over a record that is longer than allowed, keeping the beginning of it."""
        skipping = self._skipping or Malformed(
            offset=self._offset, raw=data[: self._limit], reason=Reason.RECORD_TOO_LONG
        )
        end = _line_end(data, 0)
        if end is None and last:
            end = len(data)
        if end is None:
            self._skipping = skipping
            # A carriage return at the very end may be half of a line end: keep it.
            keep = 1 if data.endswith(b"\r") else 0
            self._offset += len(data) - keep
            self._rest = data[len(data) - keep :]
            return None
        self._skipping = None
        offset = self._offset
        self._offset += end
        self._rest = b""
        following = self.push(data[end:], last=last)
        if following is None:
            return Chunk(data=memoryview(b""), offset=offset, malformed=(skipping,), plain=True)
        return Chunk(
            data=following.data,
            offset=following.offset,
            malformed=(skipping, *following.malformed),
            plain=following.plain,
        )


def record_starts(chunk: Chunk, *, delimiter: str = ",") -> tuple[Positions, Positions]:
    """Where the records of a chunk lie.

    Returns:
        Starts and ends (line end excluded) within `chunk.data`, ascending; blank lines, which
        parsers skip, are left out.
    """
    data = chunk.data
    codes = np.frombuffer(data, np.uint8)
    quotes = np.zeros(0, np.int64) if chunk.plain else _positions(data, QUOTE)
    if not chunk.plain and not _pair_up(codes, quotes, ord(delimiter), last=True):
        spans = list(_careful_spans(bytes(data), delimiter.encode()))
        starts = np.array([start for start, _ in spans], np.int64)
        ends = np.array([end for _, end in spans], np.int64)
        return starts, ends
    stops = np.flatnonzero(codes == LF)
    returns = _positions(data, CR)
    if len(returns):
        following = np.minimum(returns + 1, len(data) - 1)
        lone = returns[(codes[following] != LF) | (returns + 1 >= len(data))]
        stops = np.sort(np.concatenate([stops, lone]))
    if not chunk.plain:
        stops = stops[np.searchsorted(quotes, stops) % 2 == 0]
    if len(data) and (len(stops) == 0 or stops[-1] != len(data) - 1):
        stops = np.append(stops, len(data))
    starts = np.concatenate([np.zeros(1, np.int64), stops[:-1] + 1])[: len(stops)]
    ends = stops.astype(np.int64)
    if len(returns):
        crlf = (ends > starts) & (ends < len(data))
        crlf[crlf] = (codes[ends[crlf]] == LF) & (codes[ends[crlf] - 1] == CR)
        ends = ends - crlf
    filled = ends > starts
    return starts[filled], ends[filled]


def _positions(data: memoryview, code: int) -> Positions:
    """Where a byte that is probably rare stands, ascending."""
    whole, size, byte = cast(bytes, data.obj), len(data), bytes([code])
    found: list[int] = []
    at = whole.find(byte, 0, size)
    while at >= 0:
        found.append(at)
        if len(found) > size // _SPARSE:
            return np.flatnonzero(np.frombuffer(data, np.uint8) == code)
        at = whole.find(byte, at + 1, size)
    return np.array(found, np.int64)


def field_counts(
    chunk: Chunk, starts: Positions, ends: Positions, *, delimiter: str = ","
) -> Positions:
    """How many fields the records of a chunk have.

    Args:
        chunk: The chunk.
        starts: Of its records, from `record_starts`.
        ends: Likewise.
        delimiter: Between fields.
    """
    if len(starts) <= _FEW_RECORDS or not _pairs_up(chunk, delimiter):
        return np.array(_count_each(chunk, starts, ends, delimiter.encode()), np.int64)
    codes = np.frombuffer(chunk.data, np.uint8)
    commas = np.flatnonzero(codes == ord(delimiter))
    if not chunk.plain:
        commas = commas[np.searchsorted(np.flatnonzero(codes == QUOTE), commas) % 2 == 0]
    return np.searchsorted(commas, ends) - np.searchsorted(commas, starts) + 1


def _pairs_up(chunk: Chunk, delimiter: str) -> bool:
    codes = np.frombuffer(chunk.data, np.uint8)
    return chunk.plain or _pair_up(codes, _positions(chunk.data, QUOTE), ord(delimiter), last=True)


def _count_each(chunk: Chunk, starts: Positions, ends: Positions, comma: bytes) -> list[int]:
    whole, field = cast(bytes, chunk.data.obj), _field(comma)
    return [
        whole.count(comma, start, end) + 1
        if whole.find(b'"', start, end) < 0
        # Every field but the last is followed by a delimiter; the pattern takes it along.
        else _count_fields(whole, field, start, end)
        for start, end in _spans(starts, ends)
    ]


def _count_fields(data: bytes, field: re.Pattern[bytes], start: int, end: int) -> int:
    count = 1
    while match := field.match(data, start, end):
        count, start = count + 1, match.end()
    return count


def without_records(chunk: Chunk, starts: Positions, ends: Positions) -> Chunk:
    """The chunk with some of its records blanked by line feeds."""
    if len(starts) > _FEW_RECORDS:
        codes = np.frombuffer(chunk.data, np.uint8).copy()
        codes[_inside(len(codes), starts, ends)] = LF
        return replace(chunk, data=memoryview(codes.tobytes()))
    parts: list[bytes | memoryview] = []
    at = 0
    for start, end in _spans(starts, ends):
        parts += [chunk.data[at:start], b"\n" * (end - start)]
        at = end
    if not parts:
        return chunk
    return replace(chunk, data=memoryview(b"".join([*parts, chunk.data[at:]])))


def undecodable(chunk: Chunk) -> Positions:
    """Where bytes stand that may not be UTF-8, ascending: at least one in each such record."""
    if cast(bytes, chunk.data.obj).isascii():
        return np.zeros(0, np.int64)
    codes = np.frombuffer(chunk.data, np.uint8)
    whole = len(codes) // 8 * 8
    words = np.flatnonzero((codes[:whole].view("<u8") & np.uint64(0x8080808080808080)) != 0)
    if len(words) <= _FEW_RECORDS:
        # Which of them are wrong is seen soon enough.
        at, within = np.nonzero(codes[:whole].reshape(-1, 8)[words] >= 0x80)
        rest = np.flatnonzero(codes[whole:] >= 0x80) + whole
        return np.concatenate([words[at] * 8 + within, rest])
    try:
        codecs.utf_8_decode(chunk.data, "strict", True)
    except UnicodeDecodeError:
        return np.flatnonzero(codes >= 0x80)
    return np.zeros(0, np.int64)


def records_of(
    chunk: Chunk, starts: Positions, ends: Positions
) -> tuple[npt.NDArray[np.uint8], Positions]:
    """The bytes of some records of a chunk, one behind the other, and their lengths."""
    codes = np.frombuffer(chunk.data, np.uint8)
    if len(starts) <= _FEW_RECORDS:
        parts = [codes[start:end] for start, end in _spans(starts, ends)]
        return np.concatenate([np.zeros(0, np.uint8), *parts]), ends - starts
    return codes[_inside(len(codes), starts, ends)], ends - starts


def _spans(starts: Positions, ends: Positions) -> Iterator[tuple[int, int]]:
    return zip(starts.tolist(), ends.tolist(), strict=True)


def _inside(size: int, starts: Positions, ends: Positions) -> npt.NDArray[np.bool_]:
    # +1 where a record starts, -1 where it ends: their sum is 1 inside and 0 outside.
    steps = np.zeros(size + 1, np.int8)
    steps[starts] += 1
    steps[ends] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def _last_record_end(data: bytes) -> int:
    """Bytes up to and with the last line end; without quotes every line end ends a record."""
    end = data.rfind(b"\n") + 1
    if end == 0:
        # No line feed at all: lone carriage returns; one at the very end may be half of CR LF.
        end = data.rfind(b"\r", 0, len(data) - 1) + 1 if data else 0
    return end


def _last_quoted_record_end(data: bytes, delimiter: int, *, last: bool) -> int | None:
    """As `_last_record_end` where quotes pair up by RFC 4180; None where they do not."""
    codes = np.frombuffer(data, np.uint8)
    quotes = _positions(memoryview(data), QUOTE)
    if not _pair_up(codes, quotes, delimiter, last=last):
        return None
    if last:
        return len(data)
    for line_end in (b"\n", b"\r"):
        stop = data.rfind(line_end, 0, len(data) - (line_end == b"\r"))
        for _ in range(_FIELDS_LOOKED_BACK):
            if stop < 0:
                break
            inside = int(np.searchsorted(quotes, stop))
            if inside % 2 == 0:
                return stop + 1
            # Inside a quoted field: no record ends behind its opening quote.
            stop = data.rfind(line_end, 0, int(quotes[inside - 1]))
        if stop >= 0:
            stops = np.flatnonzero(codes[: stop + 1] == line_end[0])
            outside = stops[np.searchsorted(quotes, stops) % 2 == 0]
            if len(outside):
                return int(outside[-1]) + 1
    return 0


def _pair_up(
    codes: npt.NDArray[np.uint8], quotes: Positions, delimiter: int, *, last: bool
) -> bool:
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


class _Kind(enum.Enum):
    """How a record goes on from its start."""

    WELL_FORMED = enum.auto()
    MALFORMED = enum.auto()
    UNCLOSED = enum.auto()


class _End(NamedTuple):
    """What a record turns out to be, and where: behind its line end, at the first byte that is
    wrong, or at the end of the data, in an open quote."""

    kind: _Kind
    stop: int


class _Ends:
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
        self._last = _End(_Kind.WELL_FORMED, 0)

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

    def of_record(self, start: int) -> _End:
        """The end of the record at `start`; records are asked for from left to right."""
        data = self._data
        if start < self._last.stop:
            line = _line_end(data, start)
            if line is not None and line < self._last.stop:
                text_end = line - _line_end_bytes(data, line)
                if self._well_formed.match(data, start, text_end):
                    return _End(_Kind.WELL_FORMED, line)
                wrong = self._malformed.match(data, start, text_end)
                return _End(_Kind.MALFORMED, wrong.end() - 1) if wrong else self._last
        good = self._well_formed.match(data, start)
        if good is not None:
            self._last = _End(_Kind.WELL_FORMED, good.end())
        elif wrong := self._malformed.match(data, start):
            self._last = _End(_Kind.MALFORMED, wrong.end() - 1)
        else:
            self._last = _End(_Kind.UNCLOSED, len(data))
        return self._last


@lru_cache
def _field(delimiter: bytes) -> re.Pattern[bytes]:
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


def _careful_spans(data: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
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


def _line_end_bytes(data: bytes, end: int) -> int:
    """Length of the line end before `end`: 2, 1, or 0 where there is none."""
    if data[end - 1] == LF:
        return 2 if data[end - 2 : end - 1] == b"\r" else 1
    return int(data[end - 1] == CR)


def _line_end(data: bytes, start: int) -> int | None:
    """Just behind the first line end at or after `start`; None where there is none yet."""
    feed = data.find(b"\n", start)
    lone = data.find(b"\r", start, None if feed < 0 else feed)
    if lone >= 0:
        if lone + 1 == len(data):
            return None
        return lone + 2 if data[lone + 1] == LF else lone + 1
    return feed + 1 if feed >= 0 else None
