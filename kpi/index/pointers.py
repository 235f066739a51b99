"""Sorted arrays of pointers: build, merge, and find the places of keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Int64s, Words

POINTER = np.dtype([("key", "<u8"), ("place", "<u8")])
"""A pointer: the word of a key, and the place of one row that has it."""

ROW_BITS = 32
"""Bits of a place that number the row within its source object; those above are the sequence of the
ledger entry. Both numbers fit: a source object of 2**32 rows has 40 GB at least."""

Pointers = npt.NDArray[np.void]
"""Pointers in ascending order of key, then place; shape (n,), dtype `POINTER`."""


def places_of(sequence: int, first_row: int, rows: int) -> Words:
    """Return the places of consecutive rows of one source object."""
    base = (sequence << ROW_BITS) + first_row
    return np.arange(base, base + rows, dtype=np.uint64)


def split_places(places: Words) -> tuple[Int64s, Int64s]:
    """Return the ledger sequences and the row numbers of some places."""
    mask = np.uint64((1 << ROW_BITS) - 1)
    return (places >> np.uint64(ROW_BITS)).view(np.int64), (places & mask).view(np.int64)


def sort_pointers(keys: Words, places: Words) -> Pointers:
    """Build pointers.

    Args:
        keys: A word for the key of each row.
        places: The place of each row, ascending.
    """
    order = np.argsort(keys, kind="stable")
    pointers = np.empty(len(keys), POINTER)
    pointers["key"], pointers["place"] = keys[order], places[order]
    return pointers


def merge_pointers(parts: Sequence[Pointers]) -> Pointers:
    """Merge sorted pointers; one that several parts have is kept once."""
    joined = np.concatenate([np.empty(0, POINTER), *parts])
    merged: Pointers = joined[np.lexsort((joined["place"], joined["key"]))]
    repeated = np.zeros(len(merged), bool)
    repeated[1:] = merged[1:] == merged[:-1]
    return merged[~repeated]


def find_places(pointers: Pointers, wanted: Words) -> Words:
    """Return the places of the rows that have one of some keys.

    Args:
        pointers: Where to look.
        wanted: Words of keys, ascending and distinct.
    """
    keys = pointers["key"]
    if len(wanted) >= len(keys):
        return pointers["place"][np.isin(keys, wanted)]
    starts = np.searchsorted(keys, wanted, "left")
    lengths = np.searchsorted(keys, wanted, "right") - starts
    # The positions starts[i], starts[i] + 1, ... of each key, one after the other.
    ends = np.cumsum(lengths)
    at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return pointers["place"][at]


def find_blocks(fences: Words, wanted: Words) -> Int64s:
    """Return the numbers of the blocks that may hold one of some keys, ascending.

    Args:
        fences: First key of each block of some pointers, ascending.
        wanted: Words of keys, ascending and distinct.
    """
    if len(fences) == 0:
        return np.zeros(0, np.int64)
    # A key may begin in the block before the first fence that equals it.
    first = np.maximum(np.searchsorted(fences, wanted, "left") - 1, 0)
    last = np.searchsorted(fences, wanted, "right") - 1
    hit = last >= 0
    spans = np.zeros(len(fences) + 1, np.int64)
    np.add.at(spans, first[hit], 1)
    np.add.at(spans, last[hit] + 1, -1)
    return np.flatnonzero(np.cumsum(spans[:-1]))
