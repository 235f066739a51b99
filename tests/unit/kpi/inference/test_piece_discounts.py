"""Discounts of each piece or of the line, where no other column has the price less it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from kpi.inference.contract import infer_contract
from kpi.inference.samples import TableSample

ROWS = 36
QUANTITIES = [at % 3 + 1 for at in range(ROWS)]
PRICES = [(8.0, 12.5, 30.0, 7.0)[at % 4] for at in range(ROWS)]

Discount = Callable[[int], float]
"""Number of a row -> its discount."""


def a_tenth_of_the_price(at: int) -> float:
    return PRICES[at] / 10 if at % 5 < 2 else 0.0


def a_tenth_of_the_line(at: int) -> float:
    return a_tenth_of_the_price(at) * QUANTITIES[at]


def coupon(at: int) -> float:
    return (1.5, 2.0, 0.75, 3.2, 1.1)[at % 5] if at % 5 < 4 else 0.0


def big_coupon(at: int) -> float:
    return PRICES[at] + 1.25 if QUANTITIES[at] > 1 and at % 5 < 2 else 0.0


def sample(
    discount: Discount, header: str = "Discount", order_total: Sequence[str] = ()
) -> TableSample:
    columns: Mapping[str, Sequence[str]] = {
        "Order": [f"A{at // 2}" for at in range(ROWS)],
        "Date": [f"2024-05-{at // 2 + 1:02}" for at in range(ROWS)],
        "SKU": [f"P{at % 4}" for at in range(ROWS)],
        "Qty": [str(one) for one in QUANTITIES],
        "Price": [f"{one:.2f}" for one in PRICES],
        header: [f"{discount(at):.2f}" for at in range(ROWS)],
    }
    if order_total:
        columns = {**columns, "Order total": order_total}
    return TableSample(
        name="sales.csv",
        match="sales.csv",
        headers=tuple(columns),
        columns=tuple(map(tuple, columns.values())),
    )


def totals(off: Discount) -> list[str]:
    lines = [PRICES[at] * QUANTITIES[at] - off(at) for at in range(ROWS)]
    return [f"{lines[at // 2 * 2] + lines[at // 2 * 2 + 1]:.2f}" for at in range(ROWS)]


def test_the_same_part_of_each_price_is_of_each_piece() -> None:
    text = infer_contract([sample(a_tenth_of_the_price)], {}).text
    assert 'unit_price = "Price"' in text
    assert 'unit_discount = "Discount"' in text


def test_the_same_part_of_each_line_is_of_the_line() -> None:
    text = infer_contract([sample(a_tenth_of_the_line)], {}).text
    assert '\ndiscount = "Discount"' in text


def test_a_discount_above_the_price_is_of_the_line() -> None:
    text = infer_contract([sample(big_coupon)], {}).text
    assert '\ndiscount = "Discount"' in text


@pytest.mark.parametrize("header", ["Unit discount", "Discount per unit"])
def test_a_word_says_that_a_discount_is_of_each_piece(header: str) -> None:
    text = infer_contract([sample(coupon, header)], {}).text
    assert f'unit_discount = "{header}"' in text


@pytest.mark.parametrize(
    ("off", "word"),
    [(coupon, "discount"), (lambda at: coupon(at) * QUANTITIES[at], "unit_discount")],
)
def test_a_total_of_the_order_tells_what_a_discount_is_of(off: Discount, word: str) -> None:
    table = sample(coupon, order_total=totals(off))
    assert f'\n{word} = "Discount"' in infer_contract([table], {}).text


@pytest.mark.parametrize("word", ["discount", "unit_discount"])
def test_a_discount_that_nothing_tells_of_is_asked_about(word: str) -> None:
    (question,) = infer_contract([sample(coupon)], {}).questions
    assert question.word == "money"
    answer = f"unit_price:Price+{word}:Discount"
    assert answer in question.answers
    text = infer_contract([sample(coupon)], {"money": answer}).text
    assert f'\n{word} = "Discount"' in text
