"""Sets of intervals of a column's values, and which of many intervals intersect them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.arrays import Mask
from kpi.kernels.masks import true, valid
from kpi.kernels.uuids import UUID, format_uuid, format_uuids
from worker.clean.value_clusters import value_clusters
from worker.state.entry import Interval

VECTOR_COMPARE_INTERVALS = 50
"""Largest set whose intervals are each compared with all texts at once. One such comparison costs a
hundredth of comparing each text with the whole set by bisection."""

PYTHON_TEXTS = 1_000
"""Texts converted to Python objects at once: as objects they take several times the memory."""


def value_interval(values: pa.Array | pa.ChunkedArray) -> Interval:
    """Return the smallest interval that holds one or more integers, UUIDs or texts.

    The bounds of UUIDs are their texts.
    """
    extremes = pc.min_max(values)
    low, high = (extremes[name].as_py() for name in ("min", "max"))
    if isinstance(low, bytes):
        low, high = format_uuid(low), format_uuid(high)
    return Interval(low=low, high=high)


def value_set(values: pa.Array, max_points: int) -> IntervalSet:
    """Return intervals that hold some distinct integers, UUIDs or texts, as tight as is cheap.

    Args:
        values: The values, without null.
        max_points: Values up to which each is an interval of its own. More of them are held by
            clusters where they are integers, else by the interval from the smallest to the largest.
    """
    if len(values) == 0:
        return IntervalSet([])
    if len(values) <= max_points:
        if values.type == UUID:
            values = format_uuids(pa.chunked_array([values])).combine_chunks()
        return IntervalSet(Interval(low=one, high=one) for one in values.to_pylist())
    if pa.types.is_integer(values.type):
        clusters = value_clusters(values.to_numpy())
        return IntervalSet(Interval(low=one.low, high=one.high) for one in clusters)
    return IntervalSet([value_interval(values)])


class IntervalSet:
    """Union of closed intervals of integers or of texts; or the set of all values.

    Iterating yields the disjoint intervals in ascending order.

    Attributes:
        numbers: The same values as numbers, where they are texts of whole numbers; else None.

    Args:
        intervals: The intervals in any order. None is an unknown interval, so that the set holds
            every value.
        numbers: Value of the attribute.
    """

    def __init__(
        self, intervals: Iterable[Interval | None], numbers: IntervalSet | None = None
    ) -> None:
        self.numbers = numbers
        given = list(intervals)
        known = [interval for interval in given if interval is not None]
        self._holds_all = len(known) < len(given)
        self._lows: list[Any] = []
        self._highs: list[Any] = []
        for interval in sorted(known, key=lambda one: one.low):
            if self._highs and interval.low <= self._highs[-1]:
                self._highs[-1] = max(self._highs[-1], interval.high)
            else:
                self._lows.append(interval.low)
                self._highs.append(interval.high)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return zip(self._lows, self._highs, strict=True)

    def intersects(self, interval: Interval | None) -> bool:
        """Return whether an interval may share a value with the set; None may share any."""
        if self._holds_all or not self._lows:
            return self._holds_all
        if interval is None:
            return True
        if type(interval.low) is not type(self._lows[0]):
            return True  # Cleaned with another contract: opening the file reports it.
        at = bisect_right(self._lows, interval.high)
        return at > 0 and bool(interval.low <= self._highs[at - 1])

    def intersects_each(self, lows: pa.Array, highs: pa.Array) -> Mask:
        """Apply `intersects` to many intervals, given as integers or texts; null is unknown."""
        if self._holds_all or not self._lows:
            return np.full(len(lows), self._holds_all)
        integers = pa.types.is_integer(lows.type)
        if integers is not isinstance(self._lows[0], int):
            return np.ones(len(lows), bool)
        if not integers:
            return self._texts_intersect(lows, highs)
        low, high = (bounds.fill_null(0).to_numpy() for bounds in (lows, highs))
        at = np.searchsorted(np.array(self._lows), high, side="right")
        return (at > 0) & (low <= np.array(self._highs)[at - 1]) | ~valid(lows)

    def _texts_intersect(self, lows: pa.Array, highs: pa.Array) -> Mask:
        if len(self._lows) > VECTOR_COMPARE_INTERVALS:
            bounds = zip(_as_objects(lows), _as_objects(highs), strict=True)
            intervals = (
                None if low is None else Interval(low=low, high=high) for low, high in bounds
            )
            return np.fromiter(map(self.intersects, intervals), bool, len(lows))
        found = ~valid(lows)
        for low, high in self:
            # Arrow compares UTF-8 bytes, which sort as code points do, and so as Python's texts.
            found |= true(pc.and_(pc.less_equal(lows, high), pc.greater_equal(highs, low)))
        return found

    def position(self, interval: Interval | None) -> int:
        """Return the position of the disjoint interval that holds one of the given intervals.

        It is 0 for all of them where one was unknown.
        """
        if self._holds_all or interval is None:
            return 0
        return bisect_right(self._lows, interval.low) - 1


def _as_objects(values: pa.Array) -> Iterator[Any]:
    """Yield the values as Python objects, converting `PYTHON_TEXTS` at a time."""
    for start in range(0, len(values), PYTHON_TEXTS):
        yield from values.slice(start, PYTHON_TEXTS).to_pylist()
