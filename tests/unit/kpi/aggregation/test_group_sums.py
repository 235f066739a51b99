"""Sums of groups equal those of a dictionary, whether every group has an element or not."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.aggregation import group_sums
from kpi.aggregation.group_sums import GroupTotals, count_groups, sum_groups
from kpi.errors import KpiError
from kpi.kernels.arrays import Int64s
from kpi.kernels.fixed_point import INT64_MAX

PARTS = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(-(2**40), 2**40))), max_size=5)


def int64s(values: list[int]) -> Int64s:
    return np.array(values, np.int64)


@pytest.mark.parametrize("dense_groups", [0, 10])
@pytest.mark.parametrize("merge_groups", [0, 3, 100])
@given(parts=PARTS)
def test_parts_add_up(
    dense_groups: int, merge_groups: int, parts: list[list[tuple[int, int]]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_sums, "DENSE_MAX_GROUPS", dense_groups)
        patch.setattr(group_sums, "MERGE_MIN_GROUPS", merge_groups)
        sums, counts = GroupTotals(10), GroupTotals(10)
        expected: Counter[int] = Counter()
        for part in parts:
            codes, values = int64s([code for code, _ in part]), int64s([one for _, one in part])
            sums.add(sum_groups(codes, values, 10))
            counts.add(count_groups(codes, 10))
            for code, value in part:
                expected[code] += value
        every = int64s(list(range(10)))
        assert sums.total().at(every).tolist() == [expected[code] for code in range(10)]
        occurring = sorted({code for part in parts for code, _ in part})
        found = counts.total()
        assert found.non_zero().tolist() == occurring
        times = Counter(code for part in parts for code, _ in part)
        assert found.at(int64s(occurring)).tolist() == [times[code] for code in occurring]


@pytest.mark.parametrize("dense_groups", [0, 10])
def test_a_sum_beyond_64_bits_is_an_error(
    dense_groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_sums, "DENSE_MAX_GROUPS", dense_groups)
    monkeypatch.setattr(group_sums, "MERGE_MIN_GROUPS", -10)
    total, largest = GroupTotals(10), sum_groups(int64s([3]), int64s([INT64_MAX]), 10)
    total.add(largest)
    with pytest.raises(KpiError, match="exceed 64 bits"):
        total.add(largest)


def test_memory_grows_with_the_groups_that_occur() -> None:
    """A billion groups are possible: 2,000 days of 500,000 categories."""
    codes = np.arange(0, 10**9, 10**6)
    tracemalloc.start()
    total = GroupTotals(10**9)
    for _ in range(3):
        total.add(sum_groups(codes, codes, 10**9))
    assert len(total.total().sums) == len(codes)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10**6
