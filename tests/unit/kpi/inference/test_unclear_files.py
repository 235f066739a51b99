"""What strangers' files left wrong in silence: cents, tills of two shops, totals below lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kpi.contract.loading import parse_contract
from kpi.contract.shop import Shop
from kpi.inference.contract import Inferred, infer_contract
from kpi.inference.questions import NotInferableError
from kpi.inference.samples import TableSample


def sample(rows: Sequence[tuple[str, ...]], *headers: str) -> TableSample:
    columns = tuple(zip(*rows, strict=True))
    return TableSample(name="s.csv", match="s*.csv", headers=headers, columns=columns)


def shop_of(inferred: Inferred) -> Shop:
    assert not inferred.questions
    shop = parse_contract(inferred.text, source="inferred").shop
    assert shop is not None
    return shop


def priced(prices: list[str], currency: str = "EUR", price: str = "unit_price") -> TableSample:
    rows = [
        (str(at), "2025-03-01", f"K{at % 3}", str(1 + at % 2), one, currency)
        for at, one in enumerate(prices)
    ]
    return sample(rows, "order_id", "order_date", "sku", "quantity", price, "currency")


CENTS = ["1299", "500", "2350", "1299"]


@pytest.mark.parametrize(("answer", "taken"), [("yes", True), ("no", False)])
def test_whole_amounts_in_euros_are_asked_about(answer: str, taken: bool) -> None:
    (question,) = infer_contract([priced(CENTS)], {}).questions
    assert question.word == "minor_units"
    assert question.answers["yes"] == "1299 is 12.99 EUR"
    shop = shop_of(infer_contract([priced(CENTS)], {"minor_units": answer}))
    assert shop.files[0].minor_units is taken


@pytest.mark.parametrize(
    "table",
    [
        priced(CENTS, "INR"),
        priced(["12.99", "500", "2350", "1299"]),
        priced(["1200", "500", "2300", "1299"]),
        priced(["12", "5", "23", "13"]),
        priced(CENTS, price="price_cents"),
    ],
)
def test_other_amounts_are_not_asked_about(table: TableSample) -> None:
    assert not infer_contract([table], {}).questions


def tills(*names: str) -> TableSample:
    rows = []
    for at in range(len(names)):
        rows += [
            (str(ticket), "2025-03-01", f"A{(ticket + at) % 3}", f"{ticket + at}.50")
            for ticket in range(1, 6)
            for _ in range(2)
        ]
    table = sample(rows, "ticket", "date", "article", "amount")
    return replace(table, name=names[0], parts=tuple((name, 10) for name in names))


def test_numbers_of_two_shops_tills_are_asked_about() -> None:
    inferred = infer_contract([tills("north/till.csv", "south/till.csv")], {})
    assert "places" in [one.word for one in inferred.questions]
    assert infer_contract([tills("till_1.csv", "till_2.csv")], {}).questions == ()
    assert shop_of(infer_contract([tills("north/till.csv", "south/till.csv")], {"places": "same"}))


def test_another_answer_than_the_only_one_is_told_what_to_write() -> None:
    with pytest.raises(NotInferableError, match=r"got 'no'; .* write order_id = \{ join = "):
        infer_contract([tills("north/till.csv", "south/till.csv")], {"places": "no"})


def test_a_total_below_the_lines_leaves_their_own_amounts() -> None:
    rows = [
        (str(at // 2), "2025-03-01", f"P{at % 4}", "3", "9.90", str(25 * (at % 2)), amount)
        for at, amount in enumerate(["29.70", "22.28"] * 4)
    ]
    headers = (
        "order_id",
        "date",
        "sku",
        "quantity",
        "unit_price",
        "discount_percent",
        "line_total",
    )
    for footer in ([], [("Sum", "", "", "", "", "", "207.92")]):
        shop = shop_of(infer_contract([sample([*rows, *footer], *headers)], {}))
        assert "after_discount" in shop.datasets["order_items"].columns


def test_the_last_word_of_a_path_names_the_product() -> None:
    rows = [
        (f"M-{at // 2}", "2025-03-01", str(1 + at % 2), f"K{at % 3}", "2", "9.99")
        for at in range(8)
    ]
    headers = ("orderNumber", "placedAt", "items.lineNo", "items.sku", "items.quantity")
    table = sample(rows, *(f"orders.{one}" for one in (*headers, "items.unitPrice")))
    columns = shop_of(infer_contract([table], {})).datasets["order_items"].columns
    assert columns["product_id"].headers == ("orders.items.sku",)
