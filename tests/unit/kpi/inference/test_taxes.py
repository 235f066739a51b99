"""Amounts with and without tax: what a customer pays counts, in any language."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kpi.inference.contract import infer_contract
from kpi.inference.samples import TableSample
from tests.unit.kpi.inference.shop_samples import (
    ORDERS,
    PIECES,
    PRICES,
    PRODUCTS,
    flat,
    header_of,
    table_of,
)

NET = [round(PRICES[product], 2) for product in PRODUCTS]
NET_LINES = [round(price * pieces, 2) for price, pieces in zip(NET, PIECES, strict=True)]
RATES = [(0.19, 0.07)[product % 2] for product in PRODUCTS]
TAXES = [round(net * rate, 2) for net, rate in zip(NET_LINES, RATES, strict=True)]
GROSS = [round(net + tax, 2) for net, tax in zip(NET_LINES, TAXES, strict=True)]


def money(amounts: list[float]) -> list[str]:
    return [f"{one:.2f}" for one in amounts]


def test_an_amount_that_is_a_price_with_a_column_of_tax_counts() -> None:
    shown = flat(unit_price=money(NET), zzzt=money(TAXES), zzzg=money(GROSS))
    assert header_of(infer_contract([table_of(shown)], {}), "order_items", "after_discount") == (
        "zzzg"
    )


@pytest.mark.parametrize("form", ["fraction", "percent"])
def test_a_rate_proves_an_amount_with_tax(form: str) -> None:
    rates = [f"{rate:.2f}" if form == "fraction" else f"{rate:.0%}" for rate in RATES]
    shown = flat(unit_price=money(NET), zzzr=rates, zzzg=money(GROSS))
    inferred = infer_contract([table_of(shown)], {})
    assert header_of(inferred, "order_items", "after_discount") == "zzzg"
    assert "'unit_price' with the rate 'zzzr'" in inferred.text


def test_an_amount_with_tax_stays_where_one_without_stands_beside() -> None:
    shown = flat(total=money(GROSS), zzzt=money(TAXES), zzzn=money(NET_LINES))
    inferred = infer_contract([table_of(shown)], {})
    assert header_of(inferred, "order_items", "after_discount") == "total"


def test_amounts_that_differ_by_a_rate_alone_are_a_question() -> None:
    more = [round(one * 1.19, 2) for one in NET_LINES]
    shown = flat(line_total=money(NET_LINES), total_amount=money(more))
    (question,) = infer_contract([table_of(shown)], {}).questions
    assert question.word == "money"
    assert {"after_discount:line_total", "after_discount:total_amount"} <= set(question.answers)


def test_a_fixed_fee_is_no_tax() -> None:
    fees = [4.9] * (2 * ORDERS)
    with_fee = [round(one + 4.9, 2) for one in NET_LINES]
    shown = flat(unit_price=money(NET), zzzt=money(fees), zzzg=money(with_fee))
    inferred = infer_contract([table_of(shown)], {})
    assert header_of(inferred, "order_items", "unit_price") == "unit_price"


def test_a_discount_that_few_lines_have_is_no_tax() -> None:
    off = [round(one / 10, 2) if at % 5 == 0 else 0 for at, one in enumerate(NET_LINES)]
    after = [round(one - less, 2) for one, less in zip(NET_LINES, off, strict=True)]
    shown = flat(unit_price=money(NET), zzzd=money(off), zzza=money(after))
    inferred = infer_contract([table_of(shown)], {})
    assert header_of(inferred, "order_items", "after_discount") == "zzza"


def two_tables(**totals: list[str]) -> list[TableSample]:
    shown = flat(unit_price=money(NET))
    orders: dict[str, Sequence[object]] = {
        "order_id": [7000 + order for order in range(ORDERS)],
        "order_date": [f"2025-03-{1 + order % 28:02}" for order in range(ORDERS)],
        **totals,
    }
    lines = {name: shown[name] for name in ("order_id", "sku", "quantity", "unit_price")}
    return [table_of(orders, "orders.csv"), table_of(lines, "lines.csv")]


def of_orders(amounts: list[float]) -> list[float]:
    return [amounts[2 * order] + amounts[2 * order + 1] for order in range(ORDERS)]


def test_lines_without_tax_below_totals_with_it_are_a_question() -> None:
    taxed = [round(one * 1.2, 2) for one in of_orders(NET_LINES)]
    tables = two_tables(zzzg=money(taxed))
    assert [one.word for one in infer_contract(tables, {}).questions] == ["tax"]
    answered = infer_contract(tables, {"tax": "lines"})
    assert header_of(answered, "order_items", "unit_price") == "unit_price"


def test_lines_whose_totals_are_without_a_tax_are_no_question() -> None:
    shipped = [round(one + 4.9 * (at % 3), 2) for at, one in enumerate(of_orders(NET_LINES))]
    inferred = infer_contract(two_tables(zzzg=money(shipped)), {})
    assert header_of(inferred, "order_items", "unit_price") == "unit_price"


def test_of_two_prices_of_a_product_the_one_with_tax_counts() -> None:
    shown = flat()
    products = {
        "sku": [f"P{at}" for at in range(len(PRICES))],
        "category": ["a", "b", "a", "b", "a", "b"],
        "price net": money(list(PRICES)),
        "zzzg": money([round(one * 1.2, 2) for one in PRICES]),
        "vat": ["20%"] * len(PRICES),
    }
    inferred = infer_contract([table_of(shown), table_of(products, "products.csv")], {})
    assert header_of(inferred, "products", "price") == "zzzg"


def test_whole_numbers_that_may_be_per_cent_are_a_question() -> None:
    sizes = [(0, 0, 5, 0, 20)[at % 5] for at in range(2 * ORDERS)]
    (question,) = infer_contract([table_of(flat(unit_price=money(NET), zzzz=sizes))], {}).questions
    assert "unit_price:unit_price+discount_percent:zzzz" in question.answers
