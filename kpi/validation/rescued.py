"""Keep the columns that a contract does not know, as a map from header to text in each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from kpi.kernels.masks import valid


def rescue(headers: Sequence[str], columns: Sequence[pa.Array]) -> pa.Array:
    """Build the maps of some rows, each with an entry for each value that is not null.

    A file may have a thousand such columns with long names. So no row repeats a name, which is a
    number of a dictionary, and what has no value takes no memory.

    Args:
        headers: Header of each column.
        columns: Texts of each column; all of one length.

    Returns:
        An array of `kpi.csv.header.RESCUED_TYPE`.
    """
    width, rows = len(columns), len(columns[0])
    present = np.empty((rows, width), bool)
    for at, column in enumerate(columns):
        present[:, at] = valid(column)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(np.count_nonzero(present, axis=1), out=offsets[1:])
    # Row by row: the values of row 0 in the order of columns, then those of row 1.
    cells = np.flatnonzero(present).astype(np.int32)
    number = cells % np.int32(width)
    cells //= np.int32(width)
    cells += number * np.int32(rows)
    values = pa.concat_arrays(columns).take(pa.array(cells))
    names = pa.DictionaryArray.from_arrays(pa.array(number), pa.array(headers, pa.string()))
    return pa.MapArray.from_arrays(pa.array(offsets), names, values)
