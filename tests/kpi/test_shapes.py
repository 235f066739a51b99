"""Screens: what they name is good by the regular expressions too, and they name the common."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract import Column
from kpi.convert import NAIVE_TIMESTAMP
from kpi.shapes import plain_decimals, plain_integers, plain_timestamps

CHARACTERS = st.sampled_from("0123456789-:T .+/;@\x00A") | st.characters()


def spoiled(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts with a character changed, put in or left out."""
    place = st.tuples(texts, st.integers(0, 20), CHARACTERS, st.integers(0, 2))
    return place.map(lambda one: one[0][: one[1]] + one[2][: one[3]] + one[0][one[1] + one[3] :])


MOMENTS = st.datetimes().map(lambda moment: moment.strftime("%04Y-%m-%dT%H:%M:%S"))
FIELDS = st.tuples(*[st.integers(0, 99)] * 6).map(
    lambda f: "20{:02}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*f)
)
AMOUNTS = st.decimals(0, 99999, places=2).map(str)


def arrays(texts: st.SearchStrategy[str]) -> st.SearchStrategy[pa.Array]:
    """Some texts and nulls, as a slice of something longer."""
    some = st.lists(st.none() | texts, max_size=12)
    return some.map(lambda values: pa.array(["x", *values, "12.50"], pa.string())[1:-1])


@given(arrays(MOMENTS | FIELDS | spoiled(MOMENTS)))
@example(pa.array(["0000-01-01T00:00:00", "2025-02-29T00:00:00", "2025-04-31T00:00:00"]))
@example(pa.array(["2025-01-01T24:00:00", "2025-01-01T00:60:00", "2025-01-01T00:00:60"]))
@example(pa.array(["2025-00-01T00:00:00", "2025-13-01T00:00:00", "2025-01-00T00:00:00"]))
def test_plain_timestamps_are_timestamps(texts: pa.Array) -> None:
    plain, instants = plain_timestamps(texts)
    for text, sure, instant in zip(
        texts.to_pylist(), plain.tolist(), instants.tolist(), strict=True
    ):
        likely = text is not None and re.fullmatch(NAIVE_TIMESTAMP.strip("^$"), text)
        common = bool(likely) and len(text) == len("2025-03-30T16:14:26")
        assert sure == (common and not text.startswith("0000"))
        assert not sure or instant == microseconds(datetime.fromisoformat(text))


def test_every_day_of_the_calendar_is_one() -> None:
    days = [date.fromordinal(number) for number in range(1, date.max.toordinal() + 1, 13)]
    days += [date(year, 2, 28) + timedelta(1) for year in range(1, 9999)]
    plain, instants = plain_timestamps(pa.array([f"{day.isoformat()} 23:59:59" for day in days]))
    assert plain.all()
    seconds = [(day.toordinal() - date(1970, 1, 1).toordinal()) * 86_400 + 86_399 for day in days]
    assert instants.tolist() == [1_000_000 * second for second in seconds]


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


@pytest.mark.parametrize("scale", [0, 1, 2, 3, 6, 7])
@given(texts=arrays(AMOUNTS | spoiled(AMOUNTS) | st.text("0123456789.-", max_size=10)))
def test_plain_decimals_are_decimals(scale: int, texts: pa.Array) -> None:
    column = Column(name="price", type="decimal", precision=15, scale=scale)
    pattern = rf"[0-9]+\.[0-9]{{{scale}}}" if scale else "[0-9]+"
    plain, units = plain_decimals(texts, column)
    for text, sure, unit in zip(texts.to_pylist(), plain.tolist(), units.tolist(), strict=True):
        likely = text is not None and re.fullmatch(pattern, text, re.ASCII)
        assert not sure or (likely and unit == int(text.replace(".", "")))
        if likely and scale + 2 <= len(text) <= 8 and scale < 7:
            assert sure


@given(arrays(st.integers(-5, 10**9).map(str) | spoiled(AMOUNTS) | st.text("0123", max_size=9)))
def test_plain_integers_are_integers(texts: pa.Array) -> None:
    plain, numbers = plain_integers(texts)
    for text, sure, number in zip(texts.to_pylist(), plain.tolist(), numbers.tolist(), strict=True):
        assert sure == (text is not None and bool(re.fullmatch("[0-9]{1,8}", text, re.ASCII)))
        assert not sure or number == int(text)


def test_a_column_of_few_digits_is_left_to_others() -> None:
    column = Column(name="price", type="decimal", precision=7, scale=2)
    assert not plain_decimals(pa.array(["99999.99"]), column)[0].any()


def test_nothing() -> None:
    column = Column(name="price", type="decimal")
    for texts in (pa.array([], pa.string()), pa.nulls(3, pa.string())):
        assert not np.any(plain_timestamps(texts)[0])
        assert not np.any(plain_decimals(texts, column)[0])
        assert not np.any(plain_integers(texts)[0])
