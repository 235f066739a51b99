"""Numbers of orders that come again, rows of returns, and numbers of one file in one form."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kpi.inference.contract import infer_contract
from kpi.inference.questions import NotInferableError
from kpi.inference.samples import TableSample
from tests.unit.kpi.inference.test_evidence_of_values import asked, lines, sample, shop_of

RECEIPTS = 9
"""Of each of six days."""

DAYS = [f"2025-04-{day:02}" for day in range(1, 7)]


def till(time: str, name: str = "till_{day}.csv") -> TableSample:
    """Receipts of two lines, which are counted from 1 each day, in a file for each day."""
    rows = [
        (number, time.format(day=day, number=number, line=line), f"P{(number + line) % 4}", 2, 3.5)
        for day in DAYS
        for number in range(1, RECEIPTS + 1)
        for line in range(2)
    ]
    names = [name.format(day=day) for day in DAYS]
    return TableSample(
        name=names[0],
        match="till*.csv",
        headers=("receipt_no", "time", "sku", "quantity", "unit_price"),
        columns=tuple(tuple(map(str, cells)) for cells in zip(*rows, strict=True)),
        parts=tuple((one, 2 * RECEIPTS) for one in names),
    )


@pytest.mark.parametrize(
    ("time", "name", "joined"),
    [
        ("{day} 10:{number:02}:0{line}", "till_{day}.csv", ("{date}", "receipt_no")),
        ("{day} 10:{number:02}:00", "till_x{day}x.csv", ("time", "receipt_no")),
        ("{day}", "till_x.csv", ("time", "receipt_no")),
    ],
    ids=["day of the name", "time of the receipt", "day of the row"],
)
def test_numbers_that_begin_anew_are_joined_with_the_day(
    time: str, name: str, joined: tuple[str, str]
) -> None:
    shop = shop_of(infer_contract([till(time, name.replace("x{day}x", "x"))], {}))
    assert shop.datasets["orders"].columns["order_id"].join == joined
    assert shop.datasets["orders"].columns["created_at"].headers == ("time",)


def test_numbers_of_times_that_tell_nothing_apart_are_a_question() -> None:
    table = till("{day} 10:{number:02}:0{line}", "till_x.csv")
    assert asked(infer_contract([table], {})) == ["repeats"]


def with_rows(*more: Sequence[object]) -> TableSample:
    """The usual lines, and rows behind them."""
    shown = lines(total=[f"{at % 7 + 1}.50" for at in range(120)])
    del shown["unit_price"]
    cells = {
        name: [*some, *(row[at] for row in more)] for at, (name, some) in enumerate(shown.items())
    }
    return sample(cells)


RETURNS = [(7000 + order, "2025-04-20", "P1", -1, "-2.50") for order in (3, 9, 30)]


def test_rows_of_returns_are_a_question() -> None:
    (question,) = infer_contract([with_rows(*RETURNS)], {}).questions
    assert (question.word, set(question.answers)) == ("returns", {"refunds", "lines"})
    assert "3 orders on another day" in question.text


@pytest.mark.parametrize("answer", ["refunds", "lines"])
def test_returns_leave_the_day_of_their_order_alone(answer: str) -> None:
    shop = shop_of(infer_contract([with_rows(*RETURNS)], {"returns": answer}))
    (layout,) = shop.files
    assert [one["quantity"].texts for one in layout.only["orders"]] == [("!<0",)]
    assert ("refunds" in shop.datasets) == (answer == "refunds")
    assert ("order_items" in layout.only) == (answer == "refunds")
    if answer == "refunds":
        assert [one["quantity"].texts for one in layout.only["refunds"]] == [("<0",)]
        assert shop.datasets["refunds"].columns["amount"].headers == ("total",)


def test_negative_lines_of_the_day_of_the_sale_are_lines() -> None:
    rows = [(7000, "2025-03-01", "P1", -1, "-2.50"), (7001, "2025-03-02", "P2", -1, "-2.50")]
    assert "only" not in infer_contract([with_rows(*rows)], {}).text


def test_lines_of_one_order_with_other_days_are_a_question() -> None:
    rows = [(7000 + order, "2025-04-20", "P1", 1, "2.50") for order in (3, 9, 30)]
    assert asked(infer_contract([with_rows(*rows)], {})) == ["repeats"]
    shop_of(infer_contract([with_rows(*rows)], {"repeats": "last"}))


def test_lines_of_one_order_with_other_customers_are_a_question() -> None:
    buyers = [f"b{at % 17}" for at in range(120)]
    assert asked(infer_contract([sample(lines(customer_id=buyers))], {})) == ["repeats"]


def test_a_total_on_each_line_is_not_offered_as_the_money_of_one() -> None:
    shown = lines(order_total=[f"{order + 0.5}" for order in range(60) for _ in range(2)])
    del shown["unit_price"]
    (question,) = infer_contract([sample(shown)], {}).questions
    assert (question.word, set(question.answers)) == ("money", {"none"})


def grouped(prices: Sequence[str], totals: Sequence[str]) -> TableSample:
    shown = lines(unit_price=[prices[at % 4] for at in range(120)])
    return sample(shown | {"line_total": [totals[at % 4] for at in range(120)]})


def test_one_column_tells_the_form_of_the_numbers_of_another() -> None:
    """`459.000` alone may be 459; beside `1.575.000` it is 459,000."""
    table = grouped(["459.000"] * 4, ["918.000", "1.377.000", "459.000", "1.836.000"])
    inferred = infer_contract([table], {})
    shop_of(inferred)
    assert 'numbers = "1.234,50"' in inferred.text


def test_numbers_of_several_forms_in_one_column_are_refused() -> None:
    table = grouped(["5.00"] * 4, ["1.234,50", "1,234.50", "20.00", "20.00"])
    with pytest.raises(NotInferableError, match=r"'line_total', got 1,234\.50 and 1\.234,50"):
        infer_contract([table], {})
