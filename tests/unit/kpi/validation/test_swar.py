"""Screens: what they name is good by the regular expressions too, and they name the common."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kpi.validation.swar
from kpi.contract.model import Column
from kpi.validation.swar import (
    common_places,
    decode_dates,
    decode_decimals,
    decode_integers,
    decode_timestamps,
    reference_decimal_units,
    reference_integer,
    reference_timestamp,
)

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


@pytest.mark.parametrize("few", [0, 1000])
@given(texts=arrays(MOMENTS | FIELDS | spoiled(MOMENTS)))
@example(texts=pa.array(["0000-01-01T00:00:00", "2025-02-29T00:00:00", "2025-04-31T00:00:00"]))
@example(texts=pa.array(["2025-01-01T24:00:00", "2025-01-01T00:60:00", "2025-01-01T00:00:60"]))
@example(texts=pa.array(["2025-00-01T00:00:00", "2025-13-01T00:00:00", "2025-01-00T00:00:00"]))
def test_timestamps_decode_as_their_reference(few: int, texts: pa.Array) -> None:
    with mock.patch.object(kpi.validation.swar, "_MAX_COPIED_RUNS", few):
        instants = decode_timestamps(texts).cast(pa.int64())
    for text, instant in zip(texts.to_pylist(), instants.to_pylist(), strict=True):
        assert instant == (None if text is None else reference_timestamp(text))
        if instant is not None and not text.startswith("0000"):
            assert instant == microseconds(datetime.fromisoformat(text))


DAYS = st.dates().map(str)


@given(texts=arrays(DAYS | spoiled(DAYS) | MOMENTS))
@example(texts=pa.array(["0000-01-01", "2025-02-29", "2024-02-29", "2025-13-01", None, "", "x"]))
def test_dates_decode_as_their_reference(texts: pa.Array) -> None:
    found = decode_dates(texts).cast(pa.int64()).to_pylist()
    assert found == [
        None if text is None else reference_timestamp(f"{text}T00:00:00")
        for text in texts.to_pylist()
    ]


def test_every_day_of_the_calendar_is_one() -> None:
    days = [date.fromordinal(number) for number in range(1, date.max.toordinal() + 1, 13)]
    days += [date(year, 2, 28) + timedelta(1) for year in range(1, 9999)]
    instants = decode_timestamps(pa.array([f"{day.isoformat()} 23:59:59" for day in days]))
    seconds = [(day.toordinal() - date(1970, 1, 1).toordinal()) * 86_400 + 86_399 for day in days]
    assert instants.cast(pa.int64()).to_pylist() == [1_000_000 * second for second in seconds]


def test_what_no_calendar_has_is_none_among_many() -> None:
    """More rows than are compared with the shape at once."""
    texts = [
        f"{year:04}-{month:02}-{day:02}T{hour}:00:00"
        for year in (1896, 1900, 1904, 2000, 2023)
        for month in range(100)
        for day in range(40)
        for hour in ("00", "23", "24", "29")
    ]
    got = decode_timestamps(pa.array(texts)).is_valid().to_pylist()
    assert got == [reference_timestamp(text) is not None for text in texts]


@pytest.mark.parametrize("base", ["2020-02-29T19:09:00", "1999-12-31 23:59:59"])
def test_every_character_in_every_place(base: str) -> None:
    codes = [chr(code) for code in range(128)]
    texts = [base[:at] + code + base[at + 1 :] for at in range(len(base)) for code in codes]
    texts += [base[:at] + "\u00b0" + base[at + 2 :] for at in range(len(base) - 1)]  # two bytes
    texts += [base[:at] + "\u00fa" + base[at + 2 :] for at in range(len(base) - 1)]
    instants = decode_timestamps(pa.array(texts)).cast(pa.int64()).to_pylist()
    for text, instant in zip(texts, instants, strict=True):
        assert instant == reference_timestamp(text)
        if instant is not None:
            assert instant == microseconds(datetime.fromisoformat(text))


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


@pytest.mark.parametrize("scale", [0, 1, 2, 3, 6, 7])
@given(texts=arrays(AMOUNTS | spoiled(AMOUNTS) | st.text("0123456789.-", max_size=10)))
def test_decimals_decode_as_their_reference(scale: int, texts: pa.Array) -> None:
    column = Column(name="price", type="decimal", precision=15, scale=scale)
    for places in range(min(scale, 6) + 1):
        plain, units = decode_decimals(texts, column, places)
        for row, text in enumerate(texts.to_pylist()):
            wanted = None if text is None else reference_decimal_units(text, places)
            assert (int(units[row]) if plain[row] else None) == (
                None if wanted is None else wanted * 10 ** (scale - places)
            )


@given(
    arrays(
        st.integers(-5, 10**9).map(str)
        | spoiled(AMOUNTS)
        | st.text("0123", max_size=9)
        | st.text("09", min_size=17, max_size=20)
    )
)
def test_integers_decode_as_their_reference(texts: pa.Array) -> None:
    for text, number in zip(texts.to_pylist(), decode_integers(texts).to_pylist(), strict=True):
        assert number == (None if text is None else reference_integer(text))


def decimals(texts: pa.Array) -> pa.Array:
    """Amounts of two places, in units."""
    plain, units = decode_decimals(texts, Column(name="price", type="decimal"), 2)
    return pa.array(units, mask=~plain)


@pytest.mark.parametrize("behind", ["x", "12", "12.50", "2025-03-30", "2025-03-30T16:14:26"])
def test_bytes_behind_a_null_are_not_read(behind: str) -> None:
    whole = pa.array([behind, behind])
    buffers = [pa.py_buffer(b"\x02"), *whole.buffers()[1:]]
    texts = pa.Array.from_buffers(pa.string(), 2, buffers)
    for read in (decode_integers, decode_timestamps, decode_dates, decimals):
        first, second = read(texts).to_pylist()
        assert (first, second) == (None, read(whole).to_pylist()[1])


def test_a_column_of_few_digits_is_not_decoded() -> None:
    column = Column(name="price", type="decimal", precision=6, scale=2)
    plain, _ = decode_decimals(pa.array(["99999.99"]), column, 2)
    assert not plain.any()


@pytest.mark.parametrize(
    ("texts", "places"),
    [
        (["12.50"], 2),
        ([None, "x", "7"], 0),
        (["1.123456789"], 4),
        (["x"], 2),
        ([], 2),
    ],
)
def test_the_first_number_tells_the_places(texts: list[str | None], places: int) -> None:
    column = Column(name="price", type="decimal")
    assert common_places(pa.array(texts, pa.string()), column) == places


def test_nothing() -> None:
    for texts in (pa.array([], pa.string()), pa.nulls(3, pa.string())):
        for read in (decode_timestamps, decode_dates, decimals, decode_integers):
            values = read(texts)
            assert len(values) == values.null_count == len(texts)
