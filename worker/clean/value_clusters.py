"""Bound the values of a column by clusters, so that a few outliers do not widen the bounds.

The range of a column with one mistyped id covers everything between. It prunes nothing, so a range
is split where a gap is wider than the rest of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels import digits
from kpi.kernels.arrays import Int64s

MAX_CLUSTERS = 4
"""Clusters of a column in a row group: one of right values, and three kinds of mistake."""

SAMPLE_STRIDE_VALUES = 64
"""Distance of the values sampled before all are looked at."""

MAX_DIGITS = 18
"""Digits of a text up to which it is a 64-bit integer whatever they are."""


class ValueCluster(NamedTuple):
    """Bounds of some values of a column, and how many there are."""

    low: int
    high: int
    rows: int


def value_clusters(values: Int64s) -> list[ValueCluster]:
    """Split values into disjoint clusters, ascending, at most `MAX_CLUSTERS`.

    Args:
        values: In any order.
    """
    if len(values) == 0:
        return []
    low, high = int(values.min()), int(values.max())
    # A sample only has wider gaps: without one there, there is none at all.
    if _split_at_gap(values[::SAMPLE_STRIDE_VALUES], low, high) is None:
        return [ValueCluster(low, high, len(values))]
    found: list[ValueCluster] = []
    left = [values]
    while left:
        some = left.pop()
        low, high = int(some.min()), int(some.max())
        may_split = len(found) + len(left) + 1 < MAX_CLUSTERS
        parts = _split_at_gap(some, low, high) if may_split else None
        if parts is None:
            found.append(ValueCluster(low, high, len(some)))
        else:
            left += parts
    return sorted(found)


def _split_at_gap(values: Int64s, low: int, high: int) -> list[Int64s] | None:
    """Split values at a gap wider than half of their range; None without one."""
    # Such a gap holds the middle of the range.
    below = values <= (low + high) // 2
    parts = [values[below], values[~below]]
    before = int(parts[0].max(initial=low))
    after = int(parts[1].min(initial=high))
    return parts if 2 * (after - before) > high - low else None


def whole_numbers(column: pa.ChunkedArray) -> Int64s:
    """Return the texts of a column as the numbers that they are; none where one is another text.

    They have neither sign nor leading zero, and up to 18 digits.
    """
    parts = []
    for chunk in column.chunks:
        texts = chunk.drop_null() if chunk.null_count else chunk
        good, numbers = digits.whole_numbers(texts)
        if not good.all():
            numbers = _longer_numbers(texts)
            if not len(numbers):
                return numbers
        parts.append(numbers)
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _longer_numbers(texts: pa.Array) -> Int64s:
    """Return texts as the numbers that they are, up to 18 digits long; none where one is not."""
    sizes = pc.min_max(pc.binary_length(texts)).as_py()
    if sizes["min"] < 1 or sizes["max"] > MAX_DIGITS:
        return np.zeros(0, np.int64)
    is_number = pc.and_(pc.utf8_is_decimal(texts), pc.string_is_ascii(texts))
    leads = pc.and_(pc.starts_with(texts, "0"), pc.not_equal(texts, "0"))
    if not pc.all(is_number).as_py() or pc.any(leads).as_py():
        return np.zeros(0, np.int64)
    return texts.cast(pa.int64()).to_numpy()
