"""Map keys to positions: by direct addressing, a linear-probing hash table, or binary search.

Slots depend on secrets of the process, so keys cannot be chosen to collide. Where integers collide
nevertheless, the table is given up for binary search, and the time stays bounded.
"""

from __future__ import annotations

from itertools import count

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Mask, Positions, Words
from kpi.kernels.fixed_point import run_starts
from kpi.kernels.keys import KEY_BLOCK_ROWS, Keys
from kpi.kernels.process_secrets import MULTIPLIER, SECOND_MULTIPLIER
from kpi.kernels.sorting import SERIAL, Execution

DENSE_MAX_SLOTS_PER_KEY = 4
"""Slots for each key up to which integers are addressed directly."""

HASH_SLOTS_PER_KEY = 3
"""Slots of the hash table for each key: five of six keys are in their first slot."""

MAX_PROBES = 100
"""Slots that the insertion of an integer may try. A table of random slots needs about 15."""

RUN_SAMPLE_KEYS = 1_000
"""Keys sampled to judge whether equal keys follow each other."""


class KeyIndex:
    """Finds the position of keys among a fixed set of keys.

    Integers that lie close together are addressed directly. Other keys are in a hash table, or
    sorted where too many integers collide.
    """

    def __init__(self, keys: Keys, execution: Execution = SERIAL) -> None:
        """Build the index.

        Args:
            keys: Those to be found; of equal ones, any one position is.
            execution: How to use the machine.
        """
        self._size = len(keys)
        self._dense: npt.NDArray[np.int32] | None = None
        self._table: _HashTable | _SortedKeys | None = None
        self._parts: _Parts | None = None
        if len(keys) == 0:
            return
        integers = keys.integers
        if integers is not None:
            self._parts = _Parts(keys, integers, execution)
            return
        if keys.low is None:
            values = keys.high.view(np.int64)
            self._min, max_value = int(values.min()), int(values.max())
            if max_value - self._min < DENSE_MAX_SLOTS_PER_KEY * len(values) + 1024:
                dense = np.full(max_value - self._min + 2, -1, np.int32)
                dense[values - self._min] = np.arange(len(values), dtype=np.int32)
                self._dense = dense
                return
        try:
            self._table = _HashTable(keys, execution)
        except _ProbeLimitError:
            self._table = _SortedKeys(keys.high)

    def __len__(self) -> int:
        return self._size

    def find(self, keys: Keys) -> Positions:
        """Find the position of each key; -1 where it is not in the index."""
        if self._parts is not None:
            return self._parts.find(keys)
        if self._dense is not None:
            # The last slot is always empty. Keys above the range end there, and as unsigned
            # differences so do keys below it.
            slots = keys.high - np.uint64(self._min % 2**64)
            np.minimum(slots, np.uint64(len(self._dense) - 1), out=slots)
            return self._dense.take(slots.view(np.int64)).astype(np.int64)
        if self._table is None:
            return np.full(len(keys), -1, np.int64)
        return self._table.find(keys)


class _Parts:
    """Texts that are whole numbers, and other texts, each kind in an index of its own."""

    def __init__(self, keys: Keys, integers: Mask, execution: Execution) -> None:
        numbers, others = np.flatnonzero(integers), np.flatnonzero(~integers)
        self._at = np.append(numbers, -1), np.append(others, -1)
        self._numbers = KeyIndex(Keys(keys.high[numbers], None), execution)
        self._others = KeyIndex(keys.take(others), execution) if len(others) else None

    def find(self, keys: Keys) -> Positions:
        """Find the position of each key; -1 where it is not in the index."""
        integers = keys.integers
        if integers is not None and integers.all():
            return self._number_at(keys.high)
        found = np.full(len(keys), -1, np.int64)
        if integers is not None:
            found[integers] = self._number_at(keys.high[integers])
            keys = keys.take(~integers)
        if self._others is not None:
            others = self._at[1][self._others.find(keys)]
            found[slice(None) if integers is None else ~integers] = others
        return found

    def _number_at(self, numbers: Words) -> Positions:
        found = self._numbers.find(Keys(numbers, None))
        return found if self._others is None else self._at[0][found]


class _ProbeLimitError(Exception):
    """An insertion has tried `MAX_PROBES` slots."""


class _SortedKeys:
    """Integers in ascending order, for binary search."""

    def __init__(self, values: Words) -> None:
        self._order = np.argsort(values, kind="stable")
        self._values = values[self._order]

    def find(self, keys: Keys) -> Positions:
        """Find a position with each key; -1 where there is none."""
        at = np.searchsorted(self._values, keys.high)
        np.minimum(at, len(self._values) - 1, out=at)
        return np.where(self._values[at] == keys.high, self._order[at], -1)


class _HashTable:
    """Open addressing with linear probing (Knuth, volume 3, 6.4), a whole column at a time."""

    def __init__(self, keys: Keys, execution: Execution) -> None:
        size = HASH_SLOTS_PER_KEY * len(keys)
        self._size = size
        self._keys = keys
        self._slots = np.empty(size, np.int32)
        # Each part of the table is filled by itself; keys that run over its end follow afterwards.
        parts = [slice(0, size // 2), slice(size // 2, size)]
        if len(keys) < 4 * KEY_BLOCK_ROWS:
            parts = [slice(0, size)]
        filled = execution.apply(self._fill, parts)
        rows, slots = (np.concatenate(over) for over in zip(*filled, strict=True))
        while len(rows):
            rows, slots = self._insert(rows, slots % size, size)

    def _fill(self, part: slice) -> tuple[Positions, Positions]:
        """Insert the keys whose first slot lies in one part of the table.

        Returns:
            As `_insert`.
        """
        self._slots[part] = -1
        over = []
        for start in range(0, len(self._keys), KEY_BLOCK_ROWS):
            slots = self._first_slots(self._keys.take(slice(start, start + KEY_BLOCK_ROWS)))
            inside = np.flatnonzero((slots >= part.start) & (slots < part.stop))
            over.append(self._insert(inside + start, slots[inside], part.stop))
        rows, slots = (np.concatenate(parts) for parts in zip(*over, strict=True))
        return rows, slots

    def _insert(self, rows: Positions, slots: Positions, stop: int) -> tuple[Positions, Positions]:
        """Insert keys, each into the first free slot from a given one on.

        Args:
            rows: Positions of the keys.
            slots: Where to begin.
            stop: The slot before which to end.

        Returns:
            Keys that came to `stop`, and that slot for each of them.

        Raises:
            _ProbeLimitError: Integers collide too often. Hashes under a secret key never do.
        """
        keys = self._keys
        over = [rows[:0]]
        for probes in count():
            if not len(rows):
                break
            if keys.low is None and probes == MAX_PROBES:
                raise _ProbeLimitError
            free = self._slots[slots] < 0
            # Of several keys that want a slot, the last one written has it; the others go on.
            self._slots[slots[free]] = rows[free]
            lost = np.flatnonzero(self._slots[slots] != rows)
            lost = lost[self._differ(self._slots[slots[lost]], keys, rows[lost])]
            rows, slots = rows[lost], slots[lost] + 1
            beyond = slots == stop
            if beyond.any():
                over.append(rows[beyond])
                rows, slots = rows[~beyond], slots[~beyond]
        found = np.concatenate(over)
        return found, np.full(len(found), stop)

    def find(self, keys: Keys) -> Positions:
        """Find a position with each key; -1 where there is none."""
        # Items of an order mostly follow each other: their order is looked up once.
        for sample in (keys.take(slice(RUN_SAMPLE_KEYS)), keys):
            starts = _run_starts(sample)
            if 4 * len(starts) > 3 * len(sample):
                return self._find_each(keys)
        lengths = np.diff(starts, append=len(keys))
        return np.repeat(self._find_each(keys.take(starts)), lengths)

    def _find_each(self, keys: Keys) -> Positions:
        slots = self._first_slots(keys)
        found = self._slots.take(slots).astype(np.int64)
        # The first slot mostly has the key, so all are compared without a selection. A free slot
        # holds -1, which is clipped to 0.
        differ = self._keys.high.take(found, mode="clip") != keys.high
        if self._keys.low is not None and keys.low is not None:
            differ |= self._keys.low.take(found, mode="clip") != keys.low
        differ &= found >= 0
        rows = np.flatnonzero(differ)
        slots = slots[rows]
        while len(rows):
            slots += 1
            slots[slots == self._size] = 0
            at = self._slots[slots].astype(np.int64)
            found[rows] = at
            on = np.flatnonzero(at >= 0)
            on = on[self._differ(at[on], keys, rows[on])]
            rows, slots = rows[on], slots[on]
        return found

    def _differ(
        self, mine: npt.NDArray[np.integer], others: Keys, at: npt.NDArray[np.integer]
    ) -> Mask:
        """Compare keys of the table at some positions with other keys at others."""
        differ = self._keys.high[mine] != others.high[at]
        if self._keys.low is not None and others.low is not None:
            differ |= self._keys.low[mine] != others.low[at]
        return differ

    def _first_slots(self, keys: Keys) -> Positions:
        slots = keys.high >> np.uint64(32) if keys.low is not None else _hash_integers(keys.high)
        # Map 32 random bits to [0, size) by a multiplication (Lemire, 2019).
        slots *= np.uint64(self._size)
        slots >>= np.uint64(32)
        return slots.view(np.int64)


def _hash_integers(values: Words) -> Words:
    """Hash integers to 32 bits. One multiplication alone would leave patterns of their order."""
    mixed = values * MULTIPLIER
    mixed ^= mixed >> np.uint64(32)
    mixed *= SECOND_MULTIPLIER
    mixed >>= np.uint64(32)
    return mixed


def _run_starts(keys: Keys) -> Positions:
    """Return the positions where a key differs from the one before."""
    mask = run_starts(keys.high)
    if keys.low is not None:
        mask |= run_starts(keys.low)
    return np.flatnonzero(mask)
