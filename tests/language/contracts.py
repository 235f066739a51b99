"""Contracts for tests, put together of parts."""

from __future__ import annotations

HEAD = """language = 2
name = "test"
day = "as written"
not_after = "2026-12-31"
"""

ORDERS = """
[orders.columns]
order_id = "Order"
created_at = "Date"
"""

ITEMS = """
[order_items]
key = "order"
[order_items.columns]
order_id = "Order"
product_id = "SKU"
quantity = "Qty"
after_discount = "Total"
"""

FILES = """
[[files]]
match = "sales*.csv"
feeds = ["orders", "order_items"]
"""

HEADER = "Order,Date,SKU,Qty,Total"


def sales(*rows: str, header: str = HEADER) -> str:
    """A file of lines."""
    return "\n".join([header, *rows]) + "\n"
