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
    """Finds the position of keys among a fixed set of distinct keys.

    By direct addressing where the keys are integers that lie close together, else by a hash table
    of their fingerprints; of texts the keys themselves are compared after that.
    """

    def __init__(self, keys: pa.Array) -> None:
        """
        Args:
            keys: Distinct, without null; integers or strings.
        """
        self._keys = keys
        self._table: npt.NDArray[np.int32] | None = None
        self._hashed: _HashTable | None = None
        if len(keys) == 0:
            return
        if pa.types.is_integer(keys.type):
            values = keys.to_numpy(zero_copy_only=False)
            self._low, self._high = int(values.min()), int(values.max())
            if self._high - self._low < DENSE_SLACK * len(values) + 1024:
                table = np.full(self._high - self._low + 2, -1, np.int32)
                table[values - self._low] = np.arange(len(values), dtype=np.int32)
                self._table = table
                return
        self._hashed = _HashTable(fingerprints([pa.chunked_array([keys])]))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, keys: pa.Array) -> Positions:
        """Position of each key; -1 where it is not in the index."""
        if self._table is not None:
            values = keys.to_numpy(zero_copy_only=False)
            slots = values - self._low
            # The last slot is always empty: keys outside the range end there.
            slots[(values < self._low) | (values > self._high)] = self._high - self._low + 1
            return self._table[slots].astype(np.int64)
        if self._hashed is None:
            return np.full(len(keys), -1, np.int64)
        found = self._hashed.find(fingerprints([pa.chunked_array([keys])]))
        if not pa.types.is_integer(keys.type):
            self._confirm(found, keys)
        return found

    def _confirm(self, found: Positions, keys: pa.Array) -> None:
        """Look up anew, by the texts themselves, where a fingerprint was another text's."""
        rows = np.flatnonzero(found >= 0)
        hit = self._keys.take(pa.array(found[rows]))
        wanted = keys if len(rows) == len(keys) else keys.take(pa.array(rows))
        wrong = rows[~pc.equal(hit, wanted).to_numpy(zero_copy_only=False)]
        if len(wrong):
            again = pc.index_in(keys.take(pa.array(wrong)), value_set=self._keys)
            found[wrong] = again.fill_null(-1).to_numpy(zero_copy_only=False)


class _HashTable:
    """Open addressing with linear probing (Knuth, volume 3, 6.4), a whole column at a time."""

    def __init__(self, hashes: npt.NDArray[np.uint64]) -> None:
        bits = max(int(2 * len(hashes)).bit_length(), 4)
        self._shift = np.uint64(64 - bits)
        self._mask = np.int64((1 << bits) - 1)
        self._hashes = hashes
        self._slots = np.full(1 << bits, -1, np.int32)
        left = np.arange(len(hashes), dtype=np.int32)
        slots = self._first(hashes)
        while len(left):
            free = self._slots[slots] < 0
            # Of several keys that want one slot the last written has it; the others go on.
            self._slots[slots[free]] = left[free]
            lost = self._slots[slots] != left
            left, slots = left[lost], (slots[lost] + 1) & self._mask

    def find(self, hashes: npt.NDArray[np.uint64]) -> Positions:
        """A position with that hash; -1 where there is none."""
        slots = self._first(hashes)
        found = self._slots[slots].astype(np.int64)
        left = np.flatnonzero((found >= 0) & (self._hashes[found] != hashes))
        slots = slots[left]
        while len(left):
            slots = (slots + 1) & self._mask
            at = self._slots[slots].astype(np.int64)
            found[left] = at
            on = (at >= 0) & (self._hashes[at] != hashes[left])
            left, slots = left[on], slots[on]
        return found

    def _first(self, hashes: npt.NDArray[np.uint64]) -> Positions:
        # Fibonacci hashing: the high bits of the product depend on every bit.
        return ((hashes * np.uint64(0x9E3779B97F4A7C15)) >> self._shift).astype(np.int64)


def fingerprints(columns: Sequence[pa.ChunkedArray]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each key: equal keys have equal fingerprints.

    Of a single integer column it is the integer itself, so that equal fingerprints mean equal keys
    there. Texts are hashed eight bytes at a time; their collisions are left to the caller.

    Args:
        columns: The columns of the key, each without null; integers or strings.
    """
    result = np.zeros(len(columns[0]), np.uint64)
    for number, column in enumerate(columns):
        if pa.types.is_integer(column.type):
            hashed = column.to_numpy().view(np.uint64)
        else:
            chunks = [_text_fingerprints(chunk) for chunk in column.chunks]
            hashed = np.concatenate(chunks) if chunks else np.zeros(0, np.uint64)
        result = hashed if number == 0 else _mix(result) + hashed
    return result


def is_exact(columns: Sequence[pa.ChunkedArray]) -> bool:
    """Whether equal fingerprints mean equal keys."""
    return len(columns) == 1 and pa.types.is_integer(columns[0].type)


_WORDS = np.random.Generator(np.random.PCG64(0x5109)).integers(
    0, 2**64, 4096, dtype=np.uint64, endpoint=False
) | np.uint64(1)
"""Multipliers of the 8-byte words of a text; those of longer texts repeat."""


def _text_fingerprints(texts: pa.Array) -> npt.NDArray[np.uint64]:
    if len(texts) == 0:
        return np.zeros(0, np.uint64)
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    starts, lengths = offsets[:-1].astype(np.int64), np.diff(offsets).astype(np.int64)
    size = 0 if data is None else len(data)
    # Room behind the last text, so that every word can be read whole.
    codes = np.zeros((size // 8 + 2) * 8, np.uint8)
    if data is not None:
        codes[:size] = np.frombuffer(data, np.uint8)
    words = np.lib.stride_tricks.as_strided(codes.view(np.uint64), (size + 1,), (1,))
    result = _mix(lengths.astype(np.uint64))
    for word in range(-(-int(lengths.max()) // 8)):
        left = lengths - 8 * word
        rows: slice | npt.NDArray[np.int64] = slice(None)
        if int(left.min()) <= 0:
            rows = np.flatnonzero(left > 0)
        left = left[rows]
        value = words[starts[rows] + 8 * word]
        if int(left.min()) < 8:
            missing = (8 * np.maximum(8 - left, 0)).astype(np.uint64)
            value = (value << missing) >> missing
        value = value * _WORDS[word % len(_WORDS)]
        result[rows] += value ^ (value >> np.uint64(32))
    return _mix(result)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread every bit over all (finalizer of SplitMix64, Steele et al., 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
