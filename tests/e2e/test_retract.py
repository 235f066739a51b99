"""Uploads taken out of the KPIs and put back, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.files import ITEMS, ORDERS, put
from tests.support.commands import Shopkpi


def put_shop() -> None:
    put("shop/orders/a.csv", ORDERS + "1,7,shipped,2025-03-01T10:00:00\n")
    put("shop/orders/b.csv", ORDERS + "2,8,shipped,2025-03-02T10:00:00\n")
    put("shop/order_items/a.csv", ITEMS + "1,1,5,,10.00\n2,2,5,,100.00\n")


def orders(shopkpi: Shopkpi) -> list[str]:
    return shopkpi("query", "orders", "--format", "csv").kpis


def test_a_retracted_upload_counts_as_if_it_had_never_come(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    before = orders(shopkpi)
    done = shopkpi("retract", "orders/b.csv", "--reason", "test orders", "--format", "json")
    assert done.code == 0
    assert [event["event"] for event in done.events] == ["source.retracted", "kpis.published"]
    assert orders(shopkpi) == ["2025-03-01,1,10.00,1,0.0000,1"]
    assert shopkpi("audit").code == 0

    receipt = shopkpi("ledger", "orders/b.csv", "--format", "json").json[0]
    assert (receipt["ruling"], receipt["ruling_reason"]) == ("retraction", "test orders")

    assert shopkpi("restore", "orders/b.csv", "--format", "json").code == 0
    assert orders(shopkpi) == before
    assert shopkpi("audit").code == 0


def test_an_earlier_version_of_a_row_comes_back(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    before = orders(shopkpi)
    put("shop/orders/z.csv", ORDERS + "1,7,returned,2025-03-02T10:00:00\n")
    shopkpi("run", "shop")
    assert orders(shopkpi) != before
    shopkpi("retract", "orders/z.csv", "--format", "json")
    assert orders(shopkpi) == before


def test_a_dry_run_shows_the_changes_and_writes_nothing(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    before = orders(shopkpi)
    done = shopkpi("retract", "orders/b.csv", "--dry-run", "--format", "json")
    changes = {
        (one["table"], one["order_date"], one["attribute"]): (one["before"], one["after"])
        for one in json.loads(done.out)
    }
    assert changes["order_kpis", "2025-03-02", "total_revenue"] == ("100.00", None)
    assert not [place for place in changes if place[1] != "2025-03-02"]
    assert orders(shopkpi) == before
    assert len(shopkpi("ledger", "--format", "json").json) == 3
    assert "ruling" not in shopkpi("ledger", "orders/b.csv", "--format", "json").json[0]


def test_the_changed_values_are_shown_on_a_terminal(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    shown = shopkpi("retract", "orders/b.csv", "--format", "table").out
    assert "total_revenue" in shown
    assert "100.00" in shown
    assert "retracted" in shopkpi("ledger", "--format", "table").out
    assert Path("shop/orders/b.csv").exists()
