r"""Split a stream of CSV bytes into chunks of whole records.

A record ends at `\n`, `\r\n` or a lone `\r` outside quotes (`kpi.csv.grammar`). A malformed
record, or one that is longer than allowed, ends at the first line end after its start, so that it
never costs its neighbours. Where records end depends on the stream alone, not on its blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

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
from kpi.csv.line_kinds import LineBounds, Stretch, classify_lines
from kpi.csv.line_limit import MAX_CHUNK_LINES
from kpi.csv.record_index import find_records
from kpi.csv.scan import find_rare_byte
from kpi.kernels.arrays import Positions

_RUN_BYTES = 2 * MAX_CHUNK_LINES
"""Bytes up to which well-formed records are skipped together: `MAX_CHUNK_LINES` of the shortest."""

MAX_LISTED_QUOTES = 10**7
"""Quotes whose offsets are listed, at 8 bytes each. A block has fewer; behind an unfinished record
there may be more."""

_LEAST_WINDOW_BYTES = 4096
"""Bytes of lines that are classified together where few of them are malformed."""

_MAX_SKIPPED_FIELDS = 64
"""Quoted fields with line ends that are skipped one by one; then all line ends are listed."""


class RecordSplitter:
    """Split a stream of blocks into chunks of whole records.

    Most blocks give one chunk. A block gives more where records have to be found one by one: each
    of these chunks has about `MAX_CHUNK_LINES` lines, however long the unfinished record was.

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

    def split(self, block: bytes, *, overlap: int = 0, last: bool = False) -> Iterator[Chunk]:
        """Yield the records that a block completes. Exhaust this before the next block.

        Args:
            block: The next bytes of the stream, after `overlap`.
            overlap: Bytes of the previous block's end that this one repeats. An unfinished record
                within them needs no copy.
            last: Whether the stream ends here, and with it the last record, line end or not.
        """
        if self._skipping is not None:
            yield from self._skip(self._rest + block[overlap:], last=last)
            return
        start = overlap - len(self._rest)
        if start >= 0:
            buffer = block
        else:
            buffer, start = self._rest + block[overlap:], 0
        chunk = self._split_at_once(buffer, start, last=last)
        if chunk is None:
            yield from self._split_carefully(buffer[start:], last=last)
        elif chunk.size:
            yield chunk

    def _split_at_once(self, buffer: bytes, start: int, *, last: bool) -> Chunk | None:
        """Cut `buffer[start:]` behind its last record.

        Returns:
            None where quotes do not pair up, are too many, or a record may be too long.
        """
        size = len(buffer) - start
        if size > MAX_LISTED_QUOTES < buffer.count(b'"', start):
            return None
        quotes = find_rare_byte(buffer, QUOTE, start, len(buffer))
        if not len(quotes):
            end: int | None = size if last else _last_record_end(buffer, start)
        else:
            end = _last_quoted_record_end(buffer, start, quotes, self._delimiter[0], last=last)
        if end is None:
            return None
        chunk = Chunk(
            buffer=buffer,
            start=start,
            stop=start + end,
            offset=self._offset,
            quotes_pair_up=True,
            few_quotes=copy_if_few(quotes[: np.searchsorted(quotes, end)]),
        )
        if size > self._limit and (size - end > self._limit or self._has_long_record(chunk)):
            return None
        self._rest = buffer[start + end :]
        self._offset += end
        return chunk

    def _has_long_record(self, chunk: Chunk) -> bool:
        records = find_records(chunk, delimiter=self._delimiter.decode())
        return len(records) > 0 and int(records.lengths.max()) > self._limit

    def _split_carefully(self, data: bytes, *, last: bool) -> Iterator[Chunk]:
        """Split record by record, where quotes do not pair up or a record may be too long."""
        finder = RecordEndFinder(data, self._delimiter)
        part = _Part(self._offset, 0, self._delimiter.decode())
        start, size = 0, len(data)
        # A carriage return at the very end may be a line end: no part of the record.
        text_end = size - data.endswith(b"\r")
        window = _LEAST_WINDOW_BYTES
        while start < size:
            if part.lines >= MAX_CHUNK_LINES:
                yield part.chunk(data, start)
                part = _Part(self._offset, start, self._delimiter.decode())
            run = finder.skip_well_formed(start, start + min(self._limit, _RUN_BYTES))
            if run > start:
                part.lines += max(data.count(b"\n", start, run), data.count(b"\r", start, run))
                start = run
                continue
            stretch = classify_lines(
                data,
                start,
                min(start + window, size),
                delimiter=self._delimiter,
                limit=self._limit,
                open_stop=finder.open_stop(
                    limit=self._limit, whole_stop=size if last else text_end - self._limit
                ),
            )
            window = _next_window(window, stretch)
            if stretch.lines:
                part.add_lines(data, stretch.malformed, self._limit)
                part.lines += stretch.lines - len(stretch.malformed)
                start = stretch.stop
                continue
            found = finder.find_end(start)
            if (
                found.kind is RecordKind.WELL_FORMED
                and (found.stop < size or last or data[size - 1] == LF)
                and found.stop - start - line_end_bytes(data, found.stop) <= self._limit
            ):
                part.lines += 1
                start = found.stop
                continue
            end = end_of_line(data, start)
            unfinished = end is None or found.kind is not RecordKind.MALFORMED
            if unfinished and not last and text_end - start <= self._limit:
                break
            if end is None:
                if not last:
                    # The line of the malformed record goes on: skip it as it arrives.
                    yield from part.rest(data, start)
                    self._offset += start
                    yield from self._skip(data[start:], last=False)
                    return
                end = size
            part.add_line(data, start, end, self._limit)
            start = end
        yield from part.rest(data, start)
        self._rest = data[start:]
        self._offset += start

    def _skip(self, data: bytes, *, last: bool) -> Iterator[Chunk]:
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
            return
        self._skipping = None
        yield Chunk.of(b"", offset=self._offset, malformed=(skipping,))
        self._offset += end
        self._rest = b""
        yield from self.split(data[end:], last=last)


class _Part:
    """Consecutive records that were found one by one, until there are enough for a chunk.

    Attributes:
        lines: Number of their lines, about.
    """

    def __init__(self, stream_offset: int, start: int, delimiter: str) -> None:
        self._stream_offset = stream_offset
        self._start = start
        self._delimiter = delimiter
        self._malformed: list[Malformed] = []
        self._blanks: list[tuple[int, int]] = []
        self.lines = 0

    def add_line(self, data: bytes, start: int, end: int, limit: int) -> None:
        """Add the malformed record `data[start:end]`; its raw bytes end at the limit."""
        text = end - line_end_bytes(data, end)
        self.add_lines(data, LineBounds(*np.array([[start], [text], [end]])), limit)

    def add_lines(self, data: bytes, lines: LineBounds, limit: int) -> None:
        """Add lines that are malformed records each."""
        if not len(lines):
            return
        bounds = zip(lines.starts.tolist(), lines.texts.tolist(), strict=True)
        raws = [data[start:end] for start, end in bounds]
        offsets = (lines.starts + self._stream_offset).tolist()
        self._malformed += map(Malformed, offsets, raws, repeat(Reason.MALFORMED_QUOTES))
        for at in np.flatnonzero(lines.texts - lines.starts > limit) - len(raws):
            offset, raw, _ = self._malformed[at]
            self._malformed[at] = Malformed(offset, raw[:limit], Reason.RECORD_TOO_LONG)
        first = np.append(True, lines.starts[1:] != lines.ends[:-1])
        last = np.append(first[1:], True)
        self._blanks += zip(lines.starts[first].tolist(), lines.ends[last].tolist(), strict=True)
        self.lines += len(raws)

    def rest(self, data: bytes, stop: int) -> Iterator[Chunk]:
        """Yield the chunk, unless it is empty."""
        if stop > self._start:
            yield self.chunk(data, stop)

    def chunk(self, data: bytes, stop: int) -> Chunk:
        """Return the records up to offset `stop` of the data, in which malformed ones are blank."""
        blanked = bytearray(memoryview(data)[self._start : stop])
        for start, end in self._blanks:
            blanked[start - self._start : end - self._start] = b"\n" * (end - start)
        return Chunk.of(
            bytes(blanked),
            offset=self._stream_offset + self._start,
            malformed=tuple(self._malformed),
            delimiter=self._delimiter,
        )


def _next_window(window: int, stretch: Stretch) -> int:
    """Choose how many bytes to classify next: more where many lines were malformed.

    Lines that are looked at without being classified are looked at once more. So a window that was
    used by less than half is the least one again, and all bytes are looked at a few times at most.
    """
    if stretch.is_whole and 8 * len(stretch.malformed) >= stretch.lines:
        return min(2 * window, _RUN_BYTES)
    return _LEAST_WINDOW_BYTES


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
