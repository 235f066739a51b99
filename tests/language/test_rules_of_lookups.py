"""Contract language 2 on small shops: references, currencies and days (rules 17 to 22)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from kpi.contract.loading import parse_contract
from kpi.errors import ContractError
from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.days import DAY, NEXT, row
from tests.language.files import File
from tests.language.product import check, run


@pytest.mark.parametrize(
    ("own", "sku", "category"),
    [
        ("Toys", "A", "Toys"),
        ("", "A", "Games"),
        ("", "", "(none)"),
        ("", "B", "(none)"),
        ("", "C", "(unknown)"),
    ],
)
def test_rule_17_category_of_line_then_product(
    tmp_path: Path, own: str, sku: str, category: str
) -> None:
    contract = (
        HEAD + FILES + '[[files]]\nmatch = "products*"\nfeeds = ["products"]\n' + ORDERS + ITEMS
    )
    contract += 'category = "Group"\n[products.columns]\nid = "SKU"\ncategory = "Kind"\n'
    files = [
        File(
            "sales.csv",
            sales(f"1,{DAY},{sku},1,5,{own}", header="Order,Date,SKU,Qty,Total,Group"),
            0,
        ),
        File("products.csv", "SKU,Kind\nA,Games\nB,\n", 1),
    ]
    assert list(check(tmp_path, contract, files).categories) == [(DAY, category)]


VIA = (
    HEAD
    + FILES
    + (
        '[[files]]\nmatch = "prices*"\nfeeds = ["prices"]\n'
        + ORDERS
        + '[order_items]\nkey = "order"\n[order_items.columns]\norder_id = "Order"\n'
        'quantity = "Qty"\n'
        'unit_price = { from = "SKU", via = "prices.price" }\n[references.prices]\nkey = "sku"\n'
    )
)


def test_rule_18_a_reference_has_the_row_in_force_on_the_orders_day(tmp_path: Path) -> None:
    files = [
        File("sales.csv", sales(f"1,{DAY},A,2,", f"2,{NEXT},A,1,", "3,2025-02-01,A,1,"), 0),
        File("prices.csv", f"sku,price,from\nA,10,{DAY}\nA,12,{NEXT}\n", 1),
    ]
    outcome = check(tmp_path, VIA + 'valid_from = "from"\n', files)
    assert row(outcome)["total_revenue"] == 20
    assert row(outcome, NEXT)["total_revenue"] == 12
    assert row(outcome, "2025-02-01")["total_revenue"] == 0


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_18_a_reference_that_changes_recomputes_its_days(
    tmp_path: Path, one_by_one: bool
) -> None:
    files = [
        File("sales.csv", sales(f"1,{DAY},A,2,", f"1,{DAY},B,1,"), 0),
        File("prices1.csv", "sku,price\nA,10\n", 1),
        File("prices2.csv", "sku,price\nA,11\n", 2),
    ]
    assert row(check(tmp_path, VIA, files, one_by_one=one_by_one))["total_revenue"] == 22


def test_rule_18_a_required_value_that_has_not_come_waits(tmp_path: Path) -> None:
    contract = VIA.replace('via = "prices.price"', 'via = "prices.price", required = true')
    files = [
        File("sales.csv", sales(f"1,{DAY},A,2,", f"1,{DAY},B,1,"), 0),
        File("prices.csv", "sku,price\nA,10\n", 1),
    ]
    outcome = check(tmp_path, contract, files)
    assert (row(outcome)["total_items_sold"], outcome.waiting) == (2, 1)


def test_rule_18_look_ups_may_be_chained(tmp_path: Path) -> None:
    contract = (
        HEAD
        + FILES
        + (
            '[[files]]\nmatch = "p*"\nfeeds = ["products"]\n[[files]]\nmatch = "sub*"\n'
            'feeds = ["subs"]\n'
            '[[files]]\nmatch = "cat*"\nfeeds = ["cats"]\n'
            + ORDERS
            + ITEMS
            + '[products.columns]\nid = "SKU"\n'
            'category = { from = "sub", via = ["subs.cat", "cats.name"] }\n'
            '[references.subs]\nkey = "sub"\n[references.cats]\nkey = "cat"\n'
        )
    )
    files = [
        File("sales.csv", sales(f"1,{DAY},A,1,5", f"1,{DAY},B,1,5"), 0),
        File("p.csv", "SKU,sub\nA,s1\nB,s9\n", 1),
        File("sub.csv", "sub,cat\ns1,c1\n", 2),
        File("cat.csv", "cat,name\nc1,Tools\n", 3),
    ]
    assert set(check(tmp_path, contract, files).categories) == {(DAY, "Tools"), (DAY, "(unknown)")}


def test_rule_19_products_may_feed_from_order_lines(tmp_path: Path) -> None:
    contract = HEAD + FILES.replace('"order_items"]', '"order_items", "products"]') + ORDERS + ITEMS
    contract += '[products.columns]\nid = "SKU"\ncategory = "Kind"\n'
    text = sales(f"1,{DAY},A,1,5,Old", f"2,{DAY},A,1,5,New", header="Order,Date,SKU,Qty,Total,Kind")
    assert list(check(tmp_path, contract, [File("sales.csv", text, 0)]).categories) == [
        (DAY, "New")
    ]


FOREIGN = HEAD + 'currency = "EUR"\n' + FILES + ORDERS + 'currency = "Cur"\n'


def test_rule_20_amounts_of_other_currencies_are_never_added(tmp_path: Path) -> None:
    text = sales(
        f"1,{DAY},A,1,5,eur",
        f"2,{DAY},A,1,7,USD",
        f"3,{DAY},A,1,1,",
        f"4,{NEXT},A,1,9,JPY",
        header="Order,Date,SKU,Qty,Total,Cur",
    )
    outcome = check(tmp_path, FOREIGN + ITEMS, [File("sales.csv", text, 0)])
    assert row(outcome)["total_revenue"] == 6
    assert row(outcome)["other_currency_orders"] == 1
    assert row(outcome, NEXT)["total_orders"] == 0
    assert row(outcome, NEXT)["other_currency_orders"] == 1


def test_rule_20_a_rate_divides_the_money_of_its_row(tmp_path: Path) -> None:
    contract = FOREIGN + 'rate = "Rate"\ndiscount = "Off"\n' + ITEMS
    text = sales(
        f"1,{DAY},A,1,40,AUD,1.5,3",
        f"2,{DAY},A,1,7,USD,,0",
        header="Order,Date,SKU,Qty,Total,Cur,Rate,Off",
    )
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["total_revenue"] == Decimal("24.67")
    assert row(outcome)["other_currency_orders"] == 1


def test_rule_21_quantities_have_three_places_and_ids_are_text(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + 'user_id = { from = "User", type = "integer" }\n' + ITEMS
    header = "Order,Date,SKU,Qty,Total,User"
    text = sales(f"1,{DAY},A,2.0,5,13085.0", f"01,{DAY},A,0.125,5,13085", header=header)
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["total_orders"] == 2
    assert row(outcome)["total_items_sold"] == Decimal("2.125")
    assert row(outcome)["unique_customers"] == 1


@pytest.mark.parametrize(
    ("day", "written", "expected"),
    [
        ("as written", "2025-03-01T23:30:00-05:00", "2025-03-01"),
        ("UTC", "2025-03-01T23:30:00-05:00", "2025-03-02"),
        ("Europe/Berlin", "2025-03-01T23:30:00", "2025-03-02"),
        ("Europe/Berlin", "1969-12-31T23:30:00", "1970-01-01"),
        ("America/New_York", "2041-07-02T03:30:00Z", "2041-07-01"),
        ("America/New_York", "2025-03-01", "2025-03-01"),  # a date alone is that day
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04"),  # whose midnight a clock change skips
    ],
)
def test_rule_22_a_day_is_as_written_or_of_a_zone(
    tmp_path: Path, day: str, written: str, expected: str
) -> None:
    contract = HEAD.replace("as written", day).replace("2026-12-31", "2100-01-01")
    contract += 'not_before = "1900-01-01"\n' + FILES + ORDERS + ITEMS
    outcome = check(tmp_path, contract, [File("sales.csv", sales(f"1,{written},A,1,5"), 0)])
    assert list(outcome.orders) == [expected]


@pytest.mark.parametrize(
    ("header", "currencies", "refused"),
    [
        *(("Currency", "EUR USD", True), ("Měna", "EUR CZK", True), ("通貨", "JPY USD", True)),
        *(("Currency", "EUR eur", False), ("Note", "EUR USD", False)),
    ],
)
def test_rule_20_an_undeclared_currency_with_two_values_refuses_the_file(
    tmp_path: Path, header: str, currencies: str, refused: bool
) -> None:
    lines = [f"{n},{DAY},A,1,5,{one}" for n, one in enumerate(currencies.split())]
    text = sales(*lines, header=f"Order,Date,SKU,Qty,Total,{header}")
    outcome = run(tmp_path, HEAD + FILES + ORDERS + ITEMS, [File("sales.csv", text, 0)])
    assert (outcome.entries["sales.csv"].verdict == "refused") == refused


@pytest.mark.parametrize(("currency", "provisional"), [("EUR", 0), ("eur", 0), ("", 0), ("USD", 1)])
def test_rule_20_own_currency_needs_no_rate(
    tmp_path: Path, currency: str, provisional: int
) -> None:
    rate = 'currency = "Code"\nrate = { from = "Code", via = "rates.Rate" }\n'
    contract = (
        HEAD.replace("\nname", '\ncurrency = "EUR"\nname', 1)
        + FILES
        + '[[files]]\nmatch = "rates*"\nfeeds = ["rates"]\n'
        + ORDERS
        + rate
        + ITEMS
        + '[references.rates]\nkey = "Code"\n'
    )
    lines = sales(f"1,{DAY},A,1,5,{currency}", header="Order,Date,SKU,Qty,Total,Code")
    files = [File("sales.csv", lines, 0), File("rates.csv", "Code,Rate\nGBP,0.8\n", 1)]
    outcome = run(tmp_path, contract, files)
    assert outcome.notes.get("provisional_days", 0) == provisional


def test_a_reference_may_have_digits_in_its_name(tmp_path: Path) -> None:
    contract = (
        HEAD
        + FILES
        + '[[files]]\nmatch = "cards*"\nfeeds = ["Cards-2025"]\n'
        + ORDERS
        + 'user_id = { from = "Order", via = "Cards-2025.Person" }\n'
        + ITEMS
        + '[references.Cards-2025]\nkey = "Order"\n'
    )
    files = [
        File("sales.csv", sales(f"1,{DAY},A,1,5", f"2,{DAY},A,1,5"), 0),
        File("cards.csv", "Order,Person\n1,ann\n2,ann\n", 1),
    ]
    assert row(check(tmp_path, contract, files))["unique_customers"] == 1


@pytest.mark.parametrize("name", ["stände", "a b", "x" * 65, "a.b"])
def test_a_reference_of_another_name_is_refused(name: str) -> None:
    text = f'{HEAD}{FILES}{ORDERS}{ITEMS}[references."{name}"]\nkey = "Order"\n'
    with pytest.raises(ContractError, match="letters a to z, digits"):
        parse_contract(text, source="test")
