"""An index finds what a dictionary of Python finds, however its keys collide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kpi.kernels.hash_index
from kpi.kernels.arrays import Words
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import Keys, concat_keys, keys_of, latest_rows
from kpi.kernels.sorting import Execution
from tests.unit.kpi.kernels.key_columns import INT64, KEYS, TEXTS, UUIDS, chunked, keys_in


@given(KEYS.map(lambda values: list(dict.fromkeys(values))), st.data())
@example([], None)
@example([-(2**63), 2**63 - 1], None)
@example([2**63 - 1, 2**63 - 2], None)
def test_an_index_finds_what_it_has(values: list[object], data: st.DataObject | None) -> None:
    kind = type(values[0]) if values else int
    strangers: st.SearchStrategy[object] = {str: TEXTS, bytes: UUIDS, int: INT64}[kind]
    ends: list[object] = [0, -1, -(2**63), 2**63 - 1] if kind is int else []
    drawn = [] if data is None else data.draw(st.lists(strangers, max_size=20))
    asked = [*values, *ends, *drawn]
    if not asked:
        return
    place = {value: number for number, value in enumerate(values)}
    expected = [place.get(one, -1) for one in asked]
    everything = keys_in(asked, len(values))
    index = KeyIndex(everything.take(np.arange(len(values))))
    assert len(index) == len(values)
    assert index.find(everything).tolist() == expected
    assert index.find(keys_of([chunked(asked, 0).slice(1)])).tolist() == expected[1:]


@pytest.mark.parametrize("bits", [0, 1, 3])
@given(values=st.lists(TEXTS, max_size=30, unique=True), asked=st.lists(TEXTS, max_size=30))
def test_texts_with_one_equal_half_of_a_hash_stay_apart(
    bits: int, values: list[str], asked: list[str]
) -> None:
    place = {value: number for number, value in enumerate(values)}
    expected = [place.get(one, -1) for one in [*values, *asked]]
    mask = np.uint64(2**64 - 2 ** (64 - bits))
    mine, others = (
        keys_of([pa.chunked_array([pa.array(one, pa.string())])]) for one in (values, asked)
    )
    both = concat_keys([mine, others])
    for weak in ("high", "low"):

        def weakened(found: Keys, weak: str = weak) -> Keys:
            assert found.low is not None
            if weak == "high":
                return Keys(found.high & mask, found.low)
            return Keys(found.high, found.low & mask)

        assert KeyIndex(weakened(mine)).find(weakened(both)).tolist() == expected
        last = {value: row for row, value in enumerate([*values, *asked])}
        latest = [last[value] == row for row, value in enumerate([*values, *asked])]
        assert latest_rows(weakened(both)).tolist() == latest


@given(KEYS)
def test_equal_keys_are_found_at_one_place(values: list[object]) -> None:
    found = keys_in(values)
    places = KeyIndex(found).find(found).tolist()
    for row, place in enumerate(places):
        assert values[place] == values[row]
    assert len(set(places)) == len(set(values))


@pytest.mark.parametrize("bits", [1, 3, 6, 64])
@given(
    values=st.lists(st.integers(0, 2**64 - 1), min_size=16, max_size=80, unique=True),
    others=st.lists(st.integers(0, 2**64 - 1), max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_a_table_filled_in_parts(
    bits: int, values: list[int], others: list[int], order: Random
) -> None:
    """Parts run into each other and around where few bits decide the first slot of a key."""
    asked = [*values, *others, *values[::-1]]
    place = {value: number for number, value in enumerate(values)}

    def weak(numbers: list[int]) -> Keys:
        low = np.array(numbers, np.uint64)
        kept = np.uint64(2**64 - 2 ** (64 - bits))
        return Keys(low & kept, low)

    def in_any_order(work: Callable[[Any], Any], parts: Iterable[Any]) -> list[Any]:
        waiting = list(enumerate(parts))
        order.shuffle(waiting)
        done = {number: work(part) for number, part in waiting}
        return [done[number] for number in sorted(done)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.kernels.hash_index, "KEY_BLOCK_ROWS", 4)
        index = KeyIndex(weak(values), Execution(apply=in_any_order))
    assert index.find(weak(asked)).tolist() == [place.get(one, -1) for one in asked]


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 9)), max_size=9),
    st.integers(0, 9),
)
def test_keys_in_runs_are_found_as_others_are(runs: list[tuple[str, int]], seen: int) -> None:
    asked = [key for key, length in runs for _ in range(length)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.kernels.hash_index, "RUN_SAMPLE_KEYS", seen)
        found = KeyIndex(keys_in(["b", "a", "d"])).find(
            keys_of([pa.chunked_array([asked], pa.string())])
        )
    assert found.tolist() == [{"b": 0, "a": 1, "d": 2}.get(one, -1) for one in asked]


@pytest.mark.parametrize("step", [1, 3, 7, 1000, 2**32, 2**40])
def test_a_large_index(step: int) -> None:
    values = np.random.default_rng(7).permutation(50_000).astype(np.int64) * step - 10**6
    index = KeyIndex(keys_of([pa.chunked_array([values])]))
    assert (index.find(keys_of([pa.chunked_array([values])])) == np.arange(50_000)).all()
    others = keys_of([pa.chunked_array([values + 1])])
    assert (index.find(others) == -1).all() or step == 1


OLD_MULTIPLIER = 0x9E3779B97F4A7C15
"""The factor of release 0.1.0, which everybody knew."""


def flood(multiplier: int, count: int) -> Words:
    """Choose integers whose products with a factor share their upper 32 bits."""
    products = np.arange(count, dtype=np.uint64) * np.uint64(99_991) | np.uint64(7 << 32)
    return products * np.uint64(pow(multiplier, -1, 2**64))


def test_integers_chosen_for_one_slot_of_a_known_factor_spread_here() -> None:
    """With the known factor, 40,000 of them took 70 seconds."""
    values = flood(OLD_MULTIPLIER, 40_000)
    slots = kpi.kernels.hash_index._hash_integers(values)
    assert len(np.unique(values * np.uint64(OLD_MULTIPLIER) >> np.uint64(32))) == 1
    assert len(np.unique(slots)) > 39_000


@pytest.mark.slow
@pytest.mark.parametrize("apply", [map, lambda work, parts: [work(part) for part in parts]])
def test_integers_that_all_want_one_slot_are_sorted(
    apply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[int] = []

    def one_slot(values: Words) -> Words:
        probes.append(len(values))
        return np.full(len(values), 2**31, np.uint64)

    monkeypatch.setattr(kpi.kernels.hash_index, "_hash_integers", one_slot)
    values = np.random.default_rng(2).permutation(200_000).astype(np.int64) * 1001
    index = KeyIndex(Keys(values.view(np.uint64), None), Execution(apply=apply))
    asked: npt.NDArray[np.int64] = np.concatenate([values, values + 1, [2**62, -5]])
    expected = [*range(200_000), *[-1] * 200_002]
    assert index.find(Keys(asked.view(np.uint64), None)).tolist() == expected
    assert sum(probes) == len(values)  # no slot was looked for once the table was given up
