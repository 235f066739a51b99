"""Many numbers are sorted in two halves, which are as if they were sorted at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.sorting
from kpi.sorting import sort


def in_turn(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """As `map`, but another one."""
    return [work(item) for item in items]


@given(numbers=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=60))
@pytest.mark.parametrize("many", [0, 10, 1000])
def test_numbers_are_in_order(many: int, numbers: list[int]) -> None:
    values = np.array(numbers, np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.sorting, "MANY", many)
        sort(values, in_turn)
    assert values.tolist() == sorted(numbers)
