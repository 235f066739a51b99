"""Rules that hold whatever the contract says: no single row may spoil the sums of a day."""

from __future__ import annotations

import pytest

from kpi.contract import Contract, built_in, parse_contract
from kpi.parse import ChunkParser
from tests.kpi.columns import chunk_of, layout_of

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
    assert reasons_of(dear + b"100", "unit") == []
    assert reasons_of(dear + b"101", "unit") == [
        (
            "out_of_range",
            "sale_price",
            "a price that is at most 1000000000000000.00 when multiplied by quantity",
        )
    ]
    assert reasons_of(dear + b"101", "line") == []
