"""Numbers are sorted in place, however many they are and however they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate, repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.kernels.sorting
from kpi.kernels.sorting import nearly_in_order, sort, sort_runs, vectorised


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
        patch.setattr(kpi.kernels.sorting, "MANY", many)
        patch.setattr(kpi.kernels.sorting, "vectorised", lambda: vectors)
        by(values, in_turn)
    assert values.tolist() == sorted(numbers)


@pytest.mark.parametrize(("ns", "expected"), [(10, True), (40, False)])
def test_vector_instructions_are_told_by_the_time_of_sorting(
    ns: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = accumulate(repeat(ns << 14))
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(clock))
    assert vectorised.__wrapped__() is expected


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
def test_order_is_seen_from_afar(values: npt.NDArray[np.int64], expected: bool) -> None:
    assert nearly_in_order(values) == expected
    for by in (sort, sort_runs):
        found = values.copy()
        by(found)
        assert (found == ASCENDING).all()


def test_few_numbers_may_be_in_order() -> None:
    for count in range(3):
        assert nearly_in_order(ASCENDING[:count])
