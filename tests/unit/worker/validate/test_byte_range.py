"""Byte ranges: notation, and tiling an object with the ranges of several plans."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import ConfigError
from worker.validate.byte_range import ByteRange, first_gap, tile


def test_a_range_is_two_numbers() -> None:
    assert ByteRange.parse("0-10") == ByteRange(0, 10)
    assert str(ByteRange(0, 10)) == "0-10"
    assert ByteRange.parse(ByteRange(7, 10**15 - 1).padded) == ByteRange(7, 10**15 - 1)


@pytest.mark.parametrize("text", ["", "5", "5-5", "9-3", "a-b", "-1-5", "1-" + "9" * 5000])
def test_another_notation_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected FIRST-END"):
        ByteRange.parse(text)


def test_padded_ranges_sort_by_position() -> None:
    ranges = [ByteRange(start, start + 3) for start in (0, 5, 40, 1000, 10**12)]
    assert sorted(one.padded for one in ranges) == [one.padded for one in ranges]


def reachable(ranges: set[ByteRange], size: int) -> bool:
    """Whether a walk over the ranges leads from 0 to `size`: tiling by definition."""
    seen, todo = {0}, [0]
    while todo:
        at = todo.pop()
        ends = {one.end for one in ranges if one.start == at} - seen
        seen |= ends
        todo += ends
    return size in seen


RANGES = st.sets(
    st.tuples(st.integers(0, 11), st.integers(1, 12)).filter(lambda one: one[0] < one[1])
).map(lambda found: {ByteRange(*one) for one in found})


@given(RANGES)
def test_ranges_tile_an_object_where_a_walk_leads_through(ranges: set[ByteRange]) -> None:
    tiles = tile(ranges, 12)
    assert (tiles is not None) == reachable(ranges, 12)
    if tiles is not None:
        assert set(tiles) <= ranges
        assert (tiles[0].start, tiles[-1].end) == (0, 12)
        assert all(before.end == after.start for before, after in pairwise(tiles))


@given(RANGES)
def test_the_first_gap_is_the_first_byte_without_a_range(ranges: set[ByteRange]) -> None:
    covered = {byte for one in ranges for byte in range(*one)}
    assert first_gap(ranges) == next(byte for byte in range(13) if byte not in covered)
