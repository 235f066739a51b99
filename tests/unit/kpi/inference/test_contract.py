"""What is inferred from small samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kpi.contract.loading import parse_contract
from kpi.contract.shop import Shop
from kpi.inference.contract import infer_contract
from kpi.inference.questions import NotInferableError
from kpi.inference.samples import TableSample

LINES = ("order_id", "sku", "quantity", "unit_price")
ORDERS = TableSample(
    name="orders.csv",
    match="orders.csv",
    headers=("order_id", "customer_id", "order_date"),
    columns=(("1", "2", "3"), ("7", "8", "7"), ("2025-03-01", "2025-03-01", "2025-03-02")),
)


def lines_of(*parts: Sequence[tuple[str, ...]], headers: tuple[str, ...] = LINES) -> TableSample:
    rows = [row for part in parts for row in part]
    return TableSample(
        name="lines1.csv",
        match="lines*.csv",
        headers=headers,
        columns=tuple(zip(*rows, strict=True)),
        parts=tuple((f"lines{number}.csv", len(part)) for number, part in enumerate(parts)),
    )


def infer(*samples: TableSample, **answers: str) -> Shop:
    inferred = infer_contract(samples, answers)
    assert not inferred.questions
    shop = parse_contract(inferred.text, source="test").shop
    assert shop is not None
    return shop


A, B, C = ("1", "A", "2", "5.00"), ("1", "B", "1", "7.00"), ("2", "A", "1", "5.00")


def test_lines_exported_again_are_keyed_by_order() -> None:
    shop = infer(ORDERS, lines_of([A, B, C], [A, B]))
    assert shop.datasets["order_items"].key_by == "order"


def test_lines_of_an_order_in_two_parts_are_keyed_by_row() -> None:
    shop = infer(ORDERS, lines_of([A, C], [B]))
    assert shop.datasets["order_items"].key_by == "row"


MONEY = [
    # price, total and discount of a line: answers, roles of the contract
    (
        ("5.00", "10.00", "2.00"),
        {"money": "unit_price:unit_price+discount:discount"},
        {"unit_price", "discount"},
    ),
    (("5.00", "8.00", "2.00"), {}, {"after_discount"}),
]


@pytest.mark.parametrize(("cells", "answers", "roles"), MONEY)
def test_a_total_is_told_from_one_before_discounts(
    cells: tuple[str, str, str], answers: dict[str, str], roles: set[str]
) -> None:
    headers = ("order_id", "sku", "quantity", "unit_price", "line_total", "discount")
    rows = [(str(order), "A", "2", *cells) for order in (1, 2, 3)]
    shop = infer(ORDERS, lines_of(rows, headers=headers), **answers)
    names = {*shop.datasets["order_items"].columns} - {"order_id", "product_id", "quantity"}
    assert names == roles


@pytest.mark.parametrize("has_total", [False, True], ids=["net price", "net total"])
def test_a_discount_of_each_piece_is_told_from_one_of_the_line(has_total: bool) -> None:
    prices = {"A": 1000, "B": 2500, "C": 400}
    headers = ("order_id", "sku", "quantity", "list_price", "discount", "price", "line_total")
    rows = []
    for order in (1, 2, 3):
        for sku, price in prices.items():
            quantity = 1 + (order + price // 100) % 3
            off = price // 10 if (order + price) % 2 else 0
            cents = (price, off, price - off, (price - off) * quantity)
            money = [f"{one // 100}.{one % 100:02}" for one in cents]
            rows.append((str(order), sku, str(quantity), *money)[: 6 + has_total])
    shop = infer(ORDERS, lines_of(rows, headers=headers[: 6 + has_total]))
    columns = shop.datasets["order_items"].columns
    names = {*columns} - {"order_id", "product_id", "quantity"}
    assert names == ({"after_discount"} if has_total else {"unit_price"})
    (name,) = names
    assert columns[name].headers[0] == ("line_total" if has_total else "price")


def test_a_price_that_is_alike_in_all_quantities_is_of_one_piece() -> None:
    headers = ("order_id", "sku", "quantity", "amount")
    rows = [
        ("1", "A", "2", "5.00"),
        ("2", "A", "3", "5.00"),
        ("2", "B", "1", "7.00"),
        ("3", "B", "4", "7.00"),
    ]
    shop = infer(ORDERS, lines_of(rows, headers=headers), money="unit_price:amount")
    assert "unit_price" in shop.datasets["order_items"].columns


def test_files_without_dates_are_refused_with_the_reason() -> None:
    lines = lines_of([A, B])
    with pytest.raises(NotInferableError, match="no dates in any file"):
        infer_contract([lines], {})
    till = replace(lines, name="in/till_2025-03-01.csv")
    with pytest.raises(NotInferableError, match=r'match = "till_\{date\}\.csv"'):
        infer_contract([till], {})


def test_contradicting_rows_of_an_order_are_a_question() -> None:
    columns = (*(("1", "1", "2"), ("7", "8", "7")), ("2025-03-01", "2025-03-05", "2025-03-02"))
    orders = TableSample(
        name="orders.csv", match="orders.csv", headers=ORDERS.headers, columns=columns
    )
    questions = infer_contract([orders, lines_of([A, B, C])], {}).questions
    assert [one.word for one in questions] == ["repeats"]
    assert not infer_contract([orders, lines_of([A, B, C])], {"repeats": "last"}).questions


def test_money_that_no_word_and_no_row_tells_is_a_question() -> None:
    headers = ("order_id", "sku", "quantity", "xyz")
    questions = infer_contract([ORDERS, lines_of([A, B, C], headers=headers)], {}).questions
    assert [one.word for one in questions] == ["money"]
    assert set(questions[0].answers) == {"unit_price:xyz", "after_discount:xyz"}


def test_money_that_no_column_may_have_is_a_question_with_none() -> None:
    lines = lines_of([("1", "A", "2", "5"), ("2", "B", "1", "7"), ("2", "A", "3", "5")])
    lines = replace(lines, headers=("order_id", "sku", "quantity", "bay"))
    (question,) = infer_contract([ORDERS, lines], {}).questions
    assert question.word == "money"
    assert set(question.answers) == {"none", "after_discount:bay", "unit_price:bay"}
    shop = infer(ORDERS, lines, money="none")
    assert set(shop.datasets["order_items"].columns) == {"order_id", "product_id", "quantity"}
    assert (
        "unit_price" in infer(ORDERS, lines, money="unit_price:bay").datasets["order_items"].columns
    )
