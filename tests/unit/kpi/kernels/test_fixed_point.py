"""Exact arithmetic: Python's integers and decimals are the judges."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.errors import KpiError
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s

INT64 = st.integers(-(2**63), 2**63 - 1)
AMOUNTS = st.one_of(st.integers(-1000, 1000), st.integers(-(10**12), 10**12), INT64)


def int64s(values: list[int]) -> Int64s:
    return np.array(values, np.int64)


def rounded(value: Decimal | int, whole: int, places: int = 0) -> Decimal:
    with localcontext(prec=100):
        quotient = Decimal(value) / Decimal(whole)
        return quotient.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)


@given(
    st.lists(
        st.tuples(st.integers(-(2**60), 2**60), st.integers(1, 2**60)), min_size=1, max_size=20
    )
)
@example([(1, 2), (3, 2), (5, 2), (-1, 2), (-3, 2), (0, 7)])
@example([(2**60, 2**60), (2**60 - 1, 2**60), (-(2**60), 3)])
def test_half_even_rounds_as_decimal_does(pairs: list[tuple[int, int]]) -> None:
    found = fixed_point.half_even(
        int64s([up for up, _ in pairs]), int64s([down for _, down in pairs])
    )
    assert found.tolist() == [int(rounded(up, down)) for up, down in pairs]


@given(st.lists(st.tuples(st.integers(0, 9), AMOUNTS), max_size=60))
@example([(0, 2**63 - 1)])
@example([(0, 2**53), (0, 1), (0, -(2**53))])
@example([(0, 2**53 + 1), (1, -(2**53) - 1)])
@example([(3, -(2**62)), (3, -(2**62)), (3, 1)])
@example([])
def test_grouped_sums_are_those_of_python(rows: list[tuple[int, int]]) -> None:
    expected = [0] * 10
    for code, value in rows:
        expected[code] += value
    codes = np.array([code for code, _ in rows], np.int64)
    values = int64s([value for _, value in rows])
    if all(abs(total) < 2**63 for total in expected):
        assert fixed_point.sums(codes, values, 10).tolist() == expected
    else:
        with pytest.raises(KpiError, match="64 bits"):
            fixed_point.sums(codes, values, 10)


def test_a_million_cents_that_floats_would_lose() -> None:
    values = np.full(1_000_000, 2**40 + 1, np.int64)
    codes = np.zeros(1_000_000, np.int64)
    assert fixed_point.sums(codes, values, 1).tolist() == [(2**40 + 1) * 1_000_000]
    # One float for all would be off: this shows that the case is hard.
    assert int(values.astype(np.float64).cumsum()[-1]) != (2**40 + 1) * 1_000_000


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=20))
@example([(2**63 - 1, 1)])
@example([(-(2**63), -1)])
def test_adding_never_wraps_around(pairs: list[tuple[int, int]]) -> None:
    left, right = int64s([one for one, _ in pairs]), int64s([one for _, one in pairs])
    expected = [one + other for one, other in pairs]
    if all(-(2**63) <= total < 2**63 for total in expected):
        assert fixed_point.add(left, right).tolist() == expected
    else:
        with pytest.raises(KpiError, match="64 bits"):
            fixed_point.add(left, right)


@given(st.lists(AMOUNTS, min_size=1), st.integers(0, 18))
@example([5, 15, 25, -5, -15], 3)
@example([10**17], 0)
@example([2**63 - 1], 18)
def test_amounts_change_their_scale_half_even_and_never_wrap_around(
    units: list[int], scale: int
) -> None:
    expected = [int(rounded(Decimal(unit).scaleb(-scale), 1, 2).scaleb(2)) for unit in units]
    if all(-(2**63) <= one < 2**63 for one in expected):
        assert fixed_point.at_scale(int64s(units), scale, 2).tolist() == expected
    else:
        with pytest.raises(KpiError, match="64 bits"):
            fixed_point.at_scale(int64s(units), scale, 2)


@given(st.lists(st.one_of(INT64, st.none()), max_size=20), st.integers(0, 18), st.integers(0, 3))
def test_decimals_and_their_integers(units: list[int | None], scale: int, offset: int) -> None:
    kind = pa.decimal128(38, scale)
    with localcontext(prec=100):
        decimals = [None if one is None else Decimal(one).scaleb(-scale) for one in units]
    array = pa.array(decimals, kind).slice(offset)
    known = [one for one in units[offset:] if one is not None]
    found = fixed_point.unscaled(array)
    assert len(found) == len(array)
    assert found[array.is_valid().to_numpy(zero_copy_only=False)].tolist() == known
    assert fixed_point.to_decimals(int64s(known), kind).to_pylist() == [
        one for one in decimals[offset:] if one is not None
    ]


@given(st.lists(INT64, max_size=30))
def test_distinct_values(values: list[int]) -> None:
    assert fixed_point.distinct(int64s(values)).tolist() == sorted(set(values))
    ordered = int64s(sorted(values))
    assert ordered[fixed_point.run_starts(ordered)].tolist() == sorted(set(values))


@pytest.mark.parametrize("at_once", [1, 3, 1 << 17])
@given(codes=st.lists(st.integers(0, 9), max_size=30))
def test_codes_are_counted(at_once: int, codes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed_point, "COUNT_BLOCK_CODES", at_once)
        found = fixed_point.counts(np.array(codes, np.int32), 10)
    assert found.tolist() == [codes.count(code) for code in range(10)]
