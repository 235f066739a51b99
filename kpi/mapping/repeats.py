"""Keys that one file has with different values (rule 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from kpi.kernels.arrays import Words
from kpi.kernels.keys import keys_of

MAX_COUNTED_ROWS = 2_000_000
"""Rows of a file that are compared: 16 bytes each. What follows is not counted."""


class RepeatCounter:
    """Counts the keys of a file of which a row has other values than one before it."""

    def __init__(self, key: Sequence[str]) -> None:
        self._key = list(key)
        self._keys: list[Words] = []
        self._rows: list[Words] = []
        self._size = 0

    def include(self, rows: pa.Table) -> None:
        """Take in the next clean rows."""
        rows = rows.slice(0, MAX_COUNTED_ROWS - self._size)
        if not rows.num_rows:
            return
        texts = {
            name: rows.column(name).cast(pa.string()).fill_null("\0") for name in rows.column_names
        }
        self._keys.append(keys_of([texts[name] for name in self._key]).mixed())
        self._rows.append(keys_of(list(texts.values())).mixed())
        self._size += rows.num_rows

    def count(self) -> int:
        """Count the keys with different values."""
        if not self._size:
            return 0
        keys, rows = np.concatenate(self._keys), np.concatenate(self._rows)
        order = np.lexsort((rows, keys))
        keys, rows = keys[order], rows[order]
        other = (keys[1:] == keys[:-1]) & (rows[1:] != rows[:-1])
        return len(np.unique(keys[1:][other]))
