"""Map keys to positions with a linear-probing hash table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.duplicates import SPREAD
from kpi.kernels.fixed_point import firsts
from kpi.kernels.keys import BLOCK_KEYS, Keys
from kpi.kernels.sorting import Apply

DENSE_SLACK = 4
"""An index by direct addressing may have this many slots for each key."""

SLOTS_A_KEY = 3
"""Of a hash table: of six keys that are in it five stand in their first slot."""

_SEEN = 1000
"""Keys looked at first, to see whether equal ones follow each other."""


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
