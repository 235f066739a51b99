"""Values are sorted in place, in whatever order and number they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.kernels.sorting
from kpi.kernels.sorting import Execution, is_nearly_sorted, sort, sort_runs


def in_turn(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """As `map`, but another one."""
    return [work(item) for item in items]


NUMBERS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=60)


@given(numbers=NUMBERS | NUMBERS.map(sorted))
@pytest.mark.parametrize("many", [0, 10, 1000])
@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("by", [sort, sort_runs])
def test_numbers_are_in_order(
    by: Callable[..., None], vectors: bool, many: int, numbers: list[int]
) -> None:
    values = np.array(numbers, np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.kernels.sorting, "PARALLEL_SORT_MIN_VALUES", many)
        by(values, Execution(apply=in_turn, vector_sort=vectors))
    assert values.tolist() == sorted(numbers)


ASCENDING = np.arange(50_000)
NEAR = ASCENDING ^ 7  # eight in descending order, then the next eight
PARTS = np.concatenate([ASCENDING[10_000:], ASCENDING[:10_000]])
RANDOM = np.random.default_rng(3).permutation(ASCENDING)
COMB = np.concatenate([ASCENDING[start::500] for start in range(500)])


@pytest.mark.parametrize(
    ("values", "expected"),
    [(ASCENDING, True), (NEAR, True), (PARTS, True), (RANDOM, False), (COMB, False)],
    ids=["ascending", "near", "parts", "random", "comb"],
)
def test_a_sample_shows_whether_values_are_nearly_sorted(
    values: npt.NDArray[np.int64], expected: bool
) -> None:
    assert is_nearly_sorted(values) == expected
    for by in (sort, sort_runs):
        found = values.copy()
        by(found)
        assert (found == ASCENDING).all()


def test_up_to_two_values_are_nearly_sorted() -> None:
    for count in range(3):
        assert is_nearly_sorted(ASCENDING[:count])
