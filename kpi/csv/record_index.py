"""Where the records of a chunk lie: all of them, or some by their number."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from kpi.csv.chunk import Chunk
from kpi.csv.grammar import CR, LF, careful_spans
from kpi.csv.newline_index import LineFeeds
from kpi.csv.scan import positions_of
from kpi.kernels.arrays import Positions
from kpi.kernels.fixed_point import distinct


class Records:
    """Where the records of a chunk lie, for whoever asks for few of them.

    Where each line is a record only those are looked for; else all are, as by `record_starts`.

    Attributes:
        exact: Whether blank lines are surely not counted, which are no records. To see that there
            are none takes as long as the rest, but who parses the chunk knows how many records it
            has: as many as this has where there are none, else fewer.
    """

    def __init__(self, chunk: Chunk, *, delimiter: str = ",", exact: bool = True) -> None:
        """
        Args:
            chunk: The chunk.
            delimiter: Between its fields.
            exact: Whether it must be.
        """
        self._chunk = chunk
        self._delimiter = delimiter
        self._lines = None if exact else _lines(chunk)
        self.exact = self._lines is None

    def __len__(self) -> int:
        if self._lines is None:
            return len(self._all[0])
        return len(self._lines) + (self._chunk.data[-1] != LF)

    def spans(self, numbers: Positions) -> tuple[Positions, Positions]:
        """Starts and ends of the records that have some numbers, which count from 0."""
        lines = self._lines
        if lines is None:
            starts, ends = self._all
            return starts[numbers], ends[numbers]
        # The first has no line feed before it, the last one perhaps none behind it.
        around = np.concatenate([numbers - 1, numbers])
        last = len(lines) - 1
        before, behind = np.split(lines.select(np.clip(around, 0, last)), 2)
        return (
            np.where(numbers > 0, before + 1, 0),
            np.where(numbers <= last, behind, len(self._chunk.data)),
        )

    def holding(self, places: Positions) -> Positions:
        """Numbers of the records in which some bytes stand, none of them of a line end."""
        if self._lines is not None:
            return distinct(self._lines.rank(places))
        numbers = distinct(np.searchsorted(self._all[0], places, side="right") - 1)
        return numbers[numbers >= 0]

    def starting_before(self, places: Positions) -> Positions:
        """How many records start before each place."""
        return np.searchsorted(self._all[0], places) if len(places) else places

    @cached_property
    def _all(self) -> tuple[Positions, Positions]:
        return record_starts(self._chunk, delimiter=self._delimiter)


def _lines(chunk: Chunk) -> LineFeeds | None:
    """The line feeds of a chunk, if each line that they end is a record or blank; None where that
    is not sure, or blank lines are."""
    if not chunk.paired or chunk.few_quotes is None or chunk.malformed:
        return None
    lines = LineFeeds(chunk.data)
    if lines.beside_returns or not len(lines):
        return None
    before = lines.rank(chunk.few_quotes)
    return None if (before[0::2] != before[1::2]).any() else lines


def record_starts(chunk: Chunk, *, delimiter: str = ",") -> tuple[Positions, Positions]:
    """Where the records of a chunk lie.

    Returns:
        Starts and ends (line end excluded) within `chunk.data`, ascending; blank lines, which
        parsers skip, are left out.
    """
    data = chunk.data
    codes = np.frombuffer(data, np.uint8)
    if not chunk.paired:
        spans = list(careful_spans(bytes(data), delimiter.encode()))
        starts = np.array([start for start, _ in spans], np.int64)
        ends = np.array([end for _, end in spans], np.int64)
        return starts, ends
    stops = np.flatnonzero(codes == LF)
    returns = positions_of(data, CR)
    if len(returns):
        following = np.minimum(returns + 1, len(data) - 1)
        lone = returns[(codes[following] != LF) | (returns + 1 >= len(data))]
        stops = np.sort(np.concatenate([stops, lone]))
    if not chunk.plain:
        stops = stops[np.searchsorted(chunk.quotes, stops) % 2 == 0]
    if len(data) and (len(stops) == 0 or stops[-1] != len(data) - 1):
        stops = np.append(stops, len(data))
    starts, ends = np.zeros(len(stops), np.int64), stops
    np.add(stops[:-1], 1, out=starts[1:])
    if len(returns):
        crlf = (ends > starts) & (ends < len(data))
        crlf[crlf] = (codes[ends[crlf]] == LF) & (codes[ends[crlf] - 1] == CR)
        ends = ends - crlf
    filled = ends > starts
    return (starts, ends) if filled.all() else (starts[filled], ends[filled])
