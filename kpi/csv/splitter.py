"""Where records end in a stream of CSV bytes, so that chunks of whole records can be parsed apart.

A record ends at `\\n`, `\\r\\n` or a lone `\\r` outside quotes (`kpi.csv.grammar`). A
malformed record, or one that is longer than allowed, ends at the first line end after its start, so
that it never costs its neighbours. Where records end depends on the stream alone, not on how it
was cut into blocks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Chunk, Malformed, few
from kpi.csv.grammar import (
    LF,
    QUOTE,
    Ends,
    Kind,
    end_of_line,
    line_end_bytes,
    pair_up,
)
from kpi.csv.record_index import record_starts
from kpi.csv.scan import positions_of, whole_of
from kpi.kernels.arrays import Positions

_FIELDS_LOOKED_BACK = 64
"""Quoted fields with line ends that are passed over one by one before all are looked at."""


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

    @property
    def unfinished_bytes(self) -> int:
        """Length, so far, of the record that the next block goes on with."""
        return len(self._rest)

    def push(self, block: bytes, *, again: int = 0, last: bool = False) -> Chunk | None:
        """The records that `block` completes; None where it completes none.

        Args:
            block: The next bytes of the stream.
            again: So many that the block before ended with, at its beginning: where an unfinished
                record lies in them it goes on here, and need not be joined.
            last: True for the final block: what is left then is the final record, line end or not.
        """
        if self._skipping is not None:
            return self._skip(self._rest + block[again:], last=last)
        begin = again - len(self._rest)
        data = memoryview(block)[begin:] if begin >= 0 else memoryview(self._rest + block[again:])
        quotes = positions_of(data, QUOTE)
        if not len(quotes):
            end: int | None = len(data) if last else _last_record_end(data)
        else:
            end = _last_quoted_record_end(data, quotes, self._delimiter[0], last=last)
        if end is None:
            return self._take_carefully(bytes(data), last=last)
        chunk = Chunk(
            data=data[:end],
            offset=self._offset,
            paired=True,
            few_quotes=few(quotes[: np.searchsorted(quotes, end)]),
        )
        if len(data) > self._limit and (
            len(data) - end > self._limit or self._has_long_record(chunk)
        ):
            return self._take_carefully(bytes(data), last=last)
        self._rest = bytes(data[end:])
        self._offset += end
        return chunk if end else None

    def _has_long_record(self, chunk: Chunk) -> bool:
        starts, ends = record_starts(chunk, delimiter=self._delimiter.decode())
        return len(starts) > 0 and int((ends - starts).max()) > self._limit

    def _take(self, data: bytes, end: int, malformed: tuple[Malformed, ...]) -> Chunk | None:
        """The records up to `end`, of which some are blanked; what follows is kept for later."""
        offset = self._offset
        self._rest = data[end:]
        self._offset += end
        if end == 0 and not malformed:
            return None
        return Chunk.of(
            data[:end], offset=offset, malformed=malformed, delimiter=self._delimiter.decode()
        )

    def _take_carefully(self, data: bytes, *, last: bool) -> Chunk | None:
        """Record by record, for quotes that do not pair up as RFC 4180 has it."""
        ends = Ends(data, self._delimiter)
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
                found.kind is Kind.WELL_FORMED
                and (found.stop < size or last or data[size - 1] == LF)
                and found.stop - start - line_end_bytes(data, found.stop) <= self._limit
            ):
                start = found.stop
                continue
            end = end_of_line(data, start)
            unfinished = end is None or found.kind is not Kind.MALFORMED
            if unfinished and not last and text_end - start <= self._limit:
                break
            if end is None:
                if not last:
                    # The line of the malformed record goes on: pass over it as it arrives.
                    chunk = self._take(bytes(blanked), start, tuple(malformed))
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
        chunk = self._take(bytes(blanked), start, tuple(malformed))
        self._rest = rest
        return chunk

    def _skip(self, data: bytes, *, last: bool) -> Chunk | None:
        """Pass over a record that is longer than allowed, keeping the beginning of it."""
        skipping = self._skipping or Malformed(
            offset=self._offset, raw=data[: self._limit], reason=Reason.RECORD_TOO_LONG
        )
        end = end_of_line(data, 0)
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
            return Chunk.of(b"", offset=offset, malformed=(skipping,))
        return replace(following, malformed=(skipping, *following.malformed))


def _last_record_end(data: memoryview) -> int:
    """Bytes up to and with the last line end; without quotes every line end ends a record."""
    whole, first = whole_of(data)
    stop = first + len(data)
    end = whole.rfind(b"\n", first, stop)
    if end < 0:
        # No line feed at all: lone carriage returns; one at the very end may be half of CR LF.
        end = whole.rfind(b"\r", first, max(stop - 1, first))
    return end + 1 - first if end >= 0 else 0


def _last_quoted_record_end(
    data: memoryview, quotes: Positions, delimiter: int, *, last: bool
) -> int | None:
    """As `_last_record_end` where quotes pair up by RFC 4180; None where they do not."""
    codes = np.frombuffer(data, np.uint8)
    if not pair_up(codes, quotes, delimiter, last=last):
        return None
    if last:
        return len(data)
    whole, first = whole_of(data)
    for line_end in (b"\n", b"\r"):
        stop = len(data) - (line_end == b"\r")
        for _ in range(_FIELDS_LOOKED_BACK):
            stop = whole.rfind(line_end, first, first + stop) - first
            if stop < 0:
                break
            inside = int(np.searchsorted(quotes, stop))
            if inside % 2 == 0:
                return stop + 1
            # Inside a quoted field: no record ends behind its opening quote.
            stop = int(quotes[inside - 1])
        else:
            stops = np.flatnonzero(codes[:stop] == line_end[0])
            outside = stops[np.searchsorted(quotes, stops) % 2 == 0]
            if len(outside):
                return int(outside[-1]) + 1
    return 0
