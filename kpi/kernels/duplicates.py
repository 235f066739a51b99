"""Find duplicates among 64-bit keys with single-probe hash tables; sort only the collisions.

Keys in different slots differ, and nearly every key has a slot to itself; only the others are
compared. Where the table fits the cache, that takes a fifth of the time of a sort by comparisons.
A sort with vector instructions is faster still, and is used where there is one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Mask, Positions, Words
from kpi.kernels.fixed_point import run_starts
from kpi.kernels.process_secrets import MULTIPLIER, SECOND_MULTIPLIER
from kpi.kernels.sorting import SERIAL, Execution, is_nearly_sorted, sort

PARTITION_BLOCK_KEYS = 1 << 18
"""Keys partitioned into classes at once."""

CLASS_KEYS = 1 << 15
"""Keys of a class, about: with their table they fit the cache of a core."""

MAX_PROBE_ROUNDS = 16
"""Rounds in which rows that share a slot are rehashed; what still collides then is sorted."""

_MAX_CLASS_BITS = 8

_MEMBER_TABLE_BITS = 14, 20
"""Least and greatest size of a membership table: few false positives, and it fits a cache at a byte
a slot."""


def find_duplicates(keys: Words, execution: Execution = SERIAL) -> Words:
    """Return the keys that occur more than once, ascending. Reorders `keys`."""
    # Nearly sorted keys, as ids that count up are, sort faster than they hash.
    if is_nearly_sorted(keys) or execution.vector_sort:
        sort(keys, execution)
        return _repeated_neighbours(keys)
    bits = min((len(keys) // CLASS_KEYS).bit_length(), _MAX_CLASS_BITS)
    if bits == 0:
        return _duplicates_in_class(keys, 0)
    blocks = [
        keys[start : start + PARTITION_BLOCK_KEYS]
        for start in range(0, len(keys), PARTITION_BLOCK_KEYS)
    ]
    edges = list(execution.apply(lambda block: _partition(block, bits), blocks))

    def in_class(number: int) -> Words:
        parts = [
            block[edge[number] : edge[number + 1]]
            for block, edge in zip(blocks, edges, strict=True)
        ]
        return _duplicates_in_class(np.concatenate(parts), bits)

    found = np.concatenate(list(execution.apply(in_class, range(1 << bits))))
    found.sort()
    return found


def mark_distinct(first: npt.NDArray[np.integer], *others: Words) -> Mask:
    """Mark one row of each distinct key.

    Args:
        first: First column of the keys.
        others: Their other columns, at least one. Rows with equal values in `first` and in the
            first of these mostly have equal keys; else this is slow.
    """
    marked = np.zeros(len(first), bool)
    rows = np.arange(len(first), dtype=np.int32)
    hashes = (first.astype(np.uint64) * MULTIPLIER + others[0]) * MULTIPLIER
    bits = _slot_bits(len(first))
    table = np.empty(1 << bits, np.int32)
    columns = (first, *others)
    for _ in range(MAX_PROBE_ROUNDS):
        slots = (hashes >> np.uint64(64 - bits)).astype(np.int64)
        # Of several rows that want a slot, the last one written has it.
        table[slots] = rows
        winners = table[slots]
        lost = np.flatnonzero(winners != rows)
        marked[winners] = True
        losers, their_winners = rows[lost], winners[lost]
        differ = np.logical_or.reduce(
            [column[losers] != column[their_winners] for column in columns]
        )
        lost = lost[differ]
        if len(lost) == 0:
            return marked
        rows = rows[lost]
        hashes = (hashes[lost] ^ (hashes[lost] >> np.uint64(29))) * MULTIPLIER
    # What still collides after these rounds is sorted, so that the time stays bounded.
    order = np.lexsort([column[rows] for column in columns])
    is_first = np.logical_or.reduce([run_starts(column[rows][order]) for column in columns])
    marked[rows[order[is_first]]] = True
    return marked


def find_members(keys: Words, members: Words) -> Positions:
    """Return the positions of keys that are among `members`, ascending.

    A table rules out most keys before `np.isin`, which compares with each member or sorts all.

    Args:
        keys: Any.
        members: Any, far fewer.
    """
    fewest, most = _MEMBER_TABLE_BITS
    bits = np.uint64(64 - min(max(_slot_bits(16 * len(members)), fewest), most))
    taken = np.zeros(1 << (64 - int(bits)), bool)
    taken[(members * MULTIPLIER >> bits).view(np.int64)] = True
    rows = np.flatnonzero(taken[(keys * MULTIPLIER >> bits).view(np.int64)])
    return rows[np.isin(keys[rows], members)]


def assign_shares(keys: Words, count: int) -> Words:
    """Assign each key to one of `count` shares of about equal size, by its value alone.

    The sizes hold whatever the keys have in common, such as that all of them are even.
    """
    mixed = keys * MULTIPLIER
    # Differences in high bits alone reach the lower bits here.
    mixed ^= mixed >> np.uint64(32)
    mixed *= SECOND_MULTIPLIER
    mixed >>= np.uint64(32)
    return mixed % np.uint64(count)


def _partition(block: Words, bits: int) -> list[int]:
    """Group the keys of a block by class in place; return where each class begins, and the end."""
    classes = ((block * MULTIPLIER) >> np.uint64(64 - bits)).astype(np.uint8)
    block[:] = block[np.argsort(classes, kind="stable")]
    return [0, *np.cumsum(np.bincount(classes, minlength=1 << bits)).tolist()]


def _duplicates_in_class(keys: Words, class_bits: int) -> Words:
    """Find the duplicates of one class.

    Args:
        keys: Keys of the class.
        class_bits: Leading bits of the hash, which all keys of a class share.
    """
    if len(keys) > 4 * CLASS_KEYS:  # an improbable multiplier: sorting bounds the time
        keys.sort()
        return _repeated_neighbours(keys)
    bits = _slot_bits(len(keys))
    slots = ((keys * MULTIPLIER << np.uint64(class_bits)) >> np.uint64(64 - bits)).astype(np.int64)
    table = np.empty(1 << bits, np.int32)
    rows = np.arange(len(keys), dtype=np.int32)
    table[slots] = rows
    lost = np.flatnonzero(table[slots] != rows)
    if len(lost) == 0:
        return keys[:0]
    shared = np.zeros(1 << bits, bool)
    shared[slots[lost]] = True
    colliding = keys[shared[slots]]
    colliding.sort()
    return _repeated_neighbours(colliding)


def _repeated_neighbours(ordered: Words) -> Words:
    """Return the distinct values that equal a neighbour."""
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return repeated[run_starts(repeated)]


def _slot_bits(rows: int) -> int:
    """Return the bits of a table in which most rows have a slot to themselves."""
    return max((4 * rows).bit_length(), 4)
