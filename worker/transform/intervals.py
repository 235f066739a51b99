"""Intervals of a column's values: what is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.arrays import Mask
from kpi.kernels.masks import true, valid
from kpi.kernels.uuids import format_uuid
from worker.state.entry import Range


def value_range(values: pa.Array | pa.ChunkedArray) -> Range:
    """Range of one or more integers, UUIDs (as texts) or texts."""
    extremes = pc.min_max(values)
    low, high = (extremes[name].as_py() for name in ("min", "max"))
    if isinstance(low, bytes):
        low, high = format_uuid(low), format_uuid(high)
    return Range(low=low, high=high)


FEW_INTERVALS = 50
"""Up to so many are compared with all texts at once, each in a hundredth of the time that it takes
to compare every text with all of them one by one."""


class Spans:
    """Values from some lows to their highs, all integers or all texts; or every value.

    Iterating over them gives disjoint intervals, ascending.

    Args:
        ranges: The intervals, in any order; None for one that is not known, and so for every value.
    """

    def __init__(self, ranges: Iterable[Range | None]) -> None:
        found = list(ranges)
        known = [one for one in found if one is not None]
        self._every = len(known) < len(found)
        self._lows: list[Any] = []
        self._highs: list[Any] = []
        for one in sorted(known, key=lambda span: span.low):
            if self._highs and one.low <= self._highs[-1]:
                self._highs[-1] = max(self._highs[-1], one.high)
            else:
                self._lows.append(one.low)
                self._highs.append(one.high)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return zip(self._lows, self._highs, strict=True)

    def meet(self, found: Range | None) -> bool:
        """Whether a value may lie in both; `found` as an element of `ranges`."""
        if self._every or not self._lows:
            return self._every
        if found is None:
            return True
        if type(found.low) is not type(self._lows[0]):
            return True  # of another contract: opening the object says so
        at = bisect_right(self._lows, found.high)
        return at > 0 and bool(found.low <= self._highs[at - 1])

    def meet_each(self, lows: pa.Array, highs: pa.Array) -> Mask:
        """As `meet`, of many at once: integers or texts, null where one is not known."""
        if self._every or not self._lows:
            return np.full(len(lows), self._every)
        integers = pa.types.is_integer(lows.type)
        if integers is not isinstance(self._lows[0], int):
            return np.ones(len(lows), bool)
        if not integers:
            return self._meet_texts(lows, highs)
        low, high = (one.fill_null(0).to_numpy() for one in (lows, highs))
        at = np.searchsorted(np.array(self._lows), high, side="right")
        met = (at > 0) & (low <= np.array(self._highs)[at - 1])
        return met | ~valid(lows)

    def _meet_texts(self, lows: pa.Array, highs: pa.Array) -> Mask:
        if len(self._lows) > FEW_INTERVALS:
            both = zip(_some_at_a_time(lows), _some_at_a_time(highs), strict=True)
            ranges = (None if low is None else Range(low=low, high=high) for low, high in both)
            return np.fromiter(map(self.meet, ranges), bool, len(lows))
        met = ~valid(lows)
        for low, high in self:
            # Their bytes in UTF-8 are in the same order as the texts.
            met |= true(pc.and_(pc.less_equal(lows, high), pc.greater_equal(highs, low)))
        return met

    def cluster(self, found: Range | None) -> int:
        """The number, from 0, of the disjoint interval that an element of `ranges` lies in; 0 for
        all where one of them is every value."""
        if self._every or found is None:
            return 0
        return bisect_right(self._lows, found.low) - 1


def _some_at_a_time(values: pa.Array) -> Iterator[Any]:
    """As Python objects, which take much more memory, a few at a time."""
    for at in range(0, len(values), 1000):
        yield from values.slice(at, 1000).to_pylist()
