"""What is left of a table is what its other rows are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from kpi.kernels.masks import without

KIND = pa.dictionary(pa.int32(), pa.string())


@given(st.lists(st.sampled_from("abc"), max_size=20), st.sampled_from([1, 200]), st.data())
def test_a_table_without_some_rows(texts: list[str], times: int, data: st.DataObject) -> None:
    """Of pieces whose dictionaries differ; from so few rows that runs are copied to all of them."""
    texts = texts * times
    cut = data.draw(st.integers(0, len(texts)))
    most = data.draw(st.sampled_from([1, 3, len(texts)]))
    rows = data.draw(st.sets(st.integers(0, max(len(texts) - 1, 0)), max_size=most))
    gone = np.array(sorted(rows if texts else ()), np.int64)
    pieces = [pa.array(some).cast(KIND) for some in (texts[:cut], texts[cut:])]
    numbers = pa.array(range(len(texts)), pa.int64())
    table = pa.table([pa.chunked_array(pieces, KIND), numbers], names=["text", "number"])

    left = without(table, gone)

    assert left.schema == table.schema
    assert max(column.num_chunks for column in left.columns) <= 1
    assert left.to_pylist() == [row for row in table.to_pylist() if row["number"] not in gone]
