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

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kpi.reasons import Reason

LF, CR, QUOTE = 10, 13, 34

Positions = npt.NDArray[np.int64]


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
        data: The bytes, a view of the block read where that is possible; malformed records in
            them are blanked by line feeds, which parsers skip.
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
        good, bad = _patterns(self._delimiter)
        blanked = bytearray(data)
        malformed: list[Malformed] = []
        start, size = 0, len(data)
        while start < size:
            match = good.match(data, start)
            if (
                match is not None
                and (match.end() < size or last or data[size - 1] == LF)
                and len(match.group().rstrip(b"\r\n")) <= self._limit
            ):
                start = match.end()
                continue
            end = _line_end(data, start)
            unfinished = end is None or bad.match(data, start) is None
            if unfinished and not last and size - start <= self._limit:
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
    quotes = np.flatnonzero(codes == QUOTE) if not chunk.plain else np.zeros(0, np.int64)
    if not chunk.plain and not _pair_up(codes, quotes, ord(delimiter), last=True):
        spans = list(_careful_spans(bytes(data), delimiter.encode()))
        starts = np.array([start for start, _ in spans], np.int64)
        ends = np.array([end for _, end in spans], np.int64)
        return starts, ends
    stops = np.flatnonzero(codes == LF)
    lone = np.flatnonzero(codes == CR)
    if len(lone):
        following = np.minimum(lone + 1, len(data) - 1)
        lone = lone[(codes[following] != LF) | (lone + 1 >= len(data))]
        stops = np.sort(np.concatenate([stops, lone]))
    if not chunk.plain:
        stops = stops[np.searchsorted(quotes, stops) % 2 == 0]
    if len(data) and (len(stops) == 0 or stops[-1] != len(data) - 1):
        stops = np.append(stops, len(data))
    starts = np.concatenate([np.zeros(1, np.int64), stops[:-1] + 1])[: len(stops)]
    ends = stops.astype(np.int64)
    crlf = (ends > starts) & (ends < len(data))
    crlf[crlf] = (codes[ends[crlf]] == LF) & (codes[ends[crlf] - 1] == CR)
    ends = ends - crlf
    filled = ends > starts
    return starts[filled], ends[filled]


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
    quotes = np.flatnonzero(codes == QUOTE)
    if not _pair_up(codes, quotes, delimiter, last=last):
        return None
    if last:
        return len(data)
    for line_end in (b"\n", b"\r"):
        stop = data.rfind(line_end, 0, len(data) - (line_end == b"\r"))
        while stop >= 0:
            inside = int(np.searchsorted(quotes, stop))
            if inside % 2 == 0:
                return stop + 1
            # Inside a quoted field: no record ends behind its opening quote.
            stop = data.rfind(line_end, 0, int(quotes[inside - 1]))
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


@lru_cache
def _patterns(delimiter: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """A well-formed record with its line end, and the beginning of a malformed one."""
    comma = re.escape(delimiter)
    quoted = rb'"(?:[^"]++|"")*+"'
    bare = rb'(?!")[^' + comma + rb"\r\n]*+"
    field = rb"(?:" + quoted + rb"|" + bare + rb")"
    good = field + rb"(?:" + comma + field + rb")*+(?:\r\n|\n|\r|\Z)"
    bad = rb"(?:" + field + comma + rb")*+" + quoted + rb"[^" + comma + rb'\r\n"]'
    return re.compile(good), re.compile(bad)


def _careful_spans(data: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
    good, _ = _patterns(delimiter)
    start = 0
    while start < len(data):
        match = good.match(data, start)
        if match is None:  # the splitter lets only well-formed records through
            raise AssertionError(f"a malformed record at byte {start} of a chunk")
        end = start + len(match.group().rstrip(b"\r\n"))
        if end > start:
            yield start, end
        start = match.end()


def _line_end(data: bytes, start: int) -> int | None:
    """Just behind the first line end at or after `start`; None where there is none yet."""
    feed = data.find(b"\n", start)
    lone = data.find(b"\r", start, None if feed < 0 else feed)
    if lone >= 0:
        if lone + 1 == len(data):
            return None
        return lone + 2 if data[lone + 1] == LF else lone + 1
    return feed + 1 if feed >= 0 else None
