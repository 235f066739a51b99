"""What is decoded eight bytes at a time equals what the patterns of a form read."""

from __future__ import annotations

from decimal import Decimal
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kpi.mapping.dates
import kpi.mapping.numbers
from kpi.contract.folding import BLANKS
from kpi.contract.forms import ISO, DateForm, NumberForm
from kpi.csv.blank_records import find_blank_cells
from kpi.csv.chunk import Chunk
from kpi.csv.text_table import read_texts
from kpi.mapping.dates import Clock, Times, read_times
from kpi.mapping.file_rows import without_empty
from kpi.mapping.numbers import Numbers, read_numbers
from kpi.mapping.repeats import RepeatCounter
from kpi.mapping.stamps import stamp_shapes

NUMBERS = ("1234.50", "1234,50", "1.234,50", "1 234,50 €", "$1,234.50", "1234·50")
DATES = (
    *("iso", "31.12.2025", "12/31/25 23:59", "2025-12-31 23:59:59", "2025-12-31T23:59:59+01:00"),
    *("31.12.2025 23:59:59 UTC", "23:59 31.12.2025", "2025/12/31 23:59", "Dec 31, 2025"),
)
ZONES = st.sampled_from(("", "", "Z", " UTC", "+01:00", " -0500", ".5", ".123456789Z", ":5", "0"))
DIGITS = st.text("0123456789", max_size=9)


def amounts(mark: str) -> st.SearchStrategy[str]:
    number = st.tuples(DIGITS, st.sampled_from((mark, mark, mark, ".", "")), DIGITS).map("".join)
    return number | st.text(f"0123456789{mark}-+e ", max_size=18) | st.integers(0, 99).map(str)


@st.composite
def moments(draw: st.DrawFn) -> tuple[DateForm, list[str | None]]:
    """Draw a form, and texts of it, spoiled or with something behind them."""
    form = DateForm.of_example(draw(st.sampled_from(DATES)))
    assert form is not None
    texts: list[str | None] = [None]
    for when in draw(st.lists(st.datetimes(), max_size=8)):
        text = form.example if form.example != "iso" else "2025-12-31T23:59:59"
        fields = {"2025": f"{when:%Y}".zfill(4), "31": f"{when:%d}", "12": f"{when:%m}"}
        fields |= {"23": f"{when:%H}", "59": f"{when:%M}", "25": f"{when:%y}", "Dec": f"{when:%b}"}
        for old, new in fields.items():
            text = text.replace(old, new)
        at = draw(st.integers(0, len(text)))
        spoil = draw(st.sampled_from(("", "", "", "", "9", "T", " ", "é")))
        texts.append(text[:at] + spoil + text[at + len(spoil) :] + draw(ZONES))
        texts.append(text[: draw(st.sampled_from((10, 16)))])
    return form, texts


def same_numbers(found: Numbers, wanted: Numbers) -> bool:
    return all(
        (getattr(found, name) == getattr(wanted, name)).all()
        for name in ("units", "valid", "wrong", "rounded")
    )


@pytest.mark.parametrize("scale", [3, 4, 10])
@given(written=st.sampled_from(NUMBERS), data=st.data())
def test_plain_numbers_read_as_by_patterns(scale: int, written: str, data: st.DataObject) -> None:
    form = NumberForm.of_example(written)
    assert form is not None
    some = data.draw(st.lists(st.none() | amounts(form.decimal), max_size=12))
    texts = pa.array(["x", *some], pa.string())[1:]
    nothing = np.zeros(len(texts), bool), np.zeros(len(texts), np.int64)
    with mock.patch.object(kpi.mapping.numbers, "read_plain", return_value=nothing):
        wanted = read_numbers(texts, form, scale)
    with mock.patch.object(kpi.mapping.numbers, "MIN_DECODED_ROWS", 0):
        assert same_numbers(read_numbers(texts, form, scale), wanted)


@pytest.mark.parametrize("zone", ["as written", "Europe/Berlin"])
@given(drawn=moments())
@example(drawn=(ISO, ["0000-01-01", "2025-02-29"]))
def test_stamps_read_as_by_patterns(zone: str, drawn: tuple[DateForm, list[str | None]]) -> None:
    form, texts = drawn
    some, clock = pa.array(["x", *texts], pa.string())[1:], Clock(zone, "Europe/Lisbon")

    def lists(times: Times) -> list[list[int]]:
        return [one.tolist() for one in (times.instants, times.days, times.valid, times.wrong)]

    with mock.patch.object(kpi.mapping.dates, "stamp_shapes", return_value=()):
        wanted = read_times(some, [form], clock)
    assert lists(read_times(some, [form], clock)) == lists(wanted)


@pytest.mark.parametrize(
    ("written", "shapes"),
    [
        ("31.12.2025 23:59", ("DD.MM.YYYY hh:mm",)),
        ("2025-12-31T23:59:59+01:00", ("YYYY-MM-DDThh:mm:ss",)),
        ("23:59:59 12/31/25", ("hh:mm:ss MM/DD/yy",)),
        ("Dec 31, 2025", ()),
        ("12/31/2025 11:59 PM", ()),
        ("31.12.2025\u00a023:59", ()),
    ],
)
def test_a_form_of_fixed_widths_has_a_shape(written: str, shapes: tuple[str, ...]) -> None:
    form = DateForm.of_example(written)
    assert form is not None
    assert stamp_shapes(form) == shapes


FIELDS = st.sampled_from((b"", b"a", b'"b,c"', b'"d\ne"', "ü".encode(), b"\xff", b" "))
LINES = st.lists(st.lists(FIELDS, max_size=4).map(b",".join), max_size=6).map(b"\n".join)


@given(LINES.filter(bool), st.sampled_from(([0], [2], [1, 2])))
def test_columns_read_later_are_as_those_read_at_once(data: bytes, needed: list[int]) -> None:
    whole = read_texts(Chunk.of(data), 3, ",")
    some = read_texts(Chunk.of(data), 3, ",", needed)
    assert [one.to_pylist() for one in some.columns] == [one.to_pylist() for one in whole.columns]
    assert some.numbers.tolist() == whole.numbers.tolist()
    assert some.wrong.tolist() == whole.wrong.tolist()


def test_bytes_behind_a_cell_without_value_are_not_shown() -> None:
    whole = pa.array(["x", "", "y"])
    cells = pa.Array.from_buffers(pa.string(), 3, [pa.py_buffer(b"\x06"), *whole.buffers()[1:]])
    assert without_empty(cells).to_pylist() == [None, None, "y"]


@given(st.lists(st.none() | st.text(f'{BLANKS}\0\x1a"ax\u00e9', max_size=3), max_size=8))
def test_cells_of_blanks_alone_are_blank(cells: list[str | None]) -> None:
    found = find_blank_cells(pa.array(["x", *cells], pa.string())[1:])
    assert found.tolist() == [not (cell or "").strip(f"{BLANKS}\0\x1a") for cell in cells]


ROWS = st.tuples(
    st.sampled_from("abcdef"), st.sampled_from((None, "x")), st.sampled_from((None, 0, 1))
)


@given(st.lists(st.lists(ROWS, max_size=5), max_size=4))
def test_keys_with_other_values_are_counted(
    pieces: list[list[tuple[str, str | None, int | None]]],
) -> None:
    counter = RepeatCounter(["id"])
    of_key: dict[str, set[tuple[str | int | None, ...]]] = {}
    for piece in pieces:
        columns = {
            "id": pa.array([one[0] for one in piece], pa.string()),
            "text": pa.array([one[1] for one in piece], pa.string()),
            "money": pa.array([one[2] and Decimal(one[2]) for one in piece], pa.decimal128(18, 4)),
            "day": pa.array([one[2] for one in piece], pa.int32()),
        }
        counter.include(pa.table(columns))
        for key, *values in piece:
            of_key.setdefault(key, set()).add(tuple(values))
    assert counter.count() == sum(len(values) > 1 for values in of_key.values())
