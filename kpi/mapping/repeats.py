"""Keys that one file has with different values (rule 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from kpi.kernels import fixed_point
from kpi.kernels.arrays import Words
from kpi.kernels.duplicates import find_duplicates, find_members
from kpi.kernels.key_checks import check_rows, combine
from kpi.kernels.masks import valid

MAX_COUNTED_ROWS = 2_000_000
"""Rows of a file that are compared: 16 bytes each. What follows is not counted."""

_NULL = np.uint64(0x9E3779B97F4A7C15)
"""What stands for no value."""


class RepeatCounter:
    """Counts the keys of a file of which a row has other values than one before it.

    Keys and rows are compared by words of 64 bits: a note of a receipt may rarely count one less.
    """

    def __init__(self, key: Sequence[str]) -> None:
        self._key = list(key)
        self._keys: list[Words] = []
        self._rows: list[Words] = []
        self._size = 0

    def include(self, rows: pa.Table) -> dict[str, Words]:
        """Take in the next clean rows.

        Returns:
            Words of their columns, of as many rows as are counted; none beyond the limit.
        """
        rows = rows.slice(0, MAX_COUNTED_ROWS - self._size)
        if not rows.num_rows:
            return {}
        self._size += rows.num_rows
        words = {name: words_of(rows.column(name)) for name in rows.column_names}
        keys = combine([words[name] for name in self._key])
        values = combine([keys, *(words[name] for name in words if name not in self._key)])
        # Equal neighbours, as the lines of an order are for the order, need no second look.
        other = np.ones(len(keys), bool)
        other[1:] = values[1:] != values[:-1]
        self._keys.append(keys[other])
        self._rows.append(values[other])
        return words

    def count(self) -> int:
        """Count the keys with different values."""
        if not self._size:
            return 0
        keys, values = np.concatenate(self._keys), np.concatenate(self._rows)
        repeated = find_duplicates(keys.copy())
        if not len(repeated):
            return 0
        some = find_members(keys, repeated)
        keys, values = keys[some], values[some]
        order = np.lexsort((values, keys))
        keys, values = keys[order], values[order]
        other = (keys[1:] == keys[:-1]) & (values[1:] != values[:-1])
        return len(np.unique(keys[1:][other]))


def words_of(column: pa.ChunkedArray) -> Words:
    """Compute a word for each value of a column."""
    kind = column.type
    if pa.types.is_string(kind):
        words = check_rows([column])
    else:
        words = np.concatenate([_of_numbers(chunk) for chunk in column.chunks])
    if column.null_count:
        is_value = np.concatenate([valid(chunk) for chunk in column.chunks])
        words[~is_value] = _NULL
    return words


def _of_numbers(array: pa.Array) -> Words:
    if pa.types.is_decimal(array.type):
        return fixed_point.unscaled(array).view(np.uint64)
    width = np.int32 if array.type.bit_width == 32 else np.int64
    numbers = np.frombuffer(array.buffers()[1], width)[array.offset :][: len(array)]
    return numbers.astype(np.int64).view(np.uint64)
