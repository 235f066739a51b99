"""Order ids of a batch of days: one by one where few, else by bounds as texts and as numbers.

As texts, 1000 lies between 10 and 11: the bounds of one day's ids would hold those of any year.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from kpi.kernels.keys import Keys
from worker.clean.value_clusters import value_clusters, whole_numbers
from worker.state.entry import Interval
from worker.transform.intervals import IntervalSet, value_interval
from worker.transform.key_sets import KeySet


@dataclass(frozen=True, kw_only=True)
class IdBounds:
    """Bounds of some ids.

    Attributes:
        texts: From the least to the greatest text.
        numbers: Clusters of them as numbers; empty where one is none.
        ids: The ids themselves; None where they are not kept.
    """

    texts: Interval
    numbers: Sequence[Interval]
    ids: pa.ChunkedArray | None


def id_bounds(ids: pa.ChunkedArray, keys: Keys, *, keep: bool) -> IdBounds:
    """Find the bounds of some ids, one at least.

    Args:
        ids: Their texts.
        keys: Their keys.
        keep: Whether the ids themselves are kept: where they are few, and an index has them.
    """
    are_numbers = keys.integers is not None and bool(keys.integers.all())
    clusters = value_clusters(keys.high.view(np.int64) if are_numbers else whole_numbers(ids))
    return IdBounds(
        texts=value_interval(ids),
        numbers=[Interval(low=one.low, high=one.high) for one in clusters],
        ids=ids if keep else None,
    )


def union_of(bounds: Sequence[IdBounds], max_points: int) -> KeySet:
    """Return the set of ids within some bounds.

    Args:
        bounds: The bounds.
        max_points: Ids up to which each is looked up by itself.
    """
    kept = [one.ids for one in bounds if one.ids is not None]
    chunks = kept if len(kept) == len(bounds) else None
    return replace(KeySet.of_chunks(chunks, (), max_points), known=_intervals(bounds))


def _intervals(bounds: Sequence[IdBounds]) -> IntervalSet:
    numbers = None
    if bounds and all(one.numbers for one in bounds):
        numbers = IntervalSet(interval for one in bounds for interval in one.numbers)
    return IntervalSet((one.texts for one in bounds), numbers)
