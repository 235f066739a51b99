"""Unknown columns: each row has the values that are there, under the header of their column."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from kpi.csv.header import RESCUED_TYPE
from kpi.validation.rescued import rescue

TEXT = st.none() | st.sampled_from(["", "a", "b,c", "é"])


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[TEXT] * width), max_size=9)))
def test_rows_keep_their_values_in_the_order_of_columns(rows: list[tuple[str | None, ...]]) -> None:
    width = len(rows[0]) if rows else 2
    headers = [f"column {number}" for number in range(width)]
    columns = [pa.array([row[number] for row in rows], pa.string()) for number in range(width)]
    found = rescue(headers, columns)
    found.validate(full=True)
    assert found.type == RESCUED_TYPE
    expected = [
        [(header, text) for header, text in zip(headers, row, strict=True) if text is not None]
        for row in rows
    ]
    assert found.to_pylist() == expected


def test_long_names_and_missing_values_take_no_memory() -> None:
    """A thousand names of 255 bytes over a thousand rows are 255 MB where each row has them all."""
    headers = [f"{number}".ljust(255, "x") for number in range(1000)]
    empty, full = pa.nulls(1000, pa.string()), pa.array(["a"] * 1000)
    assert rescue(headers, [empty] * 1000).nbytes < 300_000
    assert rescue(headers, [full] * 10 + [empty] * 990).nbytes < 600_000
