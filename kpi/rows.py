"""A table without some of its rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.masks import booleans

_SPARSE = 500
"""Where fewer than one row in so many goes, copying the runs between is faster than a filter."""


def without(table: pa.Table, rows: npt.NDArray[np.int64]) -> pa.Table:
    """All rows but some, ascending, in one piece."""
    if len(rows) * _SPARSE > table.num_rows:
        keep = np.ones(table.num_rows, bool)
        keep[rows] = False
        return table.filter(booleans(keep)).combine_chunks()
    edges = [-1, *rows.tolist(), table.num_rows]
    runs = [table.slice(edge + 1, next_edge - edge - 1) for edge, next_edge in pairwise(edges)]
    return pa.concat_tables(runs).combine_chunks()
