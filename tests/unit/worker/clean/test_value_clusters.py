"""Value clusters hold every value, and are split where a gap is wider than the rest."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.clean.value_clusters import MAX_CLUSTERS, ValueCluster, value_clusters

LIMITS = np.iinfo(np.int64)
INTEGERS = st.integers(-5, 500) | st.integers(int(LIMITS.min), int(LIMITS.max))


@given(st.lists(INTEGERS, max_size=300))
@example([int(LIMITS.min), int(LIMITS.max)])
@example([0])
def test_every_value_is_in_one_of_few_clusters(values: list[int]) -> None:
    found = value_clusters(np.array(values, np.int64))
    assert len(found) <= MAX_CLUSTERS
    assert found == sorted(found)
    ends = [end for cluster in found for end in (cluster.low, cluster.high)]
    assert ends == sorted(ends)
    for cluster in found:
        inside = [value for value in values if cluster.low <= value <= cluster.high]
        assert (min(inside), max(inside), len(inside)) == cluster
    assert sum(cluster.rows for cluster in found) == len(values)
    if len(found) == 1 and len(values) > 1:
        ordered = sorted(values)
        widest = max(b - a for a, b in pairwise(ordered))
        assert 2 * widest <= ordered[-1] - ordered[0]


@pytest.mark.parametrize("outliers", [[4_000_008], [-(10**6)], [-(10**6), 10**12, 10**6]])
def test_a_few_outliers_get_clusters_of_their_own(outliers: list[int]) -> None:
    body = np.arange(1000, 81_000)
    found = value_clusters(np.concatenate([body, outliers, body]))
    assert ValueCluster(1000, 80_999, 160_000) in found
    assert len(found) == len(outliers) + 1
