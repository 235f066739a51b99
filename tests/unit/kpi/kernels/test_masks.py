"""Masks are what Arrow says of its own arrays, slices of them included."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from kpi.kernels.masks import booleans, true, valid

VALUES = st.lists(st.none() | st.booleans(), max_size=40)


@given(VALUES, st.integers(0, 40), st.integers(0, 40))
def test_masks_of_any_slice(values: list[bool | None], start: int, length: int) -> None:
    some = pa.array(values, pa.bool_()).slice(start, length)
    assert valid(some).tolist() == some.is_valid().to_pylist()
    assert true(some).tolist() == some.fill_null(False).to_pylist()
    assert booleans(valid(some)).equals(some.is_valid())


def test_of_other_types() -> None:
    for some in (pa.array(["a", None]), pa.array(["a", None]).dictionary_encode()):
        assert valid(some).tolist() == [True, False]
    assert valid(pa.array([1, 2])).tolist() == [True, True]


def test_of_nothing() -> None:
    nothing = pa.array([], pa.bool_())
    assert len(true(nothing)) == len(valid(nothing)) == len(booleans(np.zeros(0, bool))) == 0
