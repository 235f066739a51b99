"""The audit, and the days that it counts again from raw files, after each thing that people do."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from kpi.contract.loading import built_in
from tests.support.commands import Done, Shopkpi

ORDERS = "order_id,user_id,status,created_at\n"
ITEMS = "id,order_id,product_id,status,sale_price\n"
FILES = {
    "orders/1.csv": ORDERS
    + "1,70001,shipped,2025-03-01T10:00:00\n"
    + "2,70002,returned,2025-03-01T23:30:00\n"
    + "3,70001,shipped,2025-03-02T10:00:00\n",
    "orders/2.csv": ORDERS + "1,70001,returned,2025-03-03T10:00:00\n",
    "order_items/1.csv": ITEMS + "1,1,5,,10.00\n2,2,6,,7.50\n3,3,5,,2.25\n",
    "products/1.csv": "id,category\n5,Shirts\n6,Shoes\n",
}


def test_no_operation_leaves_a_difference(tmp_path: Path, shopkpi: Shopkpi) -> None:
    for name, text in FILES.items():
        (tmp_path / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / name).write_text(text)
    seen: list[object] = []

    def after(*command: str) -> None:
        done = shopkpi(*command)
        assert done.code == 0, done.err
        check(shopkpi("audit", "--recount", "9", "--format", "json"))
        seen.append(shopkpi("query", "orders", "--format", "json").json)

    def check(audit: Done) -> None:
        assert audit.code == 0, audit.err + audit.out
        (event,) = (one for one in audit.events if one["event"] == "audit.finished")
        assert (event["differences"], event["behind"], event["failed"]) == (0, {}, [])
        assert len(event["recounted"]) >= 2

    after("run", "shop", "--kpis", "order,category,product")
    after("retract", "orders/2.csv", "--reason", "test")
    after("restore", "orders/2.csv")
    text = built_in().text.replace(
        'business_time_zone = "UTC"', 'business_time_zone = "Asia/Tokyo"'
    )
    Path("other.toml").write_text(f'replaces = "file"\n{text}')
    after("contract", "adopt", "other.toml")
    replaced = FILES["orders/1.csv"].replace("3,70001,shipped,2025-03-02T10:00:00\n", "")
    (tmp_path / "shop/orders/1.csv").write_text(replaced)
    after("run", "shop")
    after("erase-customer", "70001")
    after("erase-customer", "70002", "--delete")
    # Each did something, but for the pseudonym.
    assert [one != two for one, two in pairwise(seen)] == [
        *(True, True, True, True, False, True),
    ]
