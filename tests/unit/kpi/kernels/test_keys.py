"""Keys: dictionaries of Python are the judges."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from kpi.kernels.keys import latest_rows
from tests.unit.kpi.kernels.key_columns import KEYS, keys_in


@given(KEYS, st.integers(0, 50))
@example([1, 1, 1], 0)
@example([], 0)
def test_the_last_row_of_a_key_is_the_latest(values: list[object], cut: int) -> None:
    last = {value: row for row, value in enumerate(values)}
    expected = [last[value] == row for row, value in enumerate(values)]
    assert latest_rows(keys_in(values, cut)).tolist() == expected
