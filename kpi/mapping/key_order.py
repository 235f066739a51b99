"""Tell whether the keys of a file increase from row to row, so that none is in it twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.arrays import Mask
from kpi.kernels.masks import true


class KeyOrder:
    """Tracks whether keys increase strictly, texts by length first, as numbers do.

    Attributes:
        is_strictly_increasing: So far; False for good once it was not.
    """

    def __init__(self, key: Sequence[str]) -> None:
        self._key = list(key)
        self._last: pa.Table | None = None
        self.is_strictly_increasing = bool(key)

    def include(self, rows: pa.Table) -> None:
        """Add the next clean rows."""
        if not self.is_strictly_increasing or not rows.num_rows:
            return
        keys = rows.select(self._key)
        if self._last is not None:
            keys = pa.concat_tables([self._last, keys])
        self._last = keys.slice(keys.num_rows - 1)
        columns = [column.combine_chunks() for column in keys.columns]
        self.is_strictly_increasing = _increase(columns)


def _increase(columns: Sequence[pa.Array]) -> bool:
    """Whether each row is greater than the one before, the first column counting most."""
    size = len(columns[0]) - 1
    less, equal = np.zeros(size, bool), np.ones(size, bool)
    for column in columns:
        below, same = _compare(column.slice(0, size), column.slice(1))
        less |= equal & below
        equal &= same
        if not (less | equal).all():
            return False
    return bool(less.all())


def _compare(left: pa.Array, right: pa.Array) -> tuple[Mask, Mask]:
    """Return where values are less than others, and where they equal them; never for null."""
    if not pa.types.is_string(left.type):
        return true(pc.less(left, right)), true(pc.equal(left, right))
    sizes = [pc.binary_length(one).fill_null(-1).to_numpy() for one in (left, right)]
    as_long = sizes[0] == sizes[1]
    below = (sizes[0] < sizes[1]) | (as_long & true(pc.less(left, right)))
    return below, as_long & true(pc.equal(left, right))
