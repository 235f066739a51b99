"""Duplicates equal those of a set and a dictionary, however slots and classes collide."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.kernels.duplicates
from kpi.kernels.duplicates import (
    assign_shares,
    find_duplicates,
    find_members,
    mark_distinct,
)
from kpi.kernels.keys import keys_of
from kpi.kernels.process_secrets import MULTIPLIER
from kpi.kernels.sorting import Execution
from kpi.kernels.uuids import UUID

NUMBERS = st.one_of(
    st.lists(st.integers(0, 20), max_size=80),
    st.lists(st.integers(0, 2**64 - 1) | st.integers(2**64 - 9, 2**64 - 1), max_size=80),
    st.lists(st.integers(0, 40), max_size=80).map(sorted),
)


def in_turn(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """As `map`, but another one."""
    return [work(item) for item in items]


@pytest.mark.parametrize(("block", "class_rows"), [(1 << 18, 1 << 15), (7, 2), (64, 1), (16, 8)])
@pytest.mark.parametrize("vectors", [False, True])
@given(values=NUMBERS)
def test_duplicates_are_those_that_a_counter_finds(
    vectors: bool, block: int, class_rows: int, values: list[int]
) -> None:
    numbers = np.array(values, np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.kernels.duplicates, "PARTITION_BLOCK_KEYS", block)
        patch.setattr(kpi.kernels.duplicates, "CLASS_KEYS", class_rows)
        found = find_duplicates(numbers, Execution(apply=in_turn, vector_sort=vectors))
    counts = Counter(values)
    assert found.tolist() == sorted(one for one, count in counts.items() if count > 1)
    assert Counter(numbers.tolist()) == counts


@given(NUMBERS, NUMBERS)
def test_numbers_among_others(values: list[int], others: list[int]) -> None:
    found = find_members(np.array(values, np.uint64), np.array(others, np.uint64))
    assert found.tolist() == [row for row, value in enumerate(values) if value in others]


@pytest.mark.parametrize("count", [3, 300, 20_000])
def test_many_numbers_among_others(count: int) -> None:
    """Some numbers share a slot with members that they are not equal to."""
    numbers = np.random.default_rng(6).integers(0, 2**63, 300_000).astype(np.uint64)
    some = np.concatenate([numbers[1000:2000:5], np.arange(count, dtype=np.uint64)])
    assert find_members(numbers, some).tolist() == list(range(1000, 2000, 5))


@pytest.mark.parametrize("count", [30_000, 200_000, 1_000_000])
@pytest.mark.parametrize("vectors", [False, True])
def test_many_numbers(vectors: bool, count: int) -> None:
    random = np.random.default_rng(5)
    numbers = random.integers(0, 2**64, count, np.uint64, endpoint=False)
    places = random.choice(count, 40, replace=False)
    numbers[places[:20]] = numbers[places[20:]]
    numbers[places[:5]] = numbers[places[20]]
    expected = sorted(
        set(numbers[places[20:]].tolist()) - {int(one) for one in numbers[places[21:25]]}
    )
    assert find_duplicates(numbers, Execution(vector_sort=vectors)).tolist() == expected


def test_numbers_that_were_made_to_fall_into_one_class() -> None:
    """Multiples of what undoes the spreading: their hashes are small numbers."""
    undo = np.uint64(pow(int(MULTIPLIER), -1, 2**64))
    numbers = np.arange(400_000, dtype=np.uint64)[::-1] * undo
    numbers[7] = numbers[399_000]
    assert find_duplicates(numbers).tolist() == [999 * int(undo) % 2**64]


@pytest.mark.parametrize("bits", [0, 1, 64])
@pytest.mark.parametrize("rounds", [1, 2, 16])
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 5), st.integers(0, 2**64 - 1) | st.integers(0, 4)
        ),
        max_size=60,
    )
)
def test_one_row_of_each_key(bits: int, rounds: int, rows: list[tuple[int, int, int]]) -> None:
    """Also where the first two columns are the same in many: their keys fall together each time."""
    days = np.array([day for day, _, _ in rows], np.int32)
    high, low = (np.array([row[at] for row in rows], np.uint64) for at in (1, 2))
    high &= np.uint64((1 << bits) - 1)
    keys = list(zip(days.tolist(), high.tolist(), low.tolist(), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.kernels.duplicates, "MAX_PROBE_ROUNDS", rounds)
        marked = mark_distinct(days, high, low)
    assert Counter(key for key, one in zip(keys, marked, strict=True) if one) == Counter(set(keys))
    only = list(zip(days.tolist(), high.tolist(), strict=True))
    marked = mark_distinct(days, high)
    assert Counter(key for key, one in zip(only, marked, strict=True) if one) == Counter(set(only))


@pytest.mark.parametrize("count", [2, 3, 8, 12])
@pytest.mark.parametrize("step", [1, 2, 1000, 2**20, 2**40, 2**48 + 2**56])
def test_shares_are_of_about_one_size_whatever_is_alike(step: int, count: int) -> None:
    numbers = np.arange(10_000, dtype=np.uint64) * np.uint64(step)
    sizes = np.bincount(assign_shares(numbers, count).astype(np.int64), minlength=count)
    assert len(sizes) == count
    assert sizes.max() < 1.5 * len(numbers) / count


@pytest.mark.parametrize("count", [2, 3, 8])
def test_shares_of_uuids_that_were_counted_up(count: int) -> None:
    ids = [uuid.UUID(int=(0x0190163D << 96) | number).bytes for number in range(10_000)]
    numbers = keys_of([pa.chunked_array([pa.array(ids, UUID)])]).high
    sizes = np.bincount(assign_shares(numbers, count).astype(np.int64), minlength=count)
    assert sizes.max() < 1.5 * len(numbers) / count
