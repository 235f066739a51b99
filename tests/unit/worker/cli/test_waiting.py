"""`waiting`: which items wait for which order, in both languages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kpi.contract.loading import built_in
from tests.support.commands import shopkpi

SHOP = """
language = 2
name = "two files"
day = "as written"
[[files]]
match = "orders/*"
feeds = ["orders"]
[[files]]
match = "order_items/*"
feeds = ["order_items"]
[orders]
[orders.columns]
order_id = "order_id"
created_at = "created_at"
[order_items]
key = ["id"]
[order_items.columns]
id = "id"
order_id = "order_id"
after_discount = "sale_price"
"""
CONTRACTS = {"language 1": built_in().text, "language 2": SHOP}


def put(home: Path, name: str, text: str, at: int) -> None:
    path = home / "shop" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))


@pytest.mark.parametrize("language", CONTRACTS)
def test_items_wait_for_orders_that_have_not_come(tmp_path: Path, language: str) -> None:
    (tmp_path / "contract.toml").write_text(CONTRACTS[language])
    orders = "order_id,user_id,status,created_at\n1234,7,x,2025-03-01T00:00:00\n"
    put(tmp_path, "orders/1.csv", orders, 1_741_000_000)
    columns = "id,order_id,product_id,sale_price\n"
    put(
        tmp_path,
        "order_items/b.csv",
        f"{columns}1,1234,1,5\n2,5678,1,5\n3,5678,1,5\n",
        1_741_000_000,
    )
    put(tmp_path, "order_items/a.csv", f"{columns}4,8888,1,5\n2,9999,1,5\n", 1_742_000_000)
    shopkpi(tmp_path, "run", "shop", "--contract", "contract.toml")

    found = shopkpi(tmp_path, "waiting", "--format", "json").json
    shown = [(one["file"].rsplit("/", 1)[-1], one["order_id"], one["rows"]) for one in found]
    # The longest waiting first; item 2 has moved to another order.
    assert shown == [("b.csv", "**78", 1), ("a.csv", "**88", 1), ("a.csv", "**99", 1)]
    assert found[0]["uploaded_at"] == "2025-03-03T11:06:40+00:00"
    assert found[0]["hours"] > found[1]["hours"] > 0
    assert {one["dataset"] for one in found} == {"order_items"}
    keys = shopkpi(tmp_path, "waiting", "--keys", "--format", "csv").out
    assert ",order_items,1,5678\n" in keys
    assert "1234" not in keys
    table = shopkpi(tmp_path, "waiting", "--format", "table").out
    assert "b.csv" in table
    assert "5678" not in table

    put(tmp_path, "orders/2.csv", orders.replace("1234", "5678"), 1_743_000_000)
    shopkpi(tmp_path, "run", "shop")
    found = shopkpi(tmp_path, "waiting", "--keys", "--format", "json").json
    assert [one["order_id"] for one in found] == ["8888", "9999"]
