"""Contracts of language 2: every problem is listed at once."""

from __future__ import annotations

import pytest

from kpi.contract.loading import parse_contract
from kpi.contract.shop import FilePattern
from kpi.errors import ContractError
from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS

GOOD = HEAD + FILES + ORDERS + ITEMS


def problems(text: str) -> str:
    with pytest.raises(ContractError) as caught:
        parse_contract(text, source="test")
    return str(caught.value)


def test_a_contract_has_what_its_tables_say() -> None:
    shop = parse_contract(GOOD, source="test").shop
    assert shop is not None
    assert list(shop.datasets) == ["orders", "order_items"]
    assert shop.datasets["order_items"].key_by == "order"
    assert shop.files[0].feeds == ("orders", "order_items")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('day = "as written"\n', "", "day"),
        ('day = "as written"', 'day = "Mars/Base"', "day"),
        ('day = "as written"', 'day = "as written"\ntimes = "UTC"', "times"),
        ('feeds = ["orders", "order_items"]', 'feeds = ["order"]', "feeds"),
        (
            'feeds = ["orders", "order_items"]',
            'feeds = ["orders"]',
            "order_items: expected an entry",
        ),
        (FILES, "", "files: expected one entry"),
        ('match = "sales*.csv"', 'match = ""', "match"),
        ('match = "sales*.csv"', 'match = "{a}{a}.csv"', "match"),
        ("[[files]]", '[[files]]\nnumbers = "1.234"', "numbers"),
        ("[[files]]", '[[files]]\ndates = ["soon"]', "dates"),
        ("[[files]]", '[[files]]\nencoding = "klingon"', "encoding"),
        ("[[files]]", '[[files]]\ndelimiter = "ab"', "delimiter"),
        ("[[files]]", '[[files]]\nquote = "x"', "quote"),
        ("[[files]]", '[[files]]\nreplaces = "some"', "replaces"),
        ("[[files]]", '[[files]]\nonly = { products = { a = "b" } }', "only.products"),
        ("[[files]]", '[[files]]\ncolour = "red"', "colour"),
        ("[[files]]", '[[files]]\ncolumns = ["Order", " order "]', "files 1.columns"),
        ("[[files]]", '[[files]]\ncolumns = ["Order"]\nfill = "Date"', "files 1.fill"),
        ("[[files]]", '[[files]]\neach = "lines..tax"', "files 1.each"),
        ('"orders", "order_items"]', '"orders", "order_items", "orders"]', "each dataset once"),
        ('"2026-12-31"', '"1999-12-31"', "not_after"),
        ('created_at = "Date"\n', "", "orders.columns.created_at"),
        ('key = "order"', 'key = "order"\nreturned = { menge = "<0" }', "such as menge"),
        ('created_at = "Date"', 'created_at = "Date"\nusr_id = "X"', "almost 'user_id'"),
        ('created_at = "Date"', "created_at = { join = [], from = [] }", "created_at"),
        ('created_at = "Date"', 'created_at = { from = "Date", via = "x" }', "via"),
        ('created_at = "Date"', 'created_at = { from = "Date", via = "x.y" }', "got 'x'"),
        ('created_at = "Date"', 'created_at = "Date"\ntotal = "T"', "orders.columns.total"),
        ('created_at = "Date"', 'created_at = "Date"\ncurrency = "C"', "currency"),
        ("[orders.columns]", '[orders]\nexcluded = { state = "x" }\n[orders.columns]', "state"),
        ("[orders.columns]", "[orders]\nexcluded = 3\n[orders.columns]", "orders.excluded"),
        ("[orders.columns]", '[orders]\nversion = "v"\n[orders.columns]', "v"),
        ('key = "order"', 'key = ["nothing"]', "order_items.key"),
        ('key = "order"', "", "order_items.key"),
        ("language = 2", "language = 3", "language"),
    ],
)
def test_a_wrong_setting_is_named(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in problems(GOOD.replace(old, new, 1))


def test_every_problem_is_listed_at_once() -> None:
    text = GOOD.replace('day = "as written"', "").replace('key = "order"', "")
    found = problems(text.replace('created_at = "Date"\n', ""))
    assert all(name in found for name in ("day", "order_items.key", "created_at"))


def test_refunds_in_a_column_and_as_rows_are_too_many() -> None:
    refunds = '[[files]]\nmatch = "r*"\nfeeds = ["refunds"]\n'
    text = HEAD + FILES + refunds + ORDERS + 'refund = "Back"\n' + ITEMS
    text += '[refunds]\nkey = "row"\n[refunds.columns]\namount = "A"\n'
    assert "got both" in problems(text)


@pytest.mark.parametrize(
    ("pattern", "path", "names"),
    [
        ("orders*", "in/orders_1.csv", {}),
        ("orders*", "orders/x.csv", None),
        ("orders/*", "a/orders/x/y.csv", {}),
        ("*.csv", "x.txt", None),
        (
            "store={store}/sales_{date}.csv",
            "a/store=7/sales_2025-03-01.csv",
            {"store": "7", "date": "2025-03-01"},
        ),
        ("store={store}/sales.csv", "xstore=7/sales.csv", None),
        ("{a}/b.csv", "x/y/b.csv", {"a": "y"}),
        ("a.b", "axb", None),
    ],
)
def test_a_pattern_matches_the_end_of_a_path(
    pattern: str, path: str, names: dict[str, str] | None
) -> None:
    assert FilePattern(text=pattern).match(path) == names
