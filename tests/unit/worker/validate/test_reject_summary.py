"""The reason of a refusal names columns, counts, shapes of values and what to do; no value."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.loading import built_in
from kpi.contract.reject_reasons import Reason
from tests.support.commands import shopkpi
from worker.validate.reject_summary import MAX_SHAPE_CHARACTERS, REMEDIES, shape_of

ITEMS = "id,order_id,product_id,sale_price"
ORDERS = "order_id,user_id,status,created_at"


def reason_of(tmp_path: Path, dataset: str, rows: list[str], contract: str = "default") -> str:
    """The reason of a file that is refused for its rows."""
    header = ITEMS if dataset == "order_items" else ORDERS
    file = tmp_path / dataset / "1.csv"
    file.parent.mkdir()
    file.write_text("\n".join([header, *rows]) + "\n")
    done = shopkpi(tmp_path, "validate", str(file), "--contract", contract)
    (event,) = (event for event in done.events if event["event"].startswith("source."))
    assert event["verdict"] == "refused"
    return str(event["reason"])


def test_reason_names_column_count_shapes_and_remedy(tmp_path: Path) -> None:
    times = ["17.03.2025", "1/2/25", "gestern", "18.03.2025"]
    rows = [f"{number},7,x,{time}" for number, time in enumerate(times)]
    reason = reason_of(tmp_path, "orders", rows)
    assert "wrong_type 4 in created_at (expected " in reason
    assert "got '99.99.9999', '9/9/99', 'aaaaaaa')" in reason
    assert "name the format in `formats` of orders.columns.created_at in the contract" in reason
    assert "`shopkpi rejects` prints the rows" in reason
    assert not [time for time in times if time in reason]


def test_decimal_comma_is_named(tmp_path: Path) -> None:
    rows = [f'{number},1,2,"1.2{number},50"' for number in range(5)]
    reason = reason_of(tmp_path, "order_items", rows)
    assert "wrong_type 5 in sale_price" in reason
    assert "a decimal comma is not read: write a point" in reason


@pytest.mark.parametrize(
    ("dataset", "row", "words"),
    [
        ("orders", ",7,x,2025-03-01", ("missing_value 3 in order_id", "`required = false`")),
        ("orders", "1,2,3", ("wrong_column_count 3 (expected 4 columns, got 3)", "the delimiter")),
        ("orders", '1,7,"x"y,2025-03-01', ("malformed_quotes 3", "RFC 4180")),
        ("order_items", "1,2,3,-5", ("out_of_range 3 in sale_price", "`min` and `max`")),
        ("order_items", "x\x07é1,2,3,4", ("wrong_type 3 in id", "got 'a?a9'", "the type of")),
    ],
)
def test_every_kind_has_place_and_remedy(
    tmp_path: Path, dataset: str, row: str, words: tuple[str, ...]
) -> None:
    reason = reason_of(tmp_path, dataset, [row] * 3)
    assert [word for word in words if word not in reason] == []


def test_three_shapes_and_problems_at_most(tmp_path: Path) -> None:
    rows = [f"{'x' * (number + 1)},y,z,{'v' * (number + 1)}" for number in range(30)]
    reason = reason_of(tmp_path, "orders", rows)
    assert reason.count("'a") <= 3 * 3
    assert "'aaa'" in reason
    assert "'aaaa'" not in reason


@pytest.mark.parametrize("bad", [0, 1, 40])
def test_object_in_ranges_is_refused_with_column_and_shapes(tmp_path: Path, bad: int) -> None:
    rows = [f"{n},7,x,{'gestern' if n < bad else '2025-03-01'}" for n in range(80)]
    file = tmp_path / "orders" / "1.csv"
    file.parent.mkdir()
    file.write_text("\n".join([ORDERS, *rows]) + "\n")
    for part in shopkpi(tmp_path, "plan", str(file), "--split-bytes", "500").json:
        done = shopkpi(tmp_path, "validate", str(file), "--range", part["range"])
        assert done.code == 0
    (receipt,) = shopkpi(tmp_path, "ledger", "--format", "json").json
    if bad < 40:
        assert (receipt["verdict"], receipt["reason"]) == ("accepted", None)
    else:
        assert receipt["verdict"] == "refused"
        assert "wrong_type 40; of one range: wrong_type " in receipt["reason"]
        assert "in created_at (expected " in receipt["reason"]
        assert "got 'aaaaaaa')" in receipt["reason"]


def test_columns_of_an_alias_are_found(tmp_path: Path) -> None:
    contract = tmp_path / "c.toml"
    text = built_in().text.replace("sale_price = {", 'sale_price = { headers = ["Preis"],')
    contract.write_text(text)
    file = tmp_path / "order_items" / "1.csv"
    file.parent.mkdir()
    file.write_text("Preis,id,order_id,product_id\nviel,1,2,3\n")
    done = shopkpi(tmp_path, "validate", str(file), "--contract", str(contract))
    assert "wrong_type 1 in sale_price" in done.out
    assert "got 'aaaa'" in done.out


@given(st.text())
def test_shape_has_no_letter_digit_or_symbol_of_the_value(value: str) -> None:
    shape = shape_of(value)
    assert len(shape) <= MAX_SHAPE_CHARACTERS + 3
    for character in shape:
        assert character in "a9?." or (
            character.isascii() and unicodedata.category(character)[0] not in "LN"
        )


def test_every_reason_has_a_remedy() -> None:

    assert set(REMEDIES) == set(Reason)
