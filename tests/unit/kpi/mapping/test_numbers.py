"""Numbers in the forms that contracts name."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.forms import NumberForm
from kpi.mapping.numbers import Numbers, read_numbers


def read(example: str, *texts: str | None, scale: int = 4) -> Numbers:
    form = NumberForm.of_example(example)
    assert form is not None
    return read_numbers(pa.array(list(texts), pa.string()), form, scale)


@pytest.mark.parametrize(
    ("example", "text", "units"),
    [
        ("1.234,50", "1.099,00", 10_990_000),
        ("1.234,50", "-164,85", -1_648_500),
        ("1.234,50", "4", 40_000),
        ("1 234,50 €", "1\u202f234,50\u00a0€", 12_345_000),
        ("1 234,50 €", "20,00", 200_000),
        ("$1,234.50", "-$1,234", -12_340_000),
        ("$1,234.50", "$-3", -30_000),
        ("1,234.50", "1,23,456.7", 1_234_567_000),
        ("1234.50", "(12.50)", -125_000),
        ("1234.50", "12.50-", -125_000),
        ("1234.50", "\u22123", -30_000),
        ("1234.50", "+.5", 5_000),
        ("1234.50", "1e3", 10_000_000),
        ("1234.50", "00099999999999999.5", 999_999_999_999_995_000),
    ],
)
def test_a_number_in_its_form_is_read(example: str, text: str, units: int) -> None:
    found = read(example, text)
    assert found.valid.all()
    assert found.units.tolist() == [units]
    assert not found.rounded.any()


@pytest.mark.parametrize(
    ("example", "text"),
    [
        ("1234.50", "1,234.50"),
        ("1.234,50", "1.23,4"),
        ("1.234,50", "1234.5"),
        ("1,234.50", "12,34"),
        ("1234.50", "12 €"),
        ("1234.50", "--1"),
        ("1234.50", "-"),
        ("1234.50", "."),
        ("1234.50", "1.2.3"),
        ("1234.50", "0x1F"),
        ("1234.50", "999999999999999"),
    ],
)
def test_another_form_is_wrong(example: str, text: str) -> None:
    found = read(example, text)
    assert found.wrong.all()
    assert not found.valid.any()


def test_a_cell_without_value_is_neither_valid_nor_wrong() -> None:
    found = read("1234.50", None)
    assert not found.valid.any()
    assert not found.wrong.any()


@given(st.decimals(-(10**9), 10**9, allow_nan=False, places=None), st.sampled_from((0, 3, 4, 10)))
def test_decimals_are_rounded_half_even(number: Decimal, scale: int) -> None:
    expected = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN)
    found = read("1234.50", f"{number:f}", scale=scale)
    if expected.copy_abs() < Decimal(10) ** (18 - scale):
        assert found.units.tolist() == [int(expected.scaleb(scale))]
        assert found.rounded.tolist() == [expected != number]


@pytest.mark.parametrize("example", ["1.234", "1234", "1 234 5", "12,34.50", "1.234.50", ""])
def test_an_unclear_example_is_refused(example: str) -> None:
    assert NumberForm.of_example(example) is None
