"""`status`: what it prints in each format, and when it needs a person."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kpi.contract.loading import built_in
from tests.support.commands import shopkpi

ORDERS = "order_id,user_id,status,created_at\n"
ROWS = "".join(f"{one},7,x,2025-03-01T00:00:00\n" for one in [*range(1, 5), *range(10, 210)])
ITEMS = "id,order_id,product_id,sale_price\n"


def put(home: Path, name: str, text: str) -> None:
    path = home / "shop" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_status_needs_a_person_until_a_refused_file_is_corrected(tmp_path: Path) -> None:
    put(tmp_path, "orders/1.csv", f"{ORDERS}{ROWS}1,7,x,soon\n")
    put(tmp_path, "order_items/1.csv", f"{ITEMS}1,1,1,2.50\n2,5,1,2.50\n")
    put(tmp_path, "orders/2.csv", "nothing,of,it\n1,2,3\n")
    shopkpi(tmp_path, "run", "shop")
    done = shopkpi(tmp_path, "status", "--format", "json")
    assert done.code == 4
    assert "1 file is refused: orders/2.csv" in done.err
    found = json.loads(done.out)
    assert found["attention"] == ["1 file is refused: orders/2.csv"]
    assert [(one["dataset"], one["files"], one["rows_rejected"]) for one in found["received"]] == [
        ("order_items", 1, 0),
        ("orders", 1, 1),
    ]
    assert found["refused_files"] == 1
    assert found["refused"][0]["file"].endswith("orders/2.csv")
    assert (found["waiting_items"], found["waiting_files"]) == (1, 1)
    assert found["waiting"][0]["file"].endswith("order_items/1.csv")
    assert [one["behind"] for one in found["tables"]] == [False, False]
    assert found["contract"]["name"] == "default"

    put(tmp_path, "orders/2.csv", f"{ORDERS}5,7,x,2025-03-01T00:00:00\n")
    shopkpi(tmp_path, "validate", "shop")
    found = shopkpi(tmp_path, "status", "--format", "json").json
    assert (found["attention"], found["refused"]) == ([], [])
    assert [one["behind"] for one in found["tables"]] == [True, True]
    assert found["waiting_items"] == 1
    shopkpi(tmp_path, "transform")
    assert shopkpi(tmp_path, "status", "--format", "json").json["waiting_items"] == 0


def test_a_table_and_openmetrics_say_the_same(tmp_path: Path) -> None:
    put(tmp_path, "orders/1.csv", f"{ORDERS}1,7,x,2025-03-01T00:00:00\n")
    put(tmp_path, "orders/2.csv", "nothing,of,it\n1,2,3\n")
    put(tmp_path, "order_items/1.csv", f"{ITEMS}1,1,1,2.50\n2,5,1,2.50\n")
    shopkpi(tmp_path, "run", "shop")
    table = shopkpi(tmp_path, "status", "--format", "table")
    assert table.code == 4
    assert re.search(r"order_items │ +1 │ +2 │ +0 │", table.out)
    assert "refused: 1 file\n  orders/2.csv, uploaded 0 minutes ago: " in table.out
    assert "waiting: 1 item of 1 file\n  order_items/1.csv: 1 for 0 minutes\n" in table.out
    assert "KPI tables: category_kpis as of 4, order_kpis as of 4\n" in table.out
    assert re.search(r"contract: default, adopted at [12], 20", table.out)
    metrics = shopkpi(tmp_path, "status", "--format", "openmetrics")
    assert metrics.code == 4
    assert metrics.out.endswith("# EOF\n")
    lines = metrics.out.splitlines()
    for line in (
        'shopkpi_files{shop="default",dataset="orders"} 1',
        'shopkpi_rows_read{shop="default",dataset="order_items"} 2',
        'shopkpi_refused_files{shop="default"} 1',
        'shopkpi_waiting_items{shop="default"} 1',
        'shopkpi_table_sequence{shop="default",table="order_kpis"} 4',
        'shopkpi_attention{shop="default"} 1',
    ):
        assert line in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    samples = [line.partition("{")[0] for line in lines if not line.startswith("#")]
    assert set(samples) <= set(names)


def test_a_shop_without_a_file_has_a_status(tmp_path: Path) -> None:
    put(tmp_path, "orders/1.csv", f"{ORDERS}1,7,x,2025-03-01T00:00:00\n")
    missing = shopkpi(tmp_path, "status")
    assert missing.code == 2
    assert "nothing is there" in missing.err
    shopkpi(tmp_path, "run", "shop")
    other = shopkpi(tmp_path, "status", "--shop", "other", "--format", "table")
    assert other.code == 0
    assert "received: nothing\nrefused: 0 files\nwaiting: 0 items of 0 files\n" in other.out
    assert "KPI tables: none is published" in other.out


def test_a_late_file_needs_a_person(tmp_path: Path) -> None:
    now, back = datetime.now(UTC), (0, 1, 2, 9)
    orders = [f"{100 + one},7,x,{now - timedelta(days=one):%Y-%m-%d}T00:00:00,1\n" for one in back]
    items = [f"{one},{100 + one},1,2.50\n" for one in back]
    columns = "order_id,user_id,status,created_at,num_of_item\n"
    put(tmp_path, "orders/1.csv", columns + "".join(orders))
    put(tmp_path, "order_items/1.csv", ITEMS + "".join(items))
    expecting = f'{built_in().text}\n[expect]\nevery = "day"\nby = "00:00"\ndatasets = ["orders"]\n'
    (tmp_path / "shop.toml").write_text(expecting)
    shopkpi(tmp_path, "run", "shop", "--contract", "shop.toml")
    found = shopkpi(tmp_path, "status", "--format", "json").json
    assert [one["late"] for one in found["expected"]] == [False]
    database = sqlite3.connect(tmp_path / ".shopkpi" / "shopkpi.db")
    adopted = database.execute("SELECT record FROM ledger WHERE sequence = 1").fetchone()[0]
    earlier = json.loads(adopted) | {"recorded_at": (now - timedelta(days=3)).isoformat()}
    database.execute("UPDATE ledger SET record = ? WHERE sequence = 1", [json.dumps(earlier)])
    database.commit()
    database.close()
    (tmp_path / ".shopkpi" / "index").mkdir(exist_ok=True)
    for mark in (tmp_path / ".shopkpi" / "index").iterdir():
        mark.unlink()  # it would tell that the ledger is another one
    late = shopkpi(tmp_path, "status", "--format", "table")
    assert late.code == 4
    assert "2 files are late: orders due 20" in late.err
    assert "late: 2 files\n  orders, due 20" in late.out
    day = f"{now - timedelta(days=2):%Y-%m-%d}"
    assert f" 00:00 UTC: orders of {day}\n" in late.out
    assert f"expected next: orders by {now + timedelta(days=1):%Y-%m-%d} 00:00 UTC\n" in late.out
    assert "days: 2 final, 2 provisional\n" in late.out
    assert f"  {day}: provisional, 1 late file\n" in late.out
    assert f"  {now:%Y-%m-%d}: provisional, 1 file still to come\n" in late.out
    days = json.loads(shopkpi(tmp_path, "status", "--format", "json").out)["days"]
    assert days["states"] == {"final": 2, "provisional": 2, "suspect": 0, "unverified": 0}
    assert days["open"][-1]["why"] == "1 file still to come"
    states = json.loads(shopkpi(tmp_path, "query", "orders", "--format", "json").out)
    assert [one["state"] for one in states] == ["final", "provisional"] * 2
    metrics = shopkpi(tmp_path, "status", "--format", "openmetrics")
    assert 'shopkpi_days{shop="default",state="provisional"} 2\n' in metrics.out
    assert 'shopkpi_late_files{shop="default"} 2\n' in metrics.out


def test_a_file_that_is_gone_counts_and_is_listed(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put(tmp_path, f"orders/{number}.csv", f"{ORDERS}{number},7,x,2025-03-01T00:00:00\n")
    shopkpi(tmp_path, "run", "shop")
    found = shopkpi(tmp_path, "status", "--format", "json").json
    assert (found["gone_files"], found["gone"]) == (0, [])
    for number in (1, 2):
        (tmp_path / "shop" / "orders" / f"{number}.csv").unlink()
    shopkpi(tmp_path, "retract", "orders/1.csv")
    found = shopkpi(tmp_path, "status", "--format", "json").json
    assert [one["file"].rsplit("/", 1)[-1] for one in found["gone"]] == ["2.csv"]
    assert found["gone_files"] == 1
    table = shopkpi(tmp_path, "status", "--format", "table").out
    assert "gone: 1 file counts and left the folder, such as orders/2.csv\n" in table
    assert shopkpi(tmp_path, "query", "orders").json[0]["total_orders"] == 2
