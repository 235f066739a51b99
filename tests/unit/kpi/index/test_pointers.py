"""Sorted pointers: what is found equals what a dictionary finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kpi.index.pointers import (
    POINTER,
    Pointers,
    find_blocks,
    find_places,
    merge_pointers,
    places_of,
    sort_pointers,
    split_places,
)
from kpi.kernels.arrays import Words

pairs = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40)), max_size=60)
wanted_keys = st.sets(st.integers(0, 14), max_size=8)


def words(values: object) -> Words:
    return np.array(values, np.uint64)


def pointers_of(rows: list[tuple[int, int]]) -> Pointers:
    rows = sorted(rows, key=lambda one: one[1])
    return sort_pointers(words([key for key, _ in rows]), words([place for _, place in rows]))


@given(pairs, wanted_keys)
def test_places_of_wanted_keys_are_found(rows: list[tuple[int, int]], wanted: set[int]) -> None:
    found = find_places(pointers_of(rows), words(sorted(wanted)))
    assert sorted(found.tolist()) == sorted(place for key, place in rows if key in wanted)


@given(st.lists(pairs, max_size=4))
def test_merged_pointers_are_those_of_all_parts(parts: list[list[tuple[int, int]]]) -> None:
    merged = merge_pointers([pointers_of(part) for part in parts])
    assert merged.dtype == POINTER
    assert merged.tolist() == sorted({row for part in parts for row in part})


@given(pairs, wanted_keys, st.integers(1, 5))
def test_blocks_hold_every_row_of_wanted_keys(
    rows: list[tuple[int, int]], wanted: set[int], size: int
) -> None:
    pointers = merge_pointers([pointers_of(rows)])
    blocks = find_blocks(pointers["key"][::size], words(sorted(wanted))).tolist()
    assert blocks == sorted(set(blocks))
    kept = [row for block in blocks for row in pointers[block * size : (block + 1) * size].tolist()]
    of_wanted = [row for row in pointers.tolist() if row[0] in wanted]
    assert [row for row in kept if row[0] in wanted] == of_wanted
    # A block beside them is read only where a key may reach into it.
    assert len(blocks) <= len({at // size for at in range(len(pointers))} or {0})


def test_blocks_without_wanted_keys_are_left_out() -> None:
    fences = words([10, 20, 30, 40])
    assert find_blocks(fences, words([5])).tolist() == []
    assert find_blocks(fences, words([25, 99])).tolist() == [1, 3]
    # The key 30 may begin in the block before its fence.
    assert find_blocks(fences, words([30])).tolist() == [1, 2]
    assert find_blocks(words([]), words([1])).tolist() == []


@given(st.integers(1, 2**31), st.integers(0, 2**31), st.integers(0, 5))
def test_places_name_sequence_and_row(sequence: int, first_row: int, rows: int) -> None:
    sequences, numbers = split_places(places_of(sequence, first_row, rows))
    assert sequences.tolist() == [sequence] * rows
    assert numbers.tolist() == list(range(first_row, first_row + rows))
