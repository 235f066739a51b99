"""Whether keys increase from row to row, across the pieces of a file."""

from __future__ import annotations

import pyarrow as pa
import pytest

from kpi.mapping.key_order import KeyOrder


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([["1", "2"], ["10", "11"]], True),  # as numbers do
        ([["1", "2"], ["2", "3"]], False),
        ([["9", "10", "10"]], False),
        ([["b"], [], ["a"]], False),
        ([["a", None, "b"]], False),
    ],
)
def test_texts_increase_by_length_and_then_by_letters(
    pieces: list[list[str | None]], expected: bool
) -> None:
    order = KeyOrder(["id"])
    for piece in pieces:
        order.include(pa.table({"id": pa.array(piece, pa.string())}))
    assert order.is_strictly_increasing is expected


@pytest.mark.parametrize(
    ("lines", "expected"), [([1, 2, 1], True), ([1, 1, 1], False), ([2, 1, 1], False)]
)
def test_a_key_of_two_columns_increases_by_the_first(lines: list[int], expected: bool) -> None:
    order = KeyOrder(["order_id", "line"])
    order.include(pa.table({"order_id": ["7", "7", "8"], "line": pa.array(lines, pa.int64())}))
    assert order.is_strictly_increasing is expected
