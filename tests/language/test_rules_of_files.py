"""Contract language 2 on small shops: values and files (rules 23 to 27)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.days import DAY, NEXT, row
from tests.language.files import File
from tests.language.product import check, run


def test_rule_23_a_shipping_line_is_left_out_by_excluded(tmp_path: Path) -> None:
    contract = (
        HEAD
        + FILES
        + ORDERS
        + ITEMS.replace(
            'key = "order"', 'key = "order"\nexcluded = { product_id = ["SHIPPING", "TIP"] }'
        )
    )
    text = sales(f"1,{DAY},A,1,5", f"1,{DAY},shipping,1,4.9", f"1,{DAY},TIP,1,1")
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert (row(outcome)["total_revenue"], row(outcome)["total_items_sold"]) == (5, 1)


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        ('"A"', "A a"),
        ('["A", "B"]', "A a B"),
        ('"!A"', "B BC '' -1"),
        ('["!A", "!B"]', "BC '' -1"),
        ('["B*", "!BC"]', "B"),
        ('"*"', "A a B BC -1"),
        ('""', "''"),
        ('"!"', "A a B BC -1"),
        ('"<0"', "-1"),
        ('"*C"', "BC"),
    ],
)
def test_rule_24_lists_hold_by_any_plain_text_and_no_negated_one(
    tmp_path: Path, texts: str, kept: str
) -> None:
    contract = (
        HEAD
        + FILES
        + f"only.orders = {{ SKU = {texts} }}\nonly.order_items = {{ SKU = {texts} }}\n"
    )
    contract += ORDERS + ITEMS
    every = ["A", "a", "B", "BC", "", "-1"]
    text = sales(*(f"{n},{DAY},{sku},1,5" for n, sku in enumerate(every)))
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["total_orders"] == len(kept.split())


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (" order ,DATE,sku,qty,TOTAL", None),
        ("Order,Date,SKU,Qty,Total,total", "'Total', 'total'"),
        ("Order,Date,SKU,Qty,Amount", "total"),
    ],
)
def test_rule_25_headers_are_exact_and_stand_once(
    tmp_path: Path, header: str, reason: str | None
) -> None:
    wide = ",5" * (header.count(",") - 4)
    text = sales(f"1,{DAY},A,1,5{wide}", header=header)
    outcome = run(tmp_path, HEAD + FILES + ORDERS + ITEMS, [File("sales.csv", text, 0)])
    entry = outcome.entries["sales.csv"]
    assert (entry.verdict == "refused") == (reason is not None)
    assert reason is None or reason in str(entry.reason)


def test_rule_25_the_first_header_that_the_file_has_counts(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS.replace('"Date"', '{ from = ["Processed", "Date"] }') + ITEMS
    files = [
        File(
            "sales1.csv",
            sales(f"1,{DAY},A,1,5,{NEXT}", header="Order,Date,SKU,Qty,Total,Processed"),
            0,
        ),
        File("sales2.csv", sales(f"2,{DAY},A,1,5"), 1),
    ]
    assert set(check(tmp_path, contract, files).orders) == {DAY, NEXT}


def test_rule_27_float_noise_is_rounded_and_counted(tmp_path: Path) -> None:
    contract = HEAD + FILES + ORDERS + ITEMS
    text = sales(f"1,{DAY},A,1,19.989999771118164", f"1,{DAY},A,1,5.00")
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].feeds["order_items"].notes == {"rounded": 1}
    assert row(outcome)["total_revenue"] == Decimal("24.99")


@pytest.mark.parametrize("written", ["1999-12-31", "2027-01-01"])
def test_rule_27_a_day_outside_the_bounds_is_a_reject(tmp_path: Path, written: str) -> None:
    rows = [f"{n},{DAY},A,1,5" for n in range(20)]
    text = sales(*rows, f"99,{written},A,1,5")
    outcome = check(tmp_path, HEAD + FILES + ORDERS + ITEMS, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].reasons == {"out_of_range": 1}


def test_rule_27_an_escape_character_makes_a_quote_a_plain_one(tmp_path: Path) -> None:
    contract = HEAD + FILES + 'escape = "\\\\"\n' + ORDERS + ITEMS + 'category = "SKU"\n'
    text = sales(f'1,{DAY},"a \\"b\\", c",1,5')
    outcome = run(tmp_path, contract, [File("sales.csv", text, 0)])
    assert list(outcome.categories) == [(DAY, 'a "b", c')]


@pytest.mark.parametrize("quote", ["", 'quote = ""\n'])
def test_a_cell_of_an_escaped_n_has_no_value(tmp_path: Path, quote: str) -> None:
    """As MySQL and PostgreSQL export NULL; other cells keep the letter."""
    contract = HEAD + FILES + 'escape = "\\\\"\n' + quote + ORDERS + ITEMS + 'category = "SKU"\n'
    rows = (f"1,{DAY},\\N,1,5", f"2,{DAY},N,1,7", f"3,{DAY},a\\N,1,9", f"4,{DAY},\\\\N,1,9")
    outcome = check(tmp_path, contract, [File("sales1.csv", sales(*rows), 0)])
    assert sorted(name for _, name in outcome.categories) == ["(none)", "N", "\\N", "aN"]


@pytest.mark.parametrize("quote", ["", 'quote = ""\n'])
def test_a_delimiter_behind_a_backslash_separates_nothing(tmp_path: Path, quote: str) -> None:
    """Within quotes and outside of them, as MySQL and PostgreSQL export it."""
    contract = HEAD + FILES + 'escape = "\\\\"\n' + quote + ORDERS + ITEMS + 'category = "SKU"\n'
    around = "" if quote else '"'
    rows = (
        f"1,{DAY},a\\,b,1,5",
        f"2,{DAY},{around}c\\,\\;d{around},1,7",
        f"3,{DAY},e\\|\\*f,1,9",
    )
    outcome = check(tmp_path, contract, [File("sales1.csv", sales(*rows), 0)])
    assert outcome.entries["sales1.csv"].rows_rejected == 0
    assert sorted(name for _, name in outcome.categories) == ["a,b", "c,;d", "e|*f"]
