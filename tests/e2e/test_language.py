"""Contracts of language 2 from the command line."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.support.commands import Done, Shopkpi

CONTRACT = HEAD + FILES + ORDERS + 'discount = "Off"\n' + ITEMS + 'category = "SKU"\n'
HEADER = "Order,Date,SKU,Qty,Total,Off"


def put(name: str, text: str) -> None:
    path = Path("shop") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def put_shop() -> None:
    Path("c.toml").write_text(CONTRACT)
    put("sales1.csv", sales("1,2025-03-01,A,2,10,1", "1,2025-03-01,B,1,5,1", header=HEADER))
    put("sales2.csv", sales("2,2025-03-02,A,1,5,0", header=HEADER))


def call(shopkpi: Shopkpi, *words: str) -> Done:
    return shopkpi(*words, "--contract", "c.toml")


def orders(shopkpi: Shopkpi) -> list[str]:
    return call(shopkpi, "query", "orders", "--format", "csv").kpis


FIRST = "2025-03-01,1,14.00,3,0.0000,,,1.00,,,14.00,,,"
SECOND = "2025-03-02,1,5.00,1,0.0000,,,0.00,,,5.00,,,"


def test_a_folder_without_dataset_folders_is_run(shopkpi: Shopkpi) -> None:
    put_shop()
    assert call(shopkpi, "contract", "check", "c.toml").code != 0  # it takes no --contract
    assert "usable" in shopkpi("contract", "check", "c.toml").out
    done = call(shopkpi, "run", "shop", "--format", "json")
    assert {event.get("dataset") for event in done.events} >= {"orders+order_items"}
    assert orders(shopkpi) == [FIRST, SECOND]
    assert "(order)" in call(shopkpi, "query", "category").out
    receipts = call(shopkpi, "ledger", "--format", "json").json
    assert [one["rows_passed_over"] for one in receipts] == [0, 0]
    assert sum(one["feeds"]["order_items"]["clean"] for one in receipts) == 3


def test_a_file_that_no_pattern_matches_is_refused_by_name(shopkpi: Shopkpi) -> None:
    put_shop()
    put("notes.csv", "a,b\n1,2\n")
    done = call(shopkpi, "run", "shop", "--format", "json")
    refused = [event for event in done.events if event["event"] == "source.refused"]
    assert [event["url"].rsplit("/", 1)[-1] for event in refused] == ["notes.csv"]
    assert orders(shopkpi) == [FIRST, SECOND]


def test_a_second_run_changes_nothing_and_audit_agrees(shopkpi: Shopkpi) -> None:
    put_shop()
    call(shopkpi, "run", "shop")
    call(shopkpi, "run", "shop")
    assert orders(shopkpi) == [FIRST, SECOND]
    assert call(shopkpi, "audit").code == 0
    with sqlite3.connect(".shopkpi/shopkpi.db") as db:
        db.execute(
            "UPDATE order_kpi_rows SET discounts_minor = 900 WHERE order_date = '2025-03-01'"
        )
    assert call(shopkpi, "audit").code == 3


def test_an_upload_of_several_datasets_is_retracted_and_restored(shopkpi: Shopkpi) -> None:
    put_shop()
    call(shopkpi, "run", "shop")
    preview = call(shopkpi, "retract", "sales1.csv", "--dry-run", "--format", "json")
    assert {one["attribute"] for one in preview.json} >= {"total_revenue", "discounts"}
    assert call(shopkpi, "retract", "sales1.csv").code == 0
    assert orders(shopkpi) == [SECOND]
    assert call(shopkpi, "audit").code == 0
    assert call(shopkpi, "restore", "sales1.csv").code == 0
    assert orders(shopkpi) == [FIRST, SECOND]


def test_days_may_be_published_in_slices(shopkpi: Shopkpi) -> None:
    put_shop()
    call(shopkpi, "validate", "shop/sales1.csv", "shop/sales2.csv")
    slices = call(shopkpi, "plan", "--days", "1").json
    assert slices == [
        {"from": "2025-03-01", "to": "2025-03-01"},
        {"from": "2025-03-02", "to": "2025-03-02"},
    ]
    call(shopkpi, "transform", "--from", "2025-03-02", "--to", "2025-03-02")
    assert orders(shopkpi) == [SECOND]
    call(shopkpi, "transform")
    assert orders(shopkpi) == [FIRST, SECOND]


def test_a_file_is_one_range(shopkpi: Shopkpi) -> None:
    put_shop()
    size = Path("shop/sales1.csv").stat().st_size
    plan = call(shopkpi, "plan", "shop/sales1.csv", "--split-bytes", "10")
    assert plan.json == [{"range": f"0-{size}"}]
    refused = call(shopkpi, "validate", "shop/sales1.csv", "--range", "0-10")
    assert refused.code == 2
    assert "not split" in refused.err
    assert call(shopkpi, "validate", "shop/sales1.csv", "--range", f"0-{size}").code == 0
    call(shopkpi, "transform")
    assert orders(shopkpi) == [FIRST]


def test_a_dataset_cannot_be_named_beside_patterns(shopkpi: Shopkpi) -> None:
    put_shop()
    done = call(shopkpi, "run", "shop", "--dataset", "orders")
    assert done.code == 2
    assert "--dataset" in done.err


def test_a_workspace_of_language_1_refuses_language_2(shopkpi: Shopkpi) -> None:
    put_shop()
    Path("old/orders").mkdir(parents=True)
    Path("old/orders/a.csv").write_text("order_id,user_id,created_at\n1,7,2025-02-01T10:00:00\n")
    shopkpi("run", "old")
    before = shopkpi("query", "orders", "--format", "csv").kpis[0]
    assert before == "2025-02-01,1,,0,0.0000,1"
    refused = call(shopkpi, "run", "shop")
    assert refused.code != 0
    assert "contract adopt" in refused.err
    assert shopkpi("query", "orders", "--format", "csv").kpis[0] == before


def test_other_conditions_can_be_adopted(shopkpi: Shopkpi) -> None:
    put_shop()
    call(shopkpi, "run", "shop")
    changed = CONTRACT.replace('key = "order"', 'key = "order"\nexcluded = { product_id = "B" }')
    Path("other.toml").write_text(changed)
    preview = shopkpi("contract", "adopt", "other.toml", "--dry-run", "--format", "json").json
    assert {one["attribute"] for one in preview} >= {"total_revenue", "excluded_orders"}
    assert shopkpi("contract", "adopt", "other.toml").code == 0
    found = shopkpi("query", "orders", "--format", "json").json
    assert [row["total_revenue"] for row in found] == ["9.00", "5.00"]
    assert shopkpi("audit").code == 0
    Path("c.toml").write_text(CONTRACT.replace('"Total"', '"Qty"'))
    assert shopkpi("contract", "adopt", "c.toml").code == 0  # the files are validated again
    found = shopkpi("query", "orders", "--format", "json").json
    assert [row["total_revenue"] for row in found] == ["2.00", "1.00"]
    assert shopkpi("audit").code == 0


def test_a_file_refused_early_is_a_verdict_whatever_its_size(shopkpi: Shopkpi) -> None:
    put_shop()
    put("sales3.csv", "a,b\n" + "1,2\n" * 10_000_000)
    done = call(shopkpi, "run", "shop", "--format", "json")
    refused = [event for event in done.events if event["event"] == "source.refused"]
    assert [event["url"].rsplit("/", 1)[-1] for event in refused] == ["sales3.csv"]
