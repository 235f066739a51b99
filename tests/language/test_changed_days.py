"""A transform computes the days that new files may have changed, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpi.contract.loading import parse_contract
from tests.language.contracts import HEAD
from tests.language.uploads import Shop
from tests.support.shops import Pipeline

CONTRACT = (
    HEAD
    + """
[[files]]
match = "orders*.csv"
feeds = ["orders"]
[[files]]
match = "lines*.csv"
feeds = ["order_items"]
[[files]]
match = "refunds*.csv"
feeds = ["refunds"]
[[files]]
match = "products*.csv"
feeds = ["products"]
[[files]]
match = "kinds*.csv"
feeds = ["kinds"]
[orders]
excluded = { status = "void" }
[orders.columns]
order_id = "Order"
created_at = "Date"
status = "Status"
[order_items]
key = "Line"
[order_items.columns]
Line = "Line"
order_id = "Order"
product_id = "SKU"
unit_price = "Price"
[refunds]
key = "Refund"
[refunds.columns]
Refund = "Refund"
order_id = "Order"
created_at = "Date"
amount = "Amount"
[products.columns]
id = "SKU"
category = { from = "Kind", via = "kinds.Name" }
[references.kinds]
key = "Kind"
"""
)
MON, TUE, WED, THU = (f"2025-03-{day:02d}" for day in (3, 4, 5, 6))
HEADERS = {
    "orders": "Order,Date,Status",
    "lines": "Line,Order,SKU,Price",
    "refunds": "Refund,Order,Date,Amount",
    "products": "SKU,Kind",
    "kinds": "Kind,Name",
}
FIRST = {
    "orders": (f"1,{MON},", f"2,{TUE},", f"3,{WED},"),
    "lines": ("1,1,A,5", "2,2,B,7", "3,3,C,9"),
    "refunds": (f"1,1,{THU},2",),
    "products": ("A,t", "B,t", "C,g"),
    "kinds": ("t,Toys", "g,Games"),
}


@pytest.mark.parametrize(
    ("name", "row", "days"),
    [
        ("orders", f"9,{TUE},", [TUE]),
        ("orders", f"1,{WED},", [MON, WED, THU]),  # moves; the refund names it
        ("orders", f"1,{MON},void", [MON, THU]),  # its refund counts no more
        ("orders", f"2,{TUE},void", [TUE]),
        ("lines", "9,3,A,1", [WED]),
        ("lines", "1,2,A,5", [MON, TUE, THU]),  # moves from one order to another
        ("refunds", f"1,2,{THU},2", [MON, TUE, THU]),  # names another order
        ("products", "A,g", [MON, THU]),
        ("products", "D,g", []),
        ("products", "A,t", []),
        ("kinds", "g,Puzzles", [WED]),
        ("kinds", "t,Toys", []),
        ("kinds", "x,Other", []),
    ],
)
async def test_a_file_changes_the_days_that_its_rows_concern(
    tmp_path: Path, name: str, row: str, days: list[str]
) -> None:
    async with Pipeline(tmp_path, parse_contract(CONTRACT, source="test")) as pipeline:
        shop = Shop(pipeline, tmp_path / "in")
        for kind, rows in FIRST.items():
            await shop.put(f"{kind}1.csv", *rows, header=HEADERS[kind])
        assert len((await pipeline.transform()).days) == 4
        await shop.put(f"{name}2.csv", row, header=HEADERS[name])
        report = await pipeline.transform()
        rows_after = await pipeline.all_rows()
        await pipeline.transform(everything=True)
        assert rows_after == await pipeline.all_rows()
    assert [day.isoformat() for day in report.days] == days
