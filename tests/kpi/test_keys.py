"""Keys: dictionaries of Python are the judges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi import keys
from kpi.keys import KeyIndex, fingerprints, is_exact, key_codes, latest_rows

INT64 = st.one_of(st.integers(0, 50), st.integers(-(2**63), 2**63 - 1))
TEXTS = st.one_of(
    st.text(max_size=3),
    st.text("ab", min_size=6, max_size=18),  # around the words of eight bytes
    st.sampled_from(["", "\x00", "\x00\x00", "a\x00", "a", "0", "00", "7" * 16, "7" * 17]),
)
KEYS = st.one_of(st.lists(INT64, max_size=40), st.lists(TEXTS, max_size=40))


def array_of(values: Sequence[object]) -> pa.Array:
    is_text = any(isinstance(one, str) for one in values)
    return pa.array(values, pa.string() if is_text else pa.int64())


def chunked(values: Sequence[object], cut: int) -> pa.ChunkedArray:
    """The values in two chunks, one of them a slice of something longer."""
    array = array_of([*values, *values[:1]])
    cut = cut % (len(values) + 1)
    return pa.chunked_array([array[:cut], array[cut : len(values)]], array.type)


@given(KEYS, st.integers(0, 50))
@example([1, 1, 1], 0)
@example([], 0)
def test_the_last_row_of_a_key_is_the_latest(values: list[object], cut: int) -> None:
    last = {value: row for row, value in enumerate(values)}
    expected = [last[value] == row for row, value in enumerate(values)]
    hashes = fingerprints([chunked(values, cut)]).view(np.int64)
    for codes in (key_codes([chunked(values, cut)]), hashes):
        mask = latest_rows(codes)
        assert (mask is None) == all(expected)
        assert mask is None or mask.tolist() == expected


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
    codes, hashes = key_codes(columns), fingerprints(columns)
    assert not is_exact(columns)
    for one, other in product(range(len(rows)), repeat=2):
        assert (codes[one] == codes[other]) == (rows[one] == rows[other])
        if rows[one] == rows[other]:
            assert hashes[one] == hashes[other]


def test_texts_that_look_alike_have_fingerprints_of_their_own() -> None:
    words = ["", "a", "a\x00", "\x00a", "\x00", "ab", "ba", "x" * 8, "x" * 9, "x" * 16, "x" * 17]
    words += [f"{a}{b}" for a in ("00000000", "00000001") for b in ("00000000", "00000001")]
    words += [str(number) for number in range(20_000)]
    words += [f"{number:032x}" for number in range(20_000)]
    assert len(set(fingerprints([pa.chunked_array([pa.array(words)])]).tolist())) == len(words)


def test_the_order_of_columns_counts() -> None:
    one, other = (pa.chunked_array([pa.array([text])]) for text in ("a", "b"))
    assert fingerprints([one, other])[0] != fingerprints([other, one])[0]


@given(KEYS.map(lambda values: list(dict.fromkeys(values))), st.data())
@example([], None)
@example([-(2**63), 2**63 - 1], None)
@example([2**63 - 1, 2**63 - 2], None)
def test_an_index_finds_what_it_has(values: list[object], data: st.DataObject | None) -> None:
    index = KeyIndex(array_of(values))
    assert len(index) == len(values)
    is_text = any(isinstance(one, str) for one in values)
    strangers: st.SearchStrategy[object] = TEXTS if is_text else INT64
    ends: list[object] = [] if is_text else [0, -1, -(2**63), 2**63 - 1]
    drawn = [] if data is None else data.draw(st.lists(strangers, max_size=20))
    asked = [*values, *ends, *drawn]
    place = {value: number for number, value in enumerate(values)}
    expected = [place.get(one, -1) for one in asked]
    wanted = pa.array(asked, pa.string() if is_text else pa.int64())
    assert index.find(wanted).tolist() == expected
    assert index.find(wanted.slice(1)).tolist() == expected[1:]
    # The keys may be a slice too.
    assert KeyIndex(array_of([*values[:1], *values]).slice(1)).find(wanted).tolist()[
        : len(values)
    ] == ([] if not values else list(range(len(values))))


@pytest.mark.parametrize("bits", [0, 1, 3])
@given(values=st.lists(TEXTS, max_size=30, unique=True), asked=st.lists(TEXTS, max_size=30))
def test_texts_whose_fingerprints_collide_are_told_apart(
    bits: int, values: list[str], asked: list[str]
) -> None:
    real = keys._text_fingerprints

    def few(texts: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        return real(texts) & np.uint64((1 << bits) - 1)

    place = {value: number for number, value in enumerate(values)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_text_fingerprints", few)
        index = KeyIndex(pa.array(values, pa.string()))
        found = index.find(pa.array([*values, *asked], pa.string())).tolist()
    assert found == [place.get(one, -1) for one in [*values, *asked]]


@pytest.mark.parametrize("step", [1, 3, 7, 1000, 2**32, 2**40])
def test_a_large_index(step: int) -> None:
    values = np.random.default_rng(7).permutation(50_000).astype(np.int64) * step - 10**6
    index = KeyIndex(pa.array(values))
    assert (index.find(pa.array(values)) == np.arange(50_000)).all()
    assert (index.find(pa.array(values + 1)) == -1).all() or step == 1
