"""Byte offsets of the records of a chunk: of all, or of a few by number or content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kpi.csv.chunk import Chunk
from kpi.csv.grammar import CR, LF, record_spans
from kpi.csv.newline_index import NewlineIndex
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.fixed_point import distinct


@dataclass(frozen=True)
class RecordBounds:
    """Where some records lie within their chunk, line ends excluded; ascending.

    Attributes:
        starts: Offset of each record's first byte.
        ends: Offset behind its last byte.
    """

    starts: Positions
    ends: Positions

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.starts)

    def __getitem__(self, which: Positions | Mask | slice) -> RecordBounds:
        """Return some of the records, by index or mask."""
        return RecordBounds(self.starts[which], self.ends[which])

    @property
    def lengths(self) -> Positions:
        return self.ends - self.starts

    def pairs(self) -> list[tuple[int, int]]:
        """Start and end of each record."""
        return list(zip(self.starts.tolist(), self.ends.tolist(), strict=True))


class RecordIndex:
    """Find a few records of a chunk, by newlines where possible, else by a list of all.

    By newlines, blank lines have numbers too, though they are no records. `numbered` returns an
    index without that fault.
    """

    def __init__(self, chunk: Chunk, *, delimiter: str = ",", by_newlines: bool = True) -> None:
        self._chunk = chunk
        self._delimiter = delimiter
        self._by_newlines = by_newlines

    def numbered(self, record_count: int) -> RecordIndex:
        """Return an index whose record numbers are right.

        Checking for blank lines would cost as much as building the index. A parser knows the number
        of records anyway: the newlines are as many exactly where no line is blank.

        Args:
            record_count: Number of records as a parser counts them.
        """
        if self._lines is None or len(self) == record_count:
            return self
        return RecordIndex(self._chunk, delimiter=self._delimiter, by_newlines=False)

    def __len__(self) -> int:
        """Return the number of records."""
        if self._lines is None:
            return len(self.records)
        return len(self._lines) + int(self._chunk.codes[-1] != LF)

    def bounds(self, numbers: Positions) -> RecordBounds:
        """Find the records with some numbers, counted from 0."""
        lines = self._lines
        if lines is None:
            return self.records[numbers]
        # The first has no line feed before it; the last may have none behind it.
        around = np.concatenate([numbers - 1, numbers])
        last = len(lines) - 1
        before, behind = np.split(lines.select(np.clip(around, 0, last)), 2)
        return RecordBounds(
            np.where(numbers > 0, before + 1, 0),
            np.where(numbers <= last, behind, self._chunk.size),
        )

    def numbers_at(self, places: Positions) -> Positions:
        """Find the distinct numbers of the records that hold some bytes, none of a line end."""
        if self._lines is not None:
            return distinct(self._lines.rank(places))
        numbers = distinct(np.searchsorted(self.records.starts, places, side="right") - 1)
        return numbers[numbers >= 0]

    def count_before(self, places: Positions) -> Positions:
        """Count the records that start before each offset."""
        return np.searchsorted(self.records.starts, places) if len(places) else places

    @cached_property
    def _lines(self) -> NewlineIndex | None:
        return _newlines_of_records(self._chunk) if self._by_newlines else None

    @cached_property
    def records(self) -> RecordBounds:
        """All records; blank lines are none."""
        return find_records(self._chunk, delimiter=self._delimiter)


def _newlines_of_records(chunk: Chunk) -> NewlineIndex | None:
    """Index the line feeds of a chunk in which each line is surely a record or blank; else None."""
    if not chunk.quotes_pair_up or chunk.few_quotes is None or chunk.malformed:
        return None
    lines = NewlineIndex(chunk)
    if lines.has_carriage_returns or not len(lines):
        return None
    before = lines.rank(chunk.few_quotes)
    return None if (before[0::2] != before[1::2]).any() else lines


def find_records(chunk: Chunk, *, delimiter: str = ",") -> RecordBounds:
    """Find all records of a chunk; blank lines, which parsers skip, are left out."""
    codes = chunk.codes
    size = len(codes)
    if not chunk.quotes_pair_up:
        starts, ends = record_spans(bytes(chunk.data), delimiter.encode())
        feed = codes[ends - 1] == LF
        ends = ends - feed
        ends = ends - ((ends > starts) & (codes[ends - 1] == CR))
        records = RecordBounds(starts, ends)
        return records[ends > starts]
    stops = np.flatnonzero(codes == LF)
    returns = chunk.find(CR)
    if len(returns):
        following = np.minimum(returns + 1, size - 1)
        lone = returns[(codes[following] != LF) | (returns + 1 >= size)]
        stops = np.sort(np.concatenate([stops, lone]))
    if not chunk.has_no_quotes:
        stops = stops[np.searchsorted(chunk.quotes, stops) % 2 == 0]
    if size and (len(stops) == 0 or stops[-1] != size - 1):
        stops = np.append(stops, size)
    starts, ends = np.zeros(len(stops), np.int64), stops
    np.add(stops[:-1], 1, out=starts[1:])
    if len(returns):
        crlf = (ends > starts) & (ends < size)
        crlf[crlf] = (codes[ends[crlf]] == LF) & (codes[ends[crlf] - 1] == CR)
        ends = ends - crlf
    filled = ends > starts
    records = RecordBounds(starts, ends)
    return records if filled.all() else records[filled]
