"""Keys: which row of a key is the latest, and where a key stands among others.

Keys are handled as numbers (`Keys`): integers as they are, anything else as 128 bits of hash, so
that neither memory nor time grows with the length of an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.exact import firsts
from kpi.masks import Mask
from kpi.repeats import SPREAD
from kpi.sorting import Apply
from kpi.uuids import UUID

Positions = npt.NDArray[np.int64]

Words = npt.NDArray[np.uint64]

DENSE_SLACK = 4
"""An index by direct addressing may have this many slots for each key."""

SLOTS_A_KEY = 3
"""Of a hash table: of six keys that are in it five stand in their first slot."""

_SEEN = 1000
"""Keys looked at first, to see whether equal ones follow each other."""

BLOCK_KEYS = 1 << 18
"""Keys put into a hash table at once: what is needed for it meanwhile fits the cache."""

_ROWS_AT_ONCE = 1 << 15
"""Texts of one length hashed at once, likewise; with fewer, threads wait for each other."""


@dataclass(frozen=True)
class Keys:
    """Keys as numbers that are equal where the keys are.

    A single integer column is its own values, and one of UUIDs is too, but for which bit is which.
    Of anything else there are 128 bits of hash. That any two of n different keys have the same is
    as likely as n**2 / 2**129 (the birthday bound), which is 1.5e-21 for a billion of them.

    Attributes:
        high: The integers themselves, or the first half of the hash.
        low: The second half of the hash; None for integers.
    """

    high: Words
    low: Words | None

    def __len__(self) -> int:
        return len(self.high)

    def take(self, rows: Mask | Positions | slice) -> Keys:
        """Some of them, by their positions, by a mask or by a slice."""
        return Keys(self.high[rows], None if self.low is None else self.low[rows])


NO_KEYS = Keys(np.zeros(0, np.uint64), None)


def keys_of(columns: Sequence[pa.ChunkedArray]) -> Keys:
    """The keys of some rows.

    Args:
        columns: The columns of the key, each without null; integers, UUIDs or strings.
    """
    if len(columns) == 1 and pa.types.is_integer(columns[0].type):
        return Keys(columns[0].to_numpy().view(np.uint64), None)
    high, low = _hash(columns[0])
    for column in columns[1:]:
        high, low = _mix(high), _mix(low)
        more_high, more_low = _hash(column)
        high += more_high
        low += more_low
    return Keys(high, low)


def concat_keys(parts: Sequence[Keys]) -> Keys:
    """All of them in turn; at least one part, and all of one kind."""
    lows = [part.low for part in parts if part.low is not None]
    high = np.concatenate([part.high for part in parts])
    return Keys(high, np.concatenate(lows) if lows else None)


def latest_rows(keys: Keys) -> Mask:
    """The last row of each key.

    Args:
        keys: Of rows from the earliest version to the latest.
    """
    halves = [keys.high] if keys.low is None else [keys.low, keys.high]
    by_key = np.lexsort(halves)  # stable: rows of a key stay in their order
    last = np.ones(len(keys), bool)
    if len(keys):
        last[:-1] = np.logical_or.reduce([half[by_key][1:] != half[by_key][:-1] for half in halves])
    latest = np.zeros(len(keys), bool)
    latest[by_key[last]] = True
    return latest


class KeyIndex:
    """Finds the position of keys among a fixed set of keys.

    By direct addressing where the keys are integers that lie close together, else by a hash table.
    """

    def __init__(self, keys: Keys, apply: Apply = map) -> None:
        """
        Args:
            keys: Those to be found; of equal ones any one position is.
            apply: How parts are worked on where there are many keys.
        """
        self._size = len(keys)
        self._table: npt.NDArray[np.int32] | None = None
        self._hashed: _HashTable | None = None
        if len(keys) == 0:
            return
        if keys.low is None:
            values = keys.high.view(np.int64)
            self._low, high = int(values.min()), int(values.max())
            if high - self._low < DENSE_SLACK * len(values) + 1024:
                table = np.full(high - self._low + 2, -1, np.int32)
                table[values - self._low] = np.arange(len(values), dtype=np.int32)
                self._table = table
                return
        self._hashed = _HashTable(keys, apply)

    def __len__(self) -> int:
        return self._size

    def find(self, keys: Keys) -> Positions:
        """Position of each key; -1 where it is not in the index."""
        if self._table is not None:
            # The last slot is always empty: keys above the range end there, and as differences
            # without a sign those below it too.
            slots = keys.high - np.uint64(self._low % 2**64)
            np.minimum(slots, np.uint64(len(self._table) - 1), out=slots)
            return self._table.take(slots.view(np.int64)).astype(np.int64)
        if self._hashed is None:
            return np.full(len(keys), -1, np.int64)
        return self._hashed.find(keys)


class _HashTable:
    """Open addressing with linear probing (Knuth, volume 3, 6.4), a whole column at a time."""

    def __init__(self, keys: Keys, apply: Apply) -> None:
        size = SLOTS_A_KEY * len(keys)
        self._size = size
        self._keys = keys
        self._slots = np.empty(size, np.int32)
        # Each part of the table is filled by itself; what runs over its end is put in afterwards.
        parts = [slice(0, size // 2), slice(size // 2, size)]
        if len(keys) < 4 * BLOCK_KEYS:
            parts = [slice(0, size)]
        filled = apply(self._fill, parts)
        left, slots = (np.concatenate(over) for over in zip(*filled, strict=True))
        while len(left):
            left, slots = self._put(left, slots % size, size)

    def _fill(self, part: slice) -> tuple[Positions, Positions]:
        """Empty some part, and put those keys in whose first slot lies in it; see `_put`."""
        self._slots[part] = -1
        over = []
        for start in range(0, len(self._keys), BLOCK_KEYS):
            slots = self._first(self._keys.take(slice(start, start + BLOCK_KEYS)))
            mine = np.flatnonzero((slots >= part.start) & (slots < part.stop))
            over.append(self._put(mine + start, slots[mine], part.stop))
        rows, slots = (np.concatenate(parts) for parts in zip(*over, strict=True))
        return rows, slots

    def _put(self, left: Positions, slots: Positions, stop: int) -> tuple[Positions, Positions]:
        """Put keys into the first free slot from theirs on; those that come to `stop`, and that."""
        keys = self._keys
        over = [left[:0]]
        while len(left):
            free = self._slots[slots] < 0
            # Of several keys that want one slot the last written has it; the others go on.
            self._slots[slots[free]] = left[free]
            lost = np.flatnonzero(self._slots[slots] != left)
            lost = lost[self._differ(self._slots[slots[lost]], keys, left[lost])]
            left, slots = left[lost], slots[lost] + 1
            beyond = slots == stop
            if beyond.any():
                over.append(left[beyond])
                left, slots = left[~beyond], slots[~beyond]
        found = np.concatenate(over)
        return found, np.full(len(found), stop)

    def find(self, keys: Keys) -> Positions:
        """A position with that key; -1 where there is none."""
        # Items of an order mostly follow each other: the order is looked for once.
        for seen in (keys.take(slice(_SEEN)), keys):
            starts = _run_starts(seen)
            if 4 * len(starts) > 3 * len(seen):
                return self._find_each(keys)
        lengths = np.diff(starts, append=len(keys))
        return np.repeat(self._find_each(keys.take(starts)), lengths)

    def _find_each(self, keys: Keys) -> Positions:
        slots = self._first(keys)
        found = self._slots.take(slots).astype(np.int64)
        # Mostly the first slot has it, so all are compared as they stand; in a free one is -1,
        # which is clipped to 0.
        differ = self._keys.high.take(found, mode="clip") != keys.high
        if self._keys.low is not None and keys.low is not None:
            differ |= self._keys.low.take(found, mode="clip") != keys.low
        differ &= found >= 0
        left = np.flatnonzero(differ)
        slots = slots[left]
        while len(left):
            slots += 1
            slots[slots == self._size] = 0
            at = self._slots[slots].astype(np.int64)
            found[left] = at
            on = np.flatnonzero(at >= 0)
            on = on[self._differ(at[on], keys, left[on])]
            left, slots = left[on], slots[on]
        return found

    def _differ(
        self, mine: npt.NDArray[np.integer], others: Keys, at: npt.NDArray[np.integer]
    ) -> Mask:
        """Whether my keys at some positions are not the other keys at others."""
        differ = self._keys.high[mine] != others.high[at]
        if self._keys.low is not None and others.low is not None:
            differ |= self._keys.low[mine] != others.low[at]
        return differ

    def _first(self, keys: Keys) -> Positions:
        # So much of the table as 32 bits are of all that they can be (Lemire, 2019).
        slots = keys.high * SPREAD
        slots >>= np.uint64(32)
        slots *= np.uint64(self._size)
        slots >>= np.uint64(32)
        return slots.view(np.int64)


def _run_starts(keys: Keys) -> Positions:
    """Where a key is another than the one before."""
    mask = firsts(keys.high)
    if keys.low is not None:
        mask |= firsts(keys.low)
    return np.flatnonzero(mask)


def _hash(column: pa.ChunkedArray) -> tuple[Words, Words]:
    """Both halves of 128 bits of each value of a column."""
    high, low = (np.empty(len(column), np.uint64) for _ in range(2))
    at = 0
    for chunk in column.chunks:
        if not len(chunk):
            continue  # it may have no buffers
        part = slice(at, at + len(chunk))
        if pa.types.is_integer(chunk.type):
            values = chunk.to_numpy().view(np.uint64)
            high[part], low[part] = (_mix(values ^ word) for word in _WORDS[:2])
        elif chunk.type == UUID:
            _halves(chunk, high[part], low[part])
        else:
            high[part], low[part] = _hash_texts(chunk)
        at += len(chunk)
    return high, low


def _halves(values: pa.Array, high: Words, low: Words) -> None:
    """Put the 128 bits of UUIDs there, so mixed that different ones stay different."""
    words = np.frombuffer(values.buffers()[1], "<u8")[2 * values.offset :][: 2 * len(values)]
    low[:] = words[1::2]
    # Of UUIDs that were counted up, the first half alone may be the same in all, and those made of
    # two small numbers differ in the same few bits of both.
    np.multiply(low, SPREAD, out=high)
    high ^= high >> np.uint64(32)
    high ^= words[0::2]


def _hash_texts(texts: pa.Array) -> tuple[Words, Words]:
    """Sums over the words of a text, each word mixed by itself.

    Mixing is one to one, so texts that differ in one word differ in both halves; for others the
    halves are two linear equations, with different weights, that would both have to hold.
    """
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest == longest and longest >= 8:
        return _hash_columns(data, int(offsets[0]), longest, len(texts))
    high = _mix(lengths.astype(np.uint64))
    low, scratch = high.copy(), np.empty_like(high)
    size = 0 if data is None else len(data)
    # Room behind the last text, so that every word can be read whole.
    codes = np.zeros((size // 8 + 2) * 8, np.uint8)
    if data is not None:
        codes[:size] = np.frombuffer(data, np.uint8)
    words = np.lib.stride_tricks.as_strided(codes.view(np.uint64), (size + 1,), (1,))
    starts = offsets[:-1].astype(np.int64)
    for word in range(-(-longest // 8)):
        rows = np.flatnonzero(lengths > 8 * word)
        value = words[starts[rows] + 8 * word]
        missing = (8 * np.maximum(8 * word + 8 - lengths[rows], 0)).astype(np.uint64)
        value <<= missing
        value >>= missing
        weight = _mix_word(value, word, scratch[: len(value)])
        high[rows] += value
        value *= weight
        low[rows] += value
    return high, low


def _hash_columns(data: pa.Buffer, start: int, length: int, rows: int) -> tuple[Words, Words]:
    """As `_hash_texts`, of texts of one length, 8 or more, as UUIDs are: each word of them all is a
    column with a constant stride."""
    low = np.full(rows, _mix(np.array([length], np.uint64))[0])
    high = low.copy()
    scratch = np.empty(min(rows, _ROWS_AT_ONCE), np.uint64)
    for first in range(0, rows, _ROWS_AT_ONCE):
        some = slice(first, min(first + _ROWS_AT_ONCE, rows))
        for word in range(-(-length // 8)):
            beyond = max(8 * word + 8 - length, 0)
            at = start + first * length + 8 * word - beyond
            column = np.ndarray((some.stop - first,), "<u8", data, at, (length,))
            value = column >> np.uint64(8 * beyond)
            weight = _mix_word(value, word, scratch[: len(value)])
            high[some] += value
            value *= weight
            low[some] += value
    return high, low


def _mix_word(values: Words, word: int, scratch: Words) -> np.uint64:
    """Mix the words of that number in place; their weight in the second half of the hash."""
    block, within = divmod(word, len(_WORDS))
    values ^= np.uint64((int(_WORDS[within]) + block) % 2**64)
    _mix_in_place(values, scratch)
    return np.uint64(_WEIGHTS[within])


def _mix(values: Words) -> Words:
    """Spread every bit over all (finalizer of SplitMix64, Steele et al., 2014)."""
    mixed = values.copy()
    _mix_in_place(mixed, np.empty_like(mixed))
    return mixed


def _mix_in_place(values: Words, scratch: Words) -> None:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None)):
        np.right_shift(values, np.uint64(shift), out=scratch)
        values ^= scratch
        if factor is not None:
            values *= np.uint64(factor)


_WORDS, _WEIGHTS = (
    _mix(np.arange(1, 2 * 4096 + 1, dtype=np.uint64) * SPREAD) | np.uint64(1)
).reshape(2, -1)
"""What is mixed into each 8-byte word of a text, and its weight in the second half of the hash:
what SplitMix64 gives first for the seed 0, made odd. numpy's generators take longer to import than
a small file to read."""
