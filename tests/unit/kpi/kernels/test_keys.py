"""Keys: dictionaries of Python are the judges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kpi.kernels.hash_index
import kpi.kernels.key_hashing
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import Keys, concat_keys, keys_of, latest_rows
from kpi.kernels.sorting import Execution
from kpi.kernels.uuids import UUID

INT64 = st.one_of(st.integers(0, 50), st.integers(-(2**63), 2**63 - 1))
TEXTS = st.one_of(
    st.text(max_size=3),
    st.text("ab", min_size=6, max_size=18),  # around the words of eight bytes
    st.sampled_from(["", "\x00", "\x00\x00", "a\x00", "a", "0", "00", "7" * 16, "7" * 17]),
)
UUIDS = st.one_of(
    st.integers(0, 2**128 - 1),
    st.integers(0, 5),
    st.integers(0, 5).map(lambda number: number << 64),
).map(lambda number: number.to_bytes(16))
KEYS = st.one_of(*(st.lists(some, max_size=40) for some in (INT64, TEXTS, UUIDS)))


def array_of(values: Sequence[object]) -> pa.Array:
    kinds: dict[type, pa.DataType] = {str: pa.string(), bytes: UUID}
    return pa.array(values, kinds.get(type(values[0]), pa.int64()) if values else pa.int64())


def chunked(values: Sequence[object], cut: int) -> pa.ChunkedArray:
    """The values in two chunks, one of them a slice of something longer."""
    array = array_of([*values, *values[:1]])
    cut = cut % (len(values) + 1)
    return pa.chunked_array([array[:cut], array[cut : len(values)]], array.type)


def keys_in(values: Sequence[object], cut: int = 0) -> Keys:
    return keys_of([chunked(values, cut)])


def pairs(found: Keys) -> list[tuple[int, int]]:
    low = [0] * len(found) if found.low is None else found.low.tolist()
    return list(zip(found.high.tolist(), low, strict=True))


@given(KEYS, st.integers(0, 50))
@example([1, 1, 1], 0)
@example([], 0)
def test_the_last_row_of_a_key_is_the_latest(values: list[object], cut: int) -> None:
    last = {value: row for row, value in enumerate(values)}
    expected = [last[value] == row for row, value in enumerate(values)]
    assert latest_rows(keys_in(values, cut)).tolist() == expected


@given(st.lists(st.tuples(TEXTS, st.integers(0, 3), TEXTS), max_size=30), st.integers(0, 50))
@example([("a", 1, "b"), ("ab", 1, ""), ("", 1, "ab")], 0)
def test_composite_keys_are_equal_exactly_where_all_columns_are(
    rows: list[tuple[str, int, str]], cut: int
) -> None:
    kinds = (pa.string(), pa.int64(), pa.string())
    columns = []
    for number, kind in enumerate(kinds):
        column = pa.array([row[number] for row in rows], kind)
        columns.append(pa.chunked_array([column[:cut], column[cut:]], kind))
    found = pairs(keys_of(columns))
    for one, other in product(range(len(rows)), repeat=2):
        assert (found[one] == found[other]) == (rows[one] == rows[other])


def test_each_half_of_a_hash_tells_texts_apart() -> None:
    words = ["", "a", "a\x00", "\x00a", "\x00", "ab", "ba", "x" * 8, "x" * 9, "x" * 16, "x" * 17]
    words += [f"{a}{b}" for a in ("00000000", "00000001") for b in ("00000000", "00000001")]
    words += [str(number) for number in range(20_000)]
    words += [f"{number:032x}" for number in range(20_000)]
    # Digits at the same place of two words, where weaker sums cancel.
    words += [f"order-{a:02d}/item-{b:02d}" for a in range(100) for b in range(100)]
    found = keys_in(words)
    assert found.low is not None
    assert len(set(found.high.tolist())) == len(set(found.low.tolist())) == len(words)


@pytest.mark.parametrize("one", [0, 7, 0x0190163D86940000])
@pytest.mark.parametrize("step", [1, 1 << 40])
def test_uuids_made_of_numbers_differ_in_what_is_compared_first(one: int, step: int) -> None:
    """Nothing would be wrong if they did not, but each would be compared with all of its like."""
    numbers = [number * step for number in range(2000)]
    made = {*product([one], numbers), *product(numbers, [one]), *zip(numbers, numbers, strict=True)}
    made |= set(product(numbers[:60], numbers[:60]))
    ids = [high.to_bytes(8) + low.to_bytes(8) for high, low in made]
    assert len(set(keys_of([pa.chunked_array([pa.array(ids, UUID)])]).high.tolist())) == len(ids)


@given(st.lists(st.text("ab", min_size=8, max_size=33), min_size=1, max_size=20), st.data())
def test_texts_of_one_length_are_hashed_as_among_others(
    values: list[str], data: st.DataObject
) -> None:
    length = data.draw(st.integers(8, 33))
    alike = [value[:length].ljust(length, "c") for value in values]
    among_others = keys_in([*alike, "another"], data.draw(st.integers(0, 20)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            kpi.kernels.key_hashing, "_ROWS_AT_ONCE", data.draw(st.sampled_from([1, 2, 7, 20]))
        )
        found = keys_in(alike, data.draw(st.integers(0, 20)))
    assert pairs(found) == pairs(among_others)[: len(alike)]


def test_words_far_apart_in_a_long_text_may_not_change_places() -> None:
    one, other, between = "a" * 8, "b" * 8, "c" * (8 * 4095)
    found = pairs(keys_in([one + between + other, other + between + one]))
    assert found[0] != found[1]


def test_the_order_of_columns_counts() -> None:
    one, other = (pa.chunked_array([pa.array([text])]) for text in ("a", "b"))
    assert pairs(keys_of([one, other])) != pairs(keys_of([other, one]))


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
def test_texts_are_told_apart_by_either_half_of_their_hash(
    bits: int, values: list[str], asked: list[str]
) -> None:
    place = {value: number for number, value in enumerate(values)}
    expected = [place.get(one, -1) for one in [*values, *asked]]
    mask = np.uint64((1 << bits) - 1)
    mine, others = (
        keys_of([pa.chunked_array([pa.array(one, pa.string())])]) for one in (values, asked)
    )
    both = concat_keys([mine, others])
    for weak in ("high", "low"):

        def weakened(found: Keys) -> Keys:
            assert found.low is not None
            if weak == "high":  # noqa: B023
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
    """Parts run into each other and around where few bits tell the first slot of a key."""
    asked = [*values, *others, *values[::-1]]
    place = {value: number for number, value in enumerate(values)}

    def weak(numbers: list[int]) -> Keys:
        low = np.array(numbers, np.uint64)
        return Keys(low >> np.uint64(64 - bits), low)

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
