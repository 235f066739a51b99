"""Islands hold every value, and are cut where a gap is wider than the rest."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.clean.value_clusters import MOST, Island, islands

LIMITS = np.iinfo(np.int64)
INTEGERS = st.integers(-5, 500) | st.integers(int(LIMITS.min), int(LIMITS.max))


@given(st.lists(INTEGERS, max_size=300))
@example([int(LIMITS.min), int(LIMITS.max)])
@example([0])
def test_every_value_is_on_one_of_few_islands(values: list[int]) -> None:
    found = islands(np.array(values, np.int64))
    assert len(found) <= MOST
    assert found == sorted(found)
    ends = [end for island in found for end in (island.low, island.high)]
    assert ends == sorted(ends)
    for island in found:
        on_it = [value for value in values if island.low <= value <= island.high]
        assert (min(on_it), max(on_it), len(on_it)) == island
    assert sum(island.rows for island in found) == len(values)
    if len(found) == 1 and len(values) > 1:
        ordered = sorted(values)
        widest = max(b - a for a, b in pairwise(ordered))
        assert 2 * widest <= ordered[-1] - ordered[0]


@pytest.mark.parametrize("outliers", [[4_000_008], [-(10**6)], [-(10**6), 10**12, 10**6]])
def test_a_few_outliers_do_not_hide_where_the_others_are(outliers: list[int]) -> None:
    body = np.arange(1000, 81_000)
    found = islands(np.concatenate([body, outliers, body]))
    assert Island(1000, 80_999, 160_000) in found
    assert len(found) == len(outliers) + 1
