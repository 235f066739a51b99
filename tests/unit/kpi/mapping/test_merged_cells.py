"""Merged cells: the cell above holds across pieces, and so does one that is no text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from kpi.mapping.fill import MergedCells

TEXTS = (None, "1", None, "?", None, "2", None, None)
BAD = (False, False, False, True, False, False, False, False)
FILLED = [None, "1", "1", "?", "?", "2", "2", "2"]
BAD_AFTER = [False, False, False, True, True, False, False, False]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_the_cell_above_holds_across_pieces(size: int) -> None:
    cells = MergedCells()
    filled: list[str | None] = []
    bad: list[bool] = []
    for start in range(0, len(TEXTS), size):
        piece = slice(start, start + size)
        texts, wrong = cells.fill(pa.array(TEXTS[piece], pa.string()), np.array(BAD[piece]))
        filled += texts.to_pylist()
        bad += wrong.tolist()
    assert (filled, bad) == (FILLED, BAD_AFTER)
