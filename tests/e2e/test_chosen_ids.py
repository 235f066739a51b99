"""Ids that somebody chose to pass for others: no order is merged, moved or lost.

The pairs share a key under the hash of release 0.1.0, a linear sum with public constants. Anyone
found such an id for a given one within seconds.
"""

from __future__ import annotations

import pytest

from tests.e2e.files import put
from tests.support.commands import Shopkpi

OTHER_TEXT = ("--contract", "string-ids")
PAIRS = [
    ("ORD-2025-000123", "ORD-20256MDXGum*ZmEcEYAzJBbg49;+!RW.3aPy"),  # the first one was given
    ("iS9VMe4eaqqnLi3f", "lumxf404aF1UbWL0"),
    ("sUmoa4MuWz9awEPc", "hvHlNmpNOuj8JApZ"),
    ("Im2VwS6NmHeZhnCN", "fNXFbxQR9QjVALse"),
    ("vcm0645PtjDgoCcI", "ZgzOK239v6kS8jHg"),
]


@pytest.mark.parametrize(("victim", "chosen"), PAIRS)
def test_an_order_with_a_chosen_id_takes_no_others_place(
    shopkpi: Shopkpi, victim: str, chosen: str
) -> None:
    header = "order_id,user_id,status,created_at\n"
    put("s/orders/1.csv", f"{header}{victim},alice,complete,2025-03-01T10:00:00\n")
    put(
        "s/order_items/1.csv",
        f"id,order_id,product_id,status,sale_price\n1,{victim},p,,5000.00\n",
    )
    put("s/products/1.csv", "id,category\np,Books\n")
    assert shopkpi("run", "s", *OTHER_TEXT).code == 0
    before = shopkpi("query", "orders", "--format", "csv").kpis
    assert before[0].startswith("2025-03-01,1,5000.00,1")

    # Ids below and above all others: no file is skipped for its range of ids.
    ids = ("~", chosen, "!")
    rows = "".join(f"{one},mallory,complete,2020-01-01T00:00:00\n" for one in ids)
    put("s/orders/2.csv", header + rows)
    put("s/order_items/2.csv", "id,order_id,product_id,status,sale_price\n2,x,p,,1.00\n")
    assert shopkpi("run", "s", *OTHER_TEXT).code == 0
    after = shopkpi("query", "orders", "--from", "2025-01-01", "--format", "csv").kpis
    assert after == before
    assert shopkpi("query", "orders", "--format", "csv").out.count("2020-01-01,3,,0") == 1
    assert shopkpi("audit", *OTHER_TEXT).code == 0


@pytest.mark.parametrize(("victim", "chosen"), PAIRS)
def test_an_item_with_a_chosen_id_replaces_no_other(
    shopkpi: Shopkpi, victim: str, chosen: str
) -> None:
    put("s/orders/1.csv", "order_id,user_id,status,created_at\no,u,,2025-03-01\n")
    # Descending: ids that rise cannot repeat, and are not compared.
    first, last = sorted((victim, chosen), reverse=True)
    put(
        "s/order_items/1.csv",
        f"id,order_id,product_id,status,sale_price\n{first},o,p,,5.00\n{last},o,p,,7.00\n",
    )
    put("s/products/1.csv", "id,category\np,Books\n")
    assert shopkpi("run", "s", *OTHER_TEXT).code == 0
    assert "2025-03-01,1,12.00,2" in shopkpi("query", "orders", "--format", "csv").out
