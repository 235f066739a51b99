"""Clusters of row groups that are compared together are few enough for memory, and none is lost."""

from __future__ import annotations

from itertools import chain
from types import SimpleNamespace
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

import worker.transform.latest_versions
from worker.transform.latest_versions import joined


def rows(groups: list[Any]) -> int:
    return sum(group.rows for group in groups)


@given(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3), max_size=20))
def test_clusters_are_joined_while_they_are_few(sizes: list[list[int]]) -> None:
    clusters: list[list[Any]] = [[SimpleNamespace(rows=size) for size in some] for some in sizes]
    with mock.patch.object(worker.transform.latest_versions, "FEW_KEYS", 20):
        found = joined(clusters)
    assert list(chain(*found)) == list(chain(*clusters))
    assert all(rows(some) <= 20 for some in found)
    # Not one cluster more had room.
    starts = {id(cluster[0]): rows(cluster) for cluster in clusters}
    following = [starts[id(some[0])] for some in found[1:]]
    assert all(rows(some) + more > 20 for some, more in zip(found, following, strict=False))
