"""Which of many numbers come again: told by the slots of a table that they fall into.

Numbers of different slots differ, and nearly all have a slot for themselves; the few others are
compared. Where it fits the cache, that takes a fifth of the time of sorting them one comparison at
a time; vector instructions sort them faster still.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Mask, Words
from kpi.kernels.fixed_point import firsts
from kpi.kernels.sorting import Apply, nearly_in_order, sort, vectorised

BLOCK = 1 << 18
"""Numbers put into classes at once."""

CLASS_ROWS = 1 << 15
"""Numbers of a class, about: with their table they fit the cache of a core."""

SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""The high bits of a product with it depend on every bit (Fibonacci hashing)."""

MOST_ROUNDS = 16
"""So often are rows that want one slot given other ones; what still falls together is sorted."""

_MOST_CLASS_BITS = 8

_AMONG_BITS = 14, 20
"""Of a table that tells few wrongly, and that a cache has room for: a byte a slot."""


def repeated(numbers: Words, apply: Apply = map) -> Words:
    """The numbers that stand there more than once, ascending; `numbers` are put in another order.

    Args:
        numbers: Any.
        apply: How parts are worked on.
    """
    if nearly_in_order(numbers) or vectorised():  # the former as keys are that were counted up
        sort(numbers, apply)
        return _again(numbers)
    bits = min((len(numbers) // CLASS_ROWS).bit_length(), _MOST_CLASS_BITS)
    if bits == 0:
        return _repeated_in(numbers, 0)
    blocks = [numbers[at : at + BLOCK] for at in range(0, len(numbers), BLOCK)]
    edges = list(apply(lambda block: _put_in_classes(block, bits), blocks))

    def in_class(one: int) -> Words:
        parts = [
            block[edge[one] : edge[one + 1]] for block, edge in zip(blocks, edges, strict=True)
        ]
        return _repeated_in(np.concatenate(parts), bits)

    found = np.concatenate(list(apply(in_class, range(1 << bits))))
    found.sort()
    return found


def one_of_each(within: npt.NDArray[np.integer], *columns: Words) -> Mask:
    """Marks one row of each different key.

    Args:
        within: First column of the key.
        columns: Its others; rows that have the same in `within` and in the first of these mostly
            have the same in all.
    """
    marked = np.zeros(len(within), bool)
    left = np.arange(len(within), dtype=np.int32)
    hashes = (within.astype(np.uint64) * SPREAD + columns[0]) * SPREAD
    bits = _slot_bits(len(within))
    table = np.empty(1 << bits, np.int32)
    every = (within, *columns)
    for _ in range(MOST_ROUNDS):
        slots = (hashes >> np.uint64(64 - bits)).astype(np.int64)
        # Of several rows that want one slot the last written has it.
        table[slots] = left
        winner = table[slots]
        lost = np.flatnonzero(winner != left)
        marked[winner] = True
        mine, others = left[lost], winner[lost]
        differ = np.logical_or.reduce([column[mine] != column[others] for column in every])
        lost = lost[differ]
        if len(lost) == 0:
            return marked
        left = left[lost]
        hashes = (hashes[lost] ^ (hashes[lost] >> np.uint64(29))) * SPREAD
    # Keys that have been made to fall together.
    by_key = np.lexsort([column[left] for column in every])
    first = np.logical_or.reduce([firsts(column[left][by_key]) for column in every])
    marked[left[by_key[first]]] = True
    return marked


def among(numbers: Words, some: Words) -> npt.NDArray[np.int64]:
    """Where numbers stand that are among some others, ascending.

    `np.isin` compares with each of them or sorts all; here a table leaves few to be compared.

    Args:
        numbers: Any.
        some: Any, far fewer.
    """
    fewest, most = _AMONG_BITS
    bits = np.uint64(64 - min(max(_slot_bits(16 * len(some)), fewest), most))
    taken = np.zeros(1 << (64 - int(bits)), bool)
    taken[(some * SPREAD >> bits).view(np.int64)] = True
    rows = np.flatnonzero(taken[(numbers * SPREAD >> bits).view(np.int64)])
    return rows[np.isin(numbers[rows], some)]


def shares(numbers: Words, count: int) -> Words:
    """Which of some shares each number falls into; whatever is alike in them, as that all are even,
    the shares are of about one size.

    Args:
        numbers: Any.
        count: How many shares there are.
    """
    mixed = numbers * SPREAD
    # What differs in high bits alone, as UUIDs that were counted up, differs in lower ones now.
    mixed ^= mixed >> np.uint64(32)
    mixed *= SPREAD
    mixed >>= np.uint64(32)
    return mixed % np.uint64(count)


def _put_in_classes(block: Words, bits: int) -> list[int]:
    """Put those of a class beside each other; where each class begins, and the last one ends."""
    classes = ((block * SPREAD) >> np.uint64(64 - bits)).astype(np.uint8)
    block[:] = block[np.argsort(classes, kind="stable")]
    return [0, *np.cumsum(np.bincount(classes, minlength=1 << bits)).tolist()]


def _repeated_in(numbers: Words, passed: int) -> Words:
    """Those of one class, which the first bits of the hash, so many, have told."""
    if len(numbers) > 4 * CLASS_ROWS:  # they crowd
        numbers.sort()
        return _again(numbers)
    bits = _slot_bits(len(numbers))
    slots = ((numbers * SPREAD << np.uint64(passed)) >> np.uint64(64 - bits)).astype(np.int64)
    table = np.empty(1 << bits, np.int32)
    rows = np.arange(len(numbers), dtype=np.int32)
    table[slots] = rows
    lost = np.flatnonzero(table[slots] != rows)
    if len(lost) == 0:
        return numbers[:0]
    shared = np.zeros(1 << bits, bool)
    shared[slots[lost]] = True
    crowd = numbers[shared[slots]]
    crowd.sort()
    return _again(crowd)


def _again(ordered: Words) -> Words:
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    return again[firsts(again)]


def _slot_bits(rows: int) -> int:
    """Of a table in which most rows have a slot for themselves."""
    return max((4 * rows).bit_length(), 4)
