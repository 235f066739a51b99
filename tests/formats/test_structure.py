"""Nested JSON, members of archives, sheets of workbooks: which rows of them are whose."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kpi.contract.loading import parse_contract
from tests.formats.test_same_kpis import publish
from tests.formats.writers import as_csv, as_workbook, as_zip
from tests.language.contracts import HEAD
from tests.language.product import Outcome
from tests.support.shops import Pipeline
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.validate.stream import BlockSizes
from worker.validate.validate_source import validate

NESTED = (
    HEAD
    + """
[[files]]
match = "sales*"
feeds = ["orders", "order_items"]
each = "EACH"
[orders.columns]
order_id = "id"
created_at = "date"
user_id = "customer.id"
[order_items]
key = "order"
[order_items.columns]
order_id = "id"
product_id = "lines.sku"
quantity = "quantity"
after_discount = "lines.price.amount"
"""
)
LINES = NESTED.replace("EACH", "lines")
DAY = "2025-03-01"


def order(number: str, *prices: str, **more: Any) -> dict[str, Any]:
    lines = [{"sku": "A", "quantity": 2, "price": {"amount": price}} for price in prices]
    return {"id": number, "date": DAY, "customer": {"id": f"c{number}"}, "lines": lines, **more}


def totals(outcome: Outcome) -> tuple[Any, ...]:
    row = outcome.orders[DAY]
    return row["total_orders"], row["total_revenue"], row["total_items_sold"]


def reason(outcome: Outcome) -> str:
    (entry,) = outcome.entries.values()
    return str(entry.reason)


@pytest.mark.parametrize(
    "write",
    [
        lambda orders: "\n".join(map(json.dumps, orders)),
        json.dumps,
        lambda orders: json.dumps(orders, indent=2),
        lambda orders: "\n".join(json.dumps(one, indent=1) for one in orders),
    ],
    ids=["lines", "list", "indented list", "indented objects"],
)
@pytest.mark.parametrize("block_bytes", [7, 100, 10_000])
def test_each_element_of_a_list_is_a_line(tmp_path: Path, write: Any, block_bytes: int) -> None:
    orders = [order("1", "5", "2.50"), order("2", "1"), order("3", note='a "}" and \\ in it')]
    sizes = BlockSizes(block_bytes=block_bytes, overlap_bytes=0)
    outcome = publish(tmp_path, LINES, "sales.json", write(orders).encode(), sizes)
    assert totals(outcome) == (3, Decimal("8.50"), 6)
    (entry,) = outcome.entries.values()
    assert entry.feeds["order_items"].passed_over == 1
    assert entry.feeds["orders"].passed_over == 0


def test_an_order_without_the_list_is_an_order_without_lines(tmp_path: Path) -> None:
    bare = order("1")
    del bare["lines"]
    data = "\n".join(map(json.dumps, [bare, order("2", lines=None), order("3", "4")])).encode()
    assert totals(publish(tmp_path, LINES, "sales.jsonl", data)) == (3, Decimal(4), 2)


PAGE = NESTED.replace('"EACH"', '"orders.lines"')
PAGE = PAGE.replace('= "id"', '= "orders.id"').replace('"lines.', '"orders.lines.')


@pytest.mark.parametrize("contract", [PAGE, PAGE.replace("orders.id", "id")])
def test_fields_between_two_lists_are_those_of_their_element(tmp_path: Path, contract: str) -> None:
    """A page of an API has its orders in a list of its own, and each order its lines."""
    page = {"page": 1, "orders": [order("1", "5"), order("2", "7", "1"), order("3")]}
    outcome = publish(tmp_path, contract, "sales.json", json.dumps(page).encode())
    assert totals(outcome) == (3, Decimal(13), 6)
    (entry,) = outcome.entries.values()
    assert (entry.rows_read, entry.feeds["order_items"].passed_over) == (4, 1)


def test_a_page_without_orders_has_no_rows_that_count(tmp_path: Path) -> None:
    pages = [{"page": 1, "orders": [order("1", "5")]}, {"page": 2, "orders": []}]
    data = "\n".join(map(json.dumps, pages)).encode()
    outcome = publish(tmp_path, PAGE, "sales.jsonl", data)
    (entry,) = outcome.entries.values()
    assert (entry.rows_read, entry.rows_rejected, entry.rows_passed_over) == (2, 0, 1)


def test_a_path_that_no_object_has_refuses_the_file(tmp_path: Path) -> None:
    contract = LINES.replace("customer.id", "customer.number")
    data = json.dumps(order("1", "5")).encode()
    assert "expected customer.number in some object" in reason(
        publish(tmp_path, contract, "sales.jsonl", data)
    )


def test_a_path_that_a_late_object_has_is_found(tmp_path: Path) -> None:
    first = {**order("1", "5"), "customer": {}}
    data = "\n".join(json.dumps(one) for one in [first] * 1_200 + [order("2", "5")]).encode()
    outcome = publish(tmp_path, LINES, "sales.jsonl", data)
    assert outcome.orders[DAY]["unique_customers"] == 1


def test_a_null_on_the_way_is_no_value(tmp_path: Path) -> None:
    data = json.dumps(order("1", "5", customer=None)).encode()
    assert outcome_users(publish(tmp_path, LINES, "sales.jsonl", data)) == 0


def outcome_users(outcome: Outcome) -> int:
    found: int = outcome.orders[DAY]["unique_customers"]
    return found


@pytest.mark.parametrize(
    "written", ["1.10", "1e3", "12345678901234567890123", "0.30000000000000001"]
)
def test_a_number_that_is_a_text_stays_as_it_is_written(tmp_path: Path, written: str) -> None:
    contract = LINES + 'category = "lines.kind"\n'
    line = f'{{"sku": "A", "quantity": 1, "price": {{"amount": 1}}, "kind": {written}}}'
    text = f'{{"id": 1, "date": "{DAY}", "customer": {{"id": 7}}, "lines": [{line}]}}'
    outcome = publish(tmp_path, contract, "sales.json", text.encode())
    assert {category for _, category in outcome.categories} == {written}


def test_an_amount_keeps_the_digits_that_a_double_would_lose(tmp_path: Path) -> None:
    text = json.dumps(order("1", "5")).replace('"5"', "9007199254740.9951")
    outcome = publish(tmp_path, LINES, "sales.json", text.encode())
    assert outcome.orders[DAY]["total_revenue"] == Decimal("9007199254741.00")


def test_each_with_a_table_is_refused(tmp_path: Path) -> None:
    outcome = publish(tmp_path, LINES, "sales.csv", b"id,date\n1,2025-03-01\n")
    assert "expected JSON" in reason(outcome)


FLAT = (
    HEAD
    + """
[[files]]
match = "MATCH"
feeds = ["orders", "order_items"]
[[files]]
match = "*products*"
feeds = ["products"]
[orders.columns]
order_id = "Order"
created_at = "Date"
[order_items]
key = "row"
[order_items.columns]
order_id = "Order"
product_id = "SKU"
after_discount = "Total"
[products.columns]
id = "Id"
category = "Kind"
"""
)
ROWS = [
    {"Order": "1", "Date": DAY, "SKU": "A", "Total": "5"},
    {"Order": "2", "Date": DAY, "SKU": "B", "Total": "7"},
]
PRODUCTS = [{"Id": "A", "Kind": "Toys"}, {"Id": "B", "Kind": "Games"}]


@pytest.mark.parametrize("match", ["*.zip/*sales*.csv", "sales*.csv", "week.zip/*/sales.csv"])
def test_members_are_matched_by_their_path_in_the_archive(tmp_path: Path, match: str) -> None:
    members = {"deep/sales.csv": as_csv(ROWS), "deep/products.csv": as_csv(PRODUCTS)}
    outcome = publish(tmp_path, FLAT.replace("MATCH", match), "week.zip", as_zip(members))
    (entry,) = outcome.entries.values()
    assert {place[1] for place in outcome.categories} == {"Toys", "Games"}
    assert entry.dataset == "orders+order_items+products"
    assert entry.rows_read == 4
    assert entry.feeds["products"].passed_over == 2


def test_a_member_that_no_entry_matches_refuses_the_archive(tmp_path: Path) -> None:
    members = {"sales.csv": as_csv(ROWS), "notes.txt": b"x", "__MACOSX/._sales.csv": b"\0"}
    outcome = publish(tmp_path, FLAT.replace("MATCH", "sales*.csv"), "week.zip", as_zip(members))
    assert "'notes.txt': expected a file that an entry" in reason(outcome)


def test_a_later_version_of_an_archive_replaces_its_rows(tmp_path: Path) -> None:
    """`key = "row"` names a row by its file and number, over all members."""
    members = {"sales1.csv": as_csv(ROWS[:1]), "sales2.csv": as_csv(ROWS[1:])}
    outcome = publish(tmp_path, FLAT.replace("MATCH", "sales*.csv"), "week.zip", as_zip(members))
    assert outcome.orders[DAY]["total_revenue"] == 12


def test_a_sheet_is_matched_by_its_name(tmp_path: Path) -> None:
    data = as_workbook(ROWS, sheet="Orders 2025")
    outcome = publish(tmp_path, FLAT.replace("MATCH", "book.xlsx/Orders*"), "book.xlsx", data)
    assert outcome.orders[DAY]["total_revenue"] == 12


def test_the_only_sheet_needs_no_name(tmp_path: Path) -> None:
    data = as_workbook(ROWS, ("Total",))
    outcome = publish(tmp_path, FLAT.replace("MATCH", "book*"), "book.xlsx", data)
    assert outcome.orders[DAY]["total_revenue"] == 12


def test_fixed_widths_are_refused_by_name(tmp_path: Path) -> None:
    text = b"    10012025-03-01     7A\n    10022025-03-01     8B\n"
    outcome = publish(tmp_path, FLAT.replace("MATCH", "sales*"), "sales.txt", text)
    assert "columns of fixed width are not read" in reason(outcome)


KNOWN = FLAT.replace('match = "MATCH"', 'match = "*"\nknown_by = ["SKU", "Total"]').replace(
    'match = "*products*"', 'match = "*"\nknown_by = ["Kind"]'
)


def test_the_first_entry_that_knows_the_header_takes_a_file(tmp_path: Path) -> None:
    outcome = publish(tmp_path, KNOWN, "a", as_csv(PRODUCTS))
    (entry,) = outcome.entries.values()
    assert entry.dataset == "products"
    assert entry.feeds["products"].file_entry == 1


def test_a_header_that_no_entry_knows_refuses_the_file(tmp_path: Path) -> None:
    assert "known_by" in reason(publish(tmp_path, KNOWN, "a", b"x,y\n1,2\n"))


def test_an_entry_that_feeds_nothing_takes_a_file_unread(tmp_path: Path) -> None:
    contract = KNOWN + '[[files]]\nmatch = "*"\nknown_by = ["x"]\nfeeds = []\n'
    outcome = publish(tmp_path, contract, "a", b"x,y\n1,2\n3\n")
    (entry,) = outcome.entries.values()
    assert (entry.verdict, entry.rows_read) == ("accepted", 0)


@pytest.mark.parametrize("name", ["week.zip", "sales.parquet"])
async def test_containers_are_read_from_any_store(tmp_path: Path, name: str) -> None:
    store = MemoryStore()
    data = as_zip({"sales.csv": as_csv(ROWS)})
    if name.endswith("parquet"):
        out = pa.BufferOutputStream()
        pa.parquet.write_table(pa.Table.from_pylist(ROWS), out)
        data = out.getvalue().to_pybytes()
    async with store.create(name) as writer:
        await writer.write(data)
    source = Source(info=await store.stat(name), dataset="", store=store)
    contract = parse_contract(FLAT.replace("MATCH", "sales*"), source="test")
    async with Pipeline(tmp_path, contract) as pipeline:
        entry, _ = await validate(source, pipeline.context(sha256=True))
    assert (entry.rows_clean, entry.sha256 is None) == (2, False)
