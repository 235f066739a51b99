"""Small shops whose numbers are known by hand. Each was wrong in silence once.

The recount found them (`worker.recount.shop`): see `tests/language/test_properties.py`.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from kpi.contract.loading import parse_contract
from kpi.errors import ContractError
from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.days import DAY, NEXT, row
from tests.language.files import File
from tests.language.product import check

EURO = HEAD + 'currency = "EUR"\n'
REFUND_FILES = '[[files]]\nmatch = "refunds*"\nfeeds = ["refunds"]\n'
REFUNDS = (
    '[refunds]\nkey = "row"\n[refunds.columns]\norder_id = "Order"\namount = "Sum"\n'
    'created_at = "At"\n'
)
CURRENCY = 'currency = "Cur"\n'
RATES = (
    'match = "rates*"\nfeeds = ["rates"]\n[references.rates]\nkey = "Code"\nvalid_from = "From"\n'
)


def test_a_rate_of_one_is_a_rate(tmp_path: Path) -> None:
    contract = EURO + FILES + ORDERS + CURRENCY + 'rate = "Rate"\n' + ITEMS + CURRENCY
    text = sales(f"1,{DAY},A,1,5,USD,1", header="Order,Date,SKU,Qty,Total,Cur,Rate")
    found = row(check(tmp_path, contract, [File("sales.csv", text, 0)]))
    assert (found["total_revenue"], found["other_currency_orders"]) == (5, 0)


def test_signs_and_texts_may_stand_in_one_list(tmp_path: Path) -> None:
    only = 'numbers = "1.234,50"\ndelimiter = ";"\n[files.only]\norders = { Qty = ["<0", "5"] }\n'
    text = sales(
        f"1;{DAY};A;5;5",
        f"2;{DAY};A;-0,00001;5",
        f"3;{DAY};A;1;5",
        header="Order;Date;SKU;Qty;Total",
    )
    contract = HEAD + FILES + only + ORDERS + ITEMS
    assert row(check(tmp_path, contract, [File("sales.csv", text, 0)]))["total_orders"] == 2


def test_a_day_as_written_may_come_of_a_reference(tmp_path: Path) -> None:
    contract = HEAD + (
        '[[files]]\nmatch = "sales*"\nfeeds = ["orders"]\n'
        '[[files]]\nmatch = "times*"\nfeeds = ["times"]\n[references.times]\nkey = "Order"\n'
        '[orders.columns]\norder_id = "Order"\n'
        'created_at = { from = "Order", via = "times.At" }\n'
    )
    files = [
        File("sales.csv", "Order\n1\n", 0),
        File("times.csv", f"Order,At\n1,{DAY}T23:30:00-05:00\n", 1),
    ]
    assert list(check(tmp_path, contract, files).orders) == [DAY]


def test_conditions_compare_a_rate_of_zero(tmp_path: Path) -> None:
    excluded = '[orders]\nexcluded = { rate = "0" }\n'
    contract = EURO + FILES + excluded + ORDERS + CURRENCY + 'rate = "Rate"\n' + ITEMS
    header = "Order,Date,SKU,Qty,Total,Cur,Rate"
    text = sales(f"1,{DAY},A,1,5,EUR,0", f"2,{DAY},A,1,5,EUR,0.0000001", header=header)
    found = row(check(tmp_path, contract, [File("sales.csv", text, 0)]))
    assert (found["excluded_orders"], found["total_revenue"]) == (1, 50_000_000)


def test_a_refund_without_its_order_takes_the_rate_of_its_day(tmp_path: Path) -> None:
    rate = CURRENCY + 'rate = { from = "Cur", via = "rates.Rate" }\n'
    contract = EURO + FILES + REFUND_FILES + "[[files]]\n" + RATES + ORDERS + ITEMS + REFUNDS + rate
    files = [
        File("sales.csv", sales(f"1,{DAY},A,1,5"), 0),
        File("refunds.csv", f"Order,Sum,At,Cur\n9,2,{DAY},USD\n9,3,{NEXT},USD\n", 1),
        File("rates.csv", f"Code,From,Rate\nUSD,2025-01-01,2\nUSD,{NEXT},3\n", 2),
    ]
    outcome = check(tmp_path, contract, files)
    assert (row(outcome)["refunds"], row(outcome, NEXT)["refunds"]) == (1, 1)


def test_an_excluded_refund_returns_nothing(tmp_path: Path) -> None:
    refunds = REFUNDS.replace("[refunds]", '[refunds]\nexcluded = { state = "declined" }')
    contract = HEAD + FILES + REFUND_FILES + ORDERS + ITEMS + refunds + 'state = "State"\n'
    files = [
        File("sales.csv", sales(f"1,{DAY},A,1,5", f"2,{DAY},A,1,5"), 0),
        File("refunds.csv", f"Order,Sum,At,State\n1,2,{DAY},Declined\n2,1,{DAY},paid\n", 1),
    ]
    found = row(check(tmp_path, contract, files))
    assert (found["return_rate"], found["refunds"]) == (Decimal("0.5"), 1)


def test_refunds_by_order_need_their_order(tmp_path: Path) -> None:
    contract = HEAD + FILES + REFUND_FILES + "[limits]\nmax_reject_rate = 1\n" + ORDERS + ITEMS
    refunds = f"Order,Sum,At\n,2,{DAY}\n1,1,{DAY}\n"
    files = [File("sales.csv", sales(f"1,{DAY},A,1,5"), 0), File("refunds1.csv", refunds, 1)]
    by_row = check(tmp_path / "row", contract + REFUNDS, files)
    by_order = check(tmp_path / "order", contract + REFUNDS.replace('"row"', '"order"'), files)
    assert (row(by_row)["refunds"], row(by_order)["refunds"]) == (3, 1)
    assert by_order.entries["refunds1.csv"].rows_rejected == 1


def test_an_escaped_quote_is_one_quote_where_quotes_are_plain(tmp_path: Path) -> None:
    contract = HEAD + FILES + 'escape = "\\\\"\nquote = ""\n' + ORDERS + ITEMS
    text = sales(f'1,{DAY},A,1,5,2\\" pipe', header="Order,Date,SKU,Qty,Total,Kind")
    files = [File("sales.csv", text, 0)]
    outcome = check(tmp_path, contract + 'category = "Kind"\n', files)
    assert set(outcome.categories) == {(DAY, '2" pipe')}


GOODS = '[[files]]\nmatch = "goods*"\nfeeds = ["products"]\n'


@pytest.mark.parametrize(
    ("contract", "problem"),
    [
        (
            FILES
            + GOODS
            + ORDERS
            + ITEMS
            + 'unit_price = { from = "SKU", via = "products.cost" }\n'
            + '[products.columns]\nid = "SKU"\ncost = "Cost"\n',
            "unit_price.via: expected a column of products of kind 'money', got 'cost'",
        ),
        (
            FILES
            + "[[files]]\n"
            + RATES
            + ORDERS
            + 'rate = { from = "Cur", via = "rates.Rate" }\n'
            + 'note = { from = "Cur", via = "rates.Rate" }\n'
            + ITEMS,
            "rate.via: expected a column of rates of kind 'factor', got 'Rate' of kind 'text'",
        ),
        (
            FILES + REFUND_FILES + "[[files]]\n" + RATES + ORDERS + ITEMS
            + REFUNDS.replace('"At"', '{ from = "At", via = "rates.Rate" }'),
            "refunds.columns.created_at: expected a time of the row",
        ),
        (
            FILES
            + 'numbers = "1.234,50"\n[orders]\nexcluded = { x = "<0" }\n'
            + ORDERS
            + 'x = "Qty"\n'
            + ITEMS,
            'orders.columns.x: expected `type = "decimal"`',
        ),
        (
            FILES + REFUND_FILES + ORDERS + ITEMS + REFUNDS + 'item = "Line"\n',
            "refunds.columns.item: expected [order_items] with columns as its key",
        ),
        (
            FILES + REFUND_FILES + ORDERS + ITEMS
            + REFUNDS.replace('"row"', '"order"').replace('order_id = "Order"\n', ""),
            "refunds.columns.order_id: expected the order",
        ),
    ],
)  # fmt: skip
def test_what_no_row_can_mean_is_refused(contract: str, problem: str) -> None:
    with pytest.raises(ContractError) as error:
        parse_contract(HEAD + contract, source="test")
    assert problem in str(error.value)
