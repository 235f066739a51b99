"""Bounds of order ids: as texts, and as numbers where all of them are whole numbers.

As texts, 1000 lies between 10 and 11: the bounds of one day's ids would hold those of any year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.kernels.keys import Keys
from worker.clean.value_clusters import value_clusters, whole_numbers
from worker.state.entry import Interval
from worker.transform.intervals import IntervalSet, value_interval


@dataclass(frozen=True, kw_only=True)
class IdBounds:
    """Bounds of some ids.

    Attributes:
        texts: From the least to the greatest text.
        numbers: Clusters of them as numbers; empty where one is none.
    """

    texts: Interval
    numbers: Sequence[Interval]


def id_bounds(ids: pa.ChunkedArray, keys: Keys) -> IdBounds:
    """Find the bounds of some ids, one at least, from their texts and their keys."""
    are_numbers = keys.integers is not None and bool(keys.integers.all())
    clusters = value_clusters(keys.high.view(np.int64) if are_numbers else whole_numbers(ids))
    return IdBounds(
        texts=value_interval(ids),
        numbers=[Interval(low=one.low, high=one.high) for one in clusters],
    )


def union_of(bounds: Sequence[IdBounds]) -> IntervalSet:
    """Return the set of ids within some bounds."""
    numbers = None
    if bounds and all(one.numbers for one in bounds):
        numbers = IntervalSet(interval for one in bounds for interval in one.numbers)
    return IntervalSet((one.texts for one in bounds), numbers)
