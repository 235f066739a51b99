"""Amounts that 64 bits cannot add up cost their own row or day, and no other."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from kpi.errors import KpiError
from tests.language.contracts import HEAD
from tests.language.files import File
from tests.language.product import run

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


PRICES = """[[files]]
match = "prices.csv"
feeds = ["prices"]
[references.prices]
key = "sku"
[order_items]
"""


@pytest.mark.parametrize("reverse", [False, True])
def test_a_looked_up_price_too_large_costs_its_day_alone(tmp_path: Path, reverse: bool) -> None:
    contract = CONTRACT.replace("[order_items]\n", PRICES)
    contract += 'unit_price = { from = "SKU", via = "prices.price" }\n'
    rows = ["1,2025-03-01,A,999999999", "2,2025-03-02,B,2"]
    text = "Order,Date,SKU,Qty\n" + "\n".join(rows[::-1] if reverse else rows) + "\n"
    prices = "sku,price\nA,99999999999\nB,5\n"
    files = [File("sales.csv", text, 0), File("prices.csv", prices, 1)]
    with pytest.raises(KpiError, match=r"2025-03-01: amounts exceed 64 bits.*other days are"):
        run(tmp_path, contract, files)
