"""Amounts that 64 bits cannot add up cost their own row, never the day."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.language.contracts import HEAD
from tests.language.product import run
from tests.language.reference import File

DAY = "2025-03-01"
CONTRACT = (
    HEAD
    + """
[limits]
max_reject_rate = 1
[[files]]
match = "sales.csv"
feeds = ["orders", "order_items"]
[orders.columns]
order_id = "Order"
created_at = "Date"
[order_items]
key = "row"
[order_items.columns]
order_id = "Order"
quantity = "Qty"
"""
)


def test_a_line_too_large_is_a_reject(tmp_path: Path) -> None:
    rows = ["1,99999999999999.9999,1", "2,9999999999999,999999999", "3,1,1000000001", "4,5,2"]
    text = "Order,Date,Price,Qty\n" + "".join(
        f"{order},{DAY},{price},{quantity}\n"
        for order, price, quantity in (row.split(",") for row in rows)
    )
    outcome = run(tmp_path, CONTRACT + 'unit_price = "Price"\n', [File("sales.csv", text, 0)])
    (entry,) = outcome.entries.values()
    assert entry.reasons == {"out_of_range": 3}
    assert outcome.orders[DAY]["total_revenue"] == Decimal("10.00")
