"""Texts that are whole numbers are keys as such: they stay apart, and are found again."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.kernels.digits import decode_units, whole_numbers
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import concat_keys, text_keys

NUMBERS = st.integers(0, 10**17).map(str) | st.integers(0, 30).map(str)
TEXTS = NUMBERS | st.text("0129ab.", max_size=18) | st.sampled_from(("", "07", "00", "0", "-1"))


def array(texts: list[str | None]) -> pa.Array:
    """As a slice of something longer."""
    return pa.array(["123", *texts, "4567"], pa.string())[1:-1]


@given(st.lists(st.none() | TEXTS, max_size=12))
def test_numbers_without_leading_zeros_are_whole(texts: list[str | None]) -> None:
    good, numbers = whole_numbers(array(texts))
    wanted = [text is not None and bool(re.fullmatch("0|[1-9][0-9]{0,15}", text)) for text in texts]
    assert good.tolist() == wanted
    assert numbers.tolist() == [
        int(text or 0) if is_number else 0 for text, is_number in zip(texts, wanted, strict=True)
    ]


@pytest.mark.parametrize(("point", "places"), [(".", 2), (",", 1), (".", 0)])
@given(texts=st.lists(st.none() | st.text("0123456789.,", max_size=18), max_size=12))
@example(texts=["1234567890123.45", "12345678901234.5", "1234567890123456", "12,5", "012.50"])
def test_longer_numbers_are_decoded(point: str, places: int, texts: list[str | None]) -> None:
    pattern = rf"[0-9]+\{point}[0-9]{{{places}}}" if places else "[0-9]+"
    good, units = decode_units(array(texts), places, point.encode(), 16)
    for text, is_good, unit in zip(texts, good.tolist(), units.tolist(), strict=True):
        fits = text is not None and len(text) <= 16 and bool(re.fullmatch(pattern, text))
        assert is_good == fits
        assert unit == (int((text or "").replace(point, "")) if fits else 0)


@given(st.lists(TEXTS, unique=True, max_size=20), st.lists(st.none() | TEXTS, max_size=20))
@example(["1", "2"], ["1", "01"])
@example(["a", "b"], ["1", "a"])
@example(["1", "a", "5000000"], [None, "a", "1", "5000000", "2"])
def test_texts_are_found_as_by_a_dictionary(known: list[str], asked: list[str | None]) -> None:
    place = {text: at for at, text in enumerate(known)}
    keys = text_keys(pa.chunked_array([array([*known])]))
    found = KeyIndex(keys).find(text_keys(pa.chunked_array([array(asked)])))
    assert found.tolist() == [place.get(text or "", -1) for text in asked]


@given(st.lists(TEXTS, min_size=1, max_size=20), st.integers(0, 20))
def test_keys_are_equal_where_texts_are(texts: list[str], cut: int) -> None:
    halves = texts[:cut], texts[cut:]
    keys = concat_keys([text_keys(pa.chunked_array([one], pa.string())) for one in halves])
    assert keys.low is not None
    pairs = list(zip(keys.high.tolist(), keys.low.tolist(), strict=True))
    assert [pairs.index(one) for one in pairs] == [texts.index(one) for one in texts]
    assert len(np.unique(keys.mixed())) == len(set(texts))
