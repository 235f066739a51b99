r"""Split a stream of CSV bytes into chunks of whole records.

A record ends at `\n`, `\r\n` or a lone `\r` outside quotes (`kpi.csv.grammar`). A malformed
record, or one that is longer than allowed, ends at the first line end after its start, so that it
never costs its neighbours. Where records end depends on the stream alone, not on its blocks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Chunk, Malformed, copy_if_few
from kpi.csv.grammar import (
    LF,
    QUOTE,
    RecordEndFinder,
    RecordKind,
    end_of_line,
    line_end_bytes,
    quotes_pair_up,
)
from kpi.csv.record_index import find_records
from kpi.csv.scan import find_rare_byte
from kpi.kernels.arrays import Positions

_MAX_SKIPPED_FIELDS = 64
"""Quoted fields with line ends that are skipped one by one; then all line ends are listed."""


class RecordSplitter:
    """Split a stream of blocks into chunks of whole records, at most one chunk per block.

    Memory: the block, and one unfinished record of at most `max_record_bytes`.
    """

    def __init__(self, *, delimiter: str = ",", max_record_bytes: int, offset: int = 0) -> None:
        self._delimiter = delimiter.encode()
        self._limit = max_record_bytes
        self._offset = offset
        self._rest = b""
        self._skipping: Malformed | None = None

    @property
    def unfinished_bytes(self) -> int:
        """Length, so far, of the record that the next block continues."""
        return len(self._rest)

    def push(self, block: bytes, *, overlap: int = 0, last: bool = False) -> Chunk | None:
        """Return the records that a block completes; None where it completes none.

        Args:
            block: The next bytes of the stream, after `overlap`.
            overlap: Bytes of the previous block's end that this one repeats. An unfinished record
                within them needs no copy.
            last: Whether the stream ends here, and with it the last record, line end or not.
        """
        if self._skipping is not None:
            return self._skip(self._rest + block[overlap:], last=last)
        start = overlap - len(self._rest)
        if start >= 0:
            buffer = block
        else:
            buffer, start = self._rest + block[overlap:], 0
        size = len(buffer) - start
        quotes = find_rare_byte(buffer, QUOTE, start, len(buffer))
        if not len(quotes):
            end: int | None = size if last else _last_record_end(buffer, start)
        else:
            end = _last_quoted_record_end(buffer, start, quotes, self._delimiter[0], last=last)
        if end is None:
            return self._take_carefully(buffer[start:], last=last)
        chunk = Chunk(
            buffer=buffer,
            start=start,
            stop=start + end,
            offset=self._offset,
            quotes_pair_up=True,
            few_quotes=copy_if_few(quotes[: np.searchsorted(quotes, end)]),
        )
        if size > self._limit and (size - end > self._limit or self._has_long_record(chunk)):
            return self._take_carefully(buffer[start:], last=last)
        self._rest = buffer[start + end :]
        self._offset += end
        return chunk if end else None

    def _has_long_record(self, chunk: Chunk) -> bool:
        records = find_records(chunk, delimiter=self._delimiter.decode())
        return len(records) > 0 and int(records.lengths.max()) > self._limit

    def _take(self, data: bytes, end: int, malformed: tuple[Malformed, ...]) -> Chunk | None:
        """Return the records up to `end`, in which malformed ones are blanked; keep the rest."""
        offset = self._offset
        self._rest = data[end:]
        self._offset += end
        if end == 0 and not malformed:
            return None
        return Chunk.of(
            data[:end], offset=offset, malformed=malformed, delimiter=self._delimiter.decode()
        )

    def _take_carefully(self, data: bytes, *, last: bool) -> Chunk | None:
        """Split record by record, where quotes do not pair up or a record may be too long."""
        finder = RecordEndFinder(data, self._delimiter)
        blanked = bytearray(data)
        malformed: list[Malformed] = []
        start, size = 0, len(data)
        # A carriage return at the very end may be a line end: no part of the record.
        text_end = size - data.endswith(b"\r")
        while start < size:
            run = finder.skip_well_formed(start, start + self._limit)
            if run > start:
                start = run
                continue
            found = finder.find_end(start)
            if (
                found.kind is RecordKind.WELL_FORMED
                and (found.stop < size or last or data[size - 1] == LF)
                and found.stop - start - line_end_bytes(data, found.stop) <= self._limit
            ):
                start = found.stop
                continue
            end = end_of_line(data, start)
            unfinished = end is None or found.kind is not RecordKind.MALFORMED
            if unfinished and not last and text_end - start <= self._limit:
                break
            if end is None:
                if not last:
                    # The line of the malformed record goes on: skip it as it arrives.
                    chunk = self._take(bytes(blanked), start, tuple(malformed))
                    skipped = self._skip(self._rest, last=False)
                    return chunk or skipped
                end = size
            malformed.append(self._malformed(data[start:end], self._offset + start))
            blanked[start:end] = b"\n" * (end - start)
            start = end
        rest = data[start:]
        chunk = self._take(bytes(blanked), start, tuple(malformed))
        self._rest = rest
        return chunk

    def _malformed(self, line: bytes, offset: int) -> Malformed:
        raw = line.rstrip(b"\r\n")
        is_too_long = len(raw) > self._limit
        reason = Reason.RECORD_TOO_LONG if is_too_long else Reason.MALFORMED_QUOTES
        return Malformed(offset=offset, raw=raw[: self._limit], reason=reason)

    def _skip(self, data: bytes, *, last: bool) -> Chunk | None:
        """Skip a record that is longer than allowed, and keep its beginning as a reject."""
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


def _last_record_end(buffer: bytes, first: int) -> int:
    """Find the end of the last record in `buffer[first:]`, which has no quotes; from `first`."""
    stop = len(buffer)
    end = buffer.rfind(b"\n", first, stop)
    if end < 0:
        # No line feed at all: lone carriage returns; one at the very end may be half of CR LF.
        end = buffer.rfind(b"\r", first, max(stop - 1, first))
    return end + 1 - first if end >= 0 else 0


def _last_quoted_record_end(
    buffer: bytes, first: int, quotes: Positions, delimiter: int, *, last: bool
) -> int | None:
    """Find the end of the last record in `buffer[first:]`, from `first`.

    Returns:
        None where quotes do not pair up as in RFC 4180.
    """
    codes = np.frombuffer(buffer, np.uint8)[first:]
    if not quotes_pair_up(codes, quotes, delimiter, last=last):
        return None
    if last:
        return len(codes)
    for line_end in (b"\n", b"\r"):
        stop = len(codes) - (line_end == b"\r")
        for _ in range(_MAX_SKIPPED_FIELDS):
            stop = buffer.rfind(line_end, first, first + stop) - first
            if stop < 0:
                break
            quotes_before = int(np.searchsorted(quotes, stop))
            if quotes_before % 2 == 0:
                return stop + 1
            # Inside a quoted field: no record ends behind its opening quote.
            stop = int(quotes[quotes_before - 1])
        else:
            stops = np.flatnonzero(codes[:stop] == line_end[0])
            outside = stops[np.searchsorted(quotes, stops) % 2 == 0]
            if len(outside):
                return int(outside[-1]) + 1
    return 0
