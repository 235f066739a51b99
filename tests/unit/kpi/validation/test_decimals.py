"""Decimals: every excess digit is rounded half-even, once, and counted."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.model import Column
from kpi.validation.decimals import to_decimals
from tests.unit.kpi.columns import chunk_of, contract_of, parser_of, rows_of

DIGITS = st.text("0123456789", min_size=1, max_size=12) | st.text("05", min_size=1, max_size=25)
PLAIN = st.builds("{}{}.{}".format, st.sampled_from(["", "-", "+"]), DIGITS, DIGITS)
FLOATS = st.floats(-1e12, 1e12).map(repr) | st.floats(-1, 1).map(repr)
NUMBERS = PLAIN | FLOATS | st.builds("{}e{}".format, PLAIN, st.integers(-30, 15))


def expected(text: str, column: Column) -> tuple[Decimal | None, bool]:
    """Round one number by the standard library."""
    with localcontext(prec=100):
        exact = Decimal(text)
        rounded = exact.quantize(Decimal(1).scaleb(-column.scale), ROUND_HALF_EVEN)
        if abs(rounded) >= Decimal(10) ** (column.precision - column.scale):
            return None, False
        return rounded, rounded != exact


@pytest.mark.parametrize(("precision", "scale"), [(17, 4), (18, 2), (18, 18), (5, 0), (3, 3)])
@given(texts=st.lists(NUMBERS, min_size=1, max_size=6))
@example(texts=["19.989999771118164", "51.57000000000001", "1.776357e-15"])
@example(texts=["0.00005", "0.00015", "0.000150000000000000000000001", "0.5", "1.5", "2.5"])
def test_rounding_is_that_of_the_decimal_module(
    precision: int, scale: int, texts: list[str]
) -> None:
    column = Column(name="x", type="decimal", precision=precision, scale=scale)
    for repeat in (1, 400):  # few values, and many
        found = to_decimals(pa.array(texts * repeat), column)
        wanted = [expected(text, column) for text in texts]
        assert found.values[: len(texts)].to_pylist() == [value for value, _ in wanted]
        assert found.rounded.tolist() == [rounded for _, rounded in wanted] * repeat


@pytest.mark.parametrize("raw_column", [False, True])
def test_a_receipt_counts_what_was_rounded(raw_column: bool) -> None:
    contract = contract_of('type = "decimal"')
    texts = [b"1.00005", b"1.5", b"10.000000000000000000", b"19.989999771118164", b"x", b"9.99"]
    parsed = parser_of(contract, careful=raw_column).parse(chunk_of(rows_of(texts), contract))
    assert parsed.notes == {"rounded": 2}
    assert parsed.reasons == {"wrong_type": 1}


def test_excess_digits_may_be_rejected() -> None:
    contract = contract_of('type = "decimal", on_excess_digits = "reject"')
    parsed = parser_of(contract).parse(chunk_of(rows_of([b"1.00005", b"1.50000000"]), contract))
    assert (parsed.notes, parsed.reasons) == ({}, {"wrong_type": 1})
