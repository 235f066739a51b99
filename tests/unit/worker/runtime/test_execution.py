"""How kernels may use this machine."""

from __future__ import annotations

from itertools import accumulate, repeat

import pytest

from worker.runtime.execution import SORT_TRIAL_VALUES, threaded


@pytest.mark.parametrize(("ns", "expected"), [(10, True), (40, False)])
def test_a_fast_sort_shows_vector_instructions(
    ns: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = accumulate(repeat(ns * SORT_TRIAL_VALUES))
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(clock))
    assert threaded.__wrapped__().vector_sort is expected


def test_two_threads_keep_the_order_of_the_parts() -> None:
    assert list(threaded().apply(lambda value: value * value, range(5))) == [0, 1, 4, 9, 16]
