"""Rules that hold whatever the contract says: no single row may spoil the sums of a day; and the
ranges of a contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.arrow_types import INSTANT, arrow_type
from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Column, Contract
from kpi.validation.parser import ChunkParser
from kpi.validation.rules import EARLIEST, LATEST, broken_rules
from tests.unit.kpi.columns import chunk_of, layout_of

HEADER = b"id,order_id,product_id,sale_price,quantity"


def contract_of(price_per: str) -> Contract:
    text = built_in().text.replace('price_per = "line"', f'price_per = "{price_per}"')
    quantity = 'quantity = { type = "integer" }\nproduct_id = {'
    return parse_contract(text.replace("product_id = {", quantity), source="test")


def reasons_of(row: bytes, price_per: str) -> list[tuple[str, str, str]]:
    contract = contract_of(price_per)
    parser = ChunkParser(layout_of(contract, HEADER, "order_items"))
    good = b"1,1,1,5.00,1\n2,1,1,5.00,\n"
    parsed = parser.parse(chunk_of(good + row + b"\n" + good, contract))
    assert parsed.clean.num_rows == 4 + (not parsed.rejects.num_rows)
    return [
        (one["reason"], one["column"], one["expected"])
        for reject in parsed.rejects.to_pylist()
        for one in reject["reasons"]
    ]


@pytest.mark.parametrize("price_per", ["line", "unit"])
@pytest.mark.parametrize(
    "quantity", [b"9223372036854775807", b"-9223372036854775808", b"1000000001"]
)
def test_a_quantity_that_no_shop_sells_is_set_aside(quantity: bytes, price_per: str) -> None:
    assert reasons_of(b"3,1,1,5.00," + quantity, price_per) == [
        ("out_of_range", "quantity", "at least -1000000000 and at most 1000000000")
    ]


@pytest.mark.parametrize("quantity", [b"1000000000", b"-1000000000", b"0"])
def test_a_large_quantity_is_a_quantity(quantity: bytes) -> None:
    assert reasons_of(b"3,1,1,5.00," + quantity, "line") == []


def test_a_unit_price_times_its_quantity_fits_the_sums_of_a_day() -> None:
    dear = b"3,1,1,9999999999999.99,"
    assert reasons_of(dear + b"1", "unit") == []
    assert reasons_of(dear + b"2", "unit") == [
        (
            "out_of_range",
            "sale_price",
            "a price that is at most 10000000000000.0000 when multiplied by quantity",
        )
    ]
    assert reasons_of(dear + b"2", "line") == []


LIMITS = st.none() | st.decimals(-(10**20), 10**20, places=2) | st.decimals(-9, 9, places=3)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)


def out_of_range(column: Column, values: pa.Array) -> list[int]:
    dataset = replace(built_in().datasets["orders"], columns={"x": column})
    found = broken_rules(dataset, {"x": values}, [])
    assert [problem.reason for problem in found] == ["out_of_range"] * len(found)
    return np.flatnonzero(found[0].rows).tolist() if found else []


def beyond(value: Decimal | int | None, low: Decimal | None, high: Decimal | None) -> bool:
    if value is None:
        return False
    return (low is not None and value < low) or (high is not None and value > high)


@given(st.lists(st.none() | INTEGERS, max_size=20), LIMITS, LIMITS)
@example([0, 1, None], Decimal("0.001"), None)
@example([-1, 0, None], None, Decimal("-0.001"))
@example([2**63 - 1, -(2**63)], Decimal(-(2**70)), Decimal(2**70))
@example([2**63 - 1, -(2**63)], Decimal(2**70), Decimal(-(2**70)))
def test_integers_keep_to_their_range(
    values: list[int | None], low: Decimal | None, high: Decimal | None
) -> None:
    column = Column(name="x", type="integer", minimum=low, maximum=high)
    expected = [row for row, value in enumerate(values) if beyond(value, low, high)]
    assert out_of_range(column, pa.array(values, pa.int64())) == expected


@given(st.lists(st.none() | st.decimals(-99999, 99999, places=2), max_size=20), LIMITS, LIMITS)
@example([Decimal("0.01"), None, Decimal("0.00")], Decimal("0.005"), None)
def test_decimals_keep_to_their_range(
    values: list[Decimal | None], low: Decimal | None, high: Decimal | None
) -> None:
    column = Column(name="x", type="decimal", minimum=low, maximum=high)
    expected = [row for row, value in enumerate(values) if beyond(value, low, high)]
    assert out_of_range(column, pa.array(values, arrow_type(column))) == expected


@given(st.lists(st.none() | st.datetimes(), max_size=20))
def test_instants_are_of_years_that_every_time_zone_shows(values: list[datetime | None]) -> None:
    column = Column(name="x", type="timestamp")
    low, high = (limit.replace(tzinfo=None) for limit in (EARLIEST, LATEST))
    expected = [row for row, one in enumerate(values) if one and not low <= one <= high]
    assert out_of_range(column, pa.array(values, pa.timestamp("us")).cast(INSTANT)) == expected
