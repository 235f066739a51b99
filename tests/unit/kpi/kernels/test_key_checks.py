"""The check of a key is what its rule says, and tells keys apart that share their hash."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kpi.kernels.key_checks
from kpi.kernels.key_checks import check_rows
from kpi.kernels.key_hashing import KeyHasher
from kpi.kernels.keys import keys_of
from kpi.kernels.process_secrets import CHECK_MULTIPLIER, SECOND_CHECK_MULTIPLIER
from kpi.kernels.uuids import UUID

TEXTS = st.one_of(
    st.text(max_size=3),
    st.text("ab", min_size=6, max_size=26),  # around the ends of words
    st.sampled_from(["", "\x00", "\x00\x00", "a\x00", "7" * 7, "7" * 8, "7" * 9, "7" * 16]),
)


def mix(state: int, word: int) -> int:
    state = (state ^ word) * int(CHECK_MULTIPLIER) % 2**64
    return state ^ state >> 32


def check_of(text: str) -> int:
    """The rule, a word at a time."""
    data = text.encode()
    state = len(data) * int(SECOND_CHECK_MULTIPLIER) % 2**64
    for at in range(0, len(data) - 7, 8):
        state = mix(state, int.from_bytes(data[at : at + 8], "little"))
    return mix(state, int.from_bytes(data[-8:], "little"))


def column(values: list[str], cut: int = 0) -> pa.ChunkedArray:
    array = pa.array(["before", *values], pa.string())[1:]
    return pa.chunked_array([array[:cut], array[cut:]], pa.string())


@given(st.lists(TEXTS, max_size=20), st.integers(0, 20))
@example(["abcdefgh"] * 3, 1)
def test_texts_of_any_length_have_the_check_of_the_rule(texts: list[str], cut: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.kernels.key_checks, "CHECK_BLOCK_ROWS", 7)
        found = check_rows([column(texts, cut)])
    assert found.tolist() == [check_of(text) for text in texts]


@given(st.lists(TEXTS, min_size=2, unique=True))
def test_different_texts_have_different_checks(texts: list[str]) -> None:
    assert len(set(check_rows([column(texts)]).tolist())) == len(texts)


def test_uuids_integers_and_parts_in_another_order_differ() -> None:
    ids = [uuid.UUID(int=number) for number in (1, 2, 2**64, 2**64 + 1)]
    uuids = pa.chunked_array([pa.array([one.bytes for one in ids], UUID)])
    numbers = pa.chunked_array([pa.array([1, 2, -1, 0], pa.int64())])
    texts = column(["1", "2", "-1", "0"])
    found = [
        check_rows(columns).tolist()
        for columns in ([uuids], [numbers], [texts], [texts, numbers], [numbers, texts])
    ]
    assert len({check for checks in found for check in checks}) == 20


def test_keys_under_a_given_hasher_depend_on_nothing_of_the_process() -> None:
    """Such keys are stored: another process must find them."""
    columns = [column(["ORD-1", "ORD-2"])]
    found = keys_of(columns, KeyHasher(bytes(16)))
    high, low = KeyHasher(bytes(16)).hash_rows(columns)
    assert found.low is not None
    assert (found.high.tolist(), found.low.tolist()) == (high.tolist(), low.tolist())
