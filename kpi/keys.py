"""Keys: which row of a key is the latest, and where a key stands among others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]

DENSE_SLACK = 4
"""An index by direct addressing may have this many slots for each key."""


def key_codes(columns: Sequence[pa.ChunkedArray]) -> npt.NDArray[np.int64]:
    """Integers that are equal exactly where the keys are.

    Args:
        columns: The columns of the key, each without null; integers or strings.
    """
    if len(columns) == 1 and pa.types.is_integer(columns[0].type):
        return columns[0].to_numpy()
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        encoded = column.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        indices = encoded.indices.to_numpy().astype(np.int64)
        # Rank the pairs anew after each column, so that codes stay below the number of rows.
        _, codes = np.unique(codes * (len(encoded.dictionary) + 1) + indices, return_inverse=True)
    return codes.astype(np.int64)


def latest_rows(codes: npt.NDArray[np.int64]) -> Mask | None:
    """The last row of each key; None where no key stands twice.

    Args:
        codes: Key of each row, rows from the earliest version to the latest.
    """
    ordered = np.sort(codes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated) == 0:
        return None
    rows = np.flatnonzero(np.isin(codes, repeated))
    by_key = rows[np.argsort(codes[rows], kind="stable")]
    keys = codes[by_key]
    last = np.append(keys[1:] != keys[:-1], True)
    latest = np.ones(len(codes), bool)
    latest[by_key[~last]] = False
    return latest


class KeyIndex:
    """Finds the position of keys among a fixed set of distinct keys."""

    def __init__(self, keys: pa.Array) -> None:
        """
        Args:
            keys: Distinct, without null; integers or strings.
        """
        self._keys = keys
        self._table: npt.NDArray[np.int32] | None = None
        if pa.types.is_integer(keys.type) and len(keys):
            values = keys.to_numpy(zero_copy_only=False)
            self._low, self._high = int(values.min()), int(values.max())
            if self._high - self._low < DENSE_SLACK * len(values) + 1024:
                table = np.full(self._high - self._low + 2, -1, np.int32)
                table[values - self._low] = np.arange(len(values), dtype=np.int32)
                self._table = table

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, keys: pa.Array) -> Positions:
        """Position of each key; -1 where it is not in the index."""
        if len(self._keys) == 0:
            return np.full(len(keys), -1, np.int64)
        if self._table is not None:
            values = keys.to_numpy(zero_copy_only=False)
            slots = values - self._low
            # The last slot is always empty: keys outside the range end there.
            slots[(values < self._low) | (values > self._high)] = self._high - self._low + 1
            return self._table[slots].astype(np.int64)
        found = pc.index_in(keys, value_set=self._keys)
        return found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
