"""`state` and `why` of days, and money of days whose items have not come."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kpi.aggregation.tables import ORDER_KPIS
from tests.support.commands import shopkpi

ORDERS = "order_id,user_id,created_at,num_of_item\n"
ITEMS = "id,order_id,product_id,sale_price\n"
WHOLE = f"{ORDERS}7,1,2026-11-26T10:00:00,2\n8,2,2026-11-26T10:00:00,0\n"


def put(home: Path, name: str, text: str) -> None:
    path = home / "shop" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def days(home: Path, *options: str) -> dict[str, Any]:
    rows = shopkpi(home, "query", "orders", "--format", "json", *options).json
    return {row["order_date"]: row for row in rows}


def run(home: Path) -> dict[str, Any]:
    done = shopkpi(home, "run", "shop")
    assert done.code in (0, 4), done.err
    return days(home)


def view(home: Path, columns: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(home / ".shopkpi" / "shopkpi.db")) as db:
        return db.execute(f"SELECT {columns} FROM order_kpis").fetchall()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    put(tmp_path, "orders/thursday.csv", WHOLE)
    return tmp_path


def test_money_of_items_that_have_not_come_is_never_a_number(home: Path) -> None:
    day = run(home)["2026-11-26"]
    assert (day["state"], day["total_revenue"]) == ("provisional", None)
    assert (day["items_expected"], day["items_arrived"], day["items_missing"]) == (2, 0, 2)
    assert (day["orders_without_items"], day["why"]) == (2, "2 items missing")
    for form in ("table", "csv"):
        assert "0.00," not in shopkpi(home, "query", "orders", "--format", form).out
    shown = "total_revenue, total_revenue_minor, total_orders, items_missing"
    assert view(home, shown) == [(None, None, 2, 2)]
    assert days(home, "--only", "final") == {}
    with closing(sqlite3.connect(home / ".shopkpi" / "shopkpi.db")) as db:
        assert db.execute("SELECT total_revenue_minor FROM order_kpi_rows").fetchall() == [(0,)]


def test_a_day_is_final_once_each_order_has_its_items(home: Path) -> None:
    put(home, "order_items/one.csv", f"{ITEMS}1,7,1,5.00\n")
    day = run(home)["2026-11-26"]
    assert (day["state"], day["total_revenue"], day["items_missing"]) == ("provisional", "5.00", 1)
    put(home, "order_items/two.csv", f"{ITEMS}2,7,1,0.00\n")
    day = run(home)["2026-11-26"]
    assert (day["state"], day["why"], day["total_revenue"]) == ("final", None, "5.00")
    assert list(days(home, "--only", "final")) == ["2026-11-26"]
    (category,) = shopkpi(home, "query", "category", "--only", "final", "--format", "json").json
    assert (category["category"], category["state"]) == ("(unknown)", "final")
    assert view(home, "total_revenue, total_revenue_minor") == [(5.0, 500)]
    ((at,),) = view(home, "published_at")  # in UTC, as SQLite writes times
    assert day["published_at"] == f"{str(at).replace(' ', 'T')}+00:00"
    assert shopkpi(home, "audit", "--rebuild").code == 0


def test_orders_that_promise_nothing_are_unverified(home: Path) -> None:
    put(home, "orders/thursday.csv", "order_id,user_id,created_at\n7,1,2026-11-26T10:00:00\n")
    put(home, "order_items/one.csv", f"{ITEMS}1,7,1,5.00\n")
    day = run(home)["2026-11-26"]
    assert (day["state"], day["items_expected"]) == ("unverified", None)
    assert day["why"] == "1 order does not say how many items it has"
    put(home, "orders/more.csv", "order_id,user_id,created_at\n9,1,2026-11-26T10:00:00\n")
    day = run(home)["2026-11-26"]
    assert (day["state"], day["why"]) == ("provisional", "1 order without items")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("orders/2026-11-26.csv", "wrong,header\n1,2\n", "1 refused file"),
        (
            "orders/bad.csv",
            ORDERS
            + "".join(f"{one},1,2026-11-27T10:00:00,0\n" for one in range(20, 40))
            # The earliest date is that of the order; in the contract's zone, whose day counts.
            + "x,1,2026-11-27T01:00:00+02:00,1\n",
            "1 rejected row",
        ),
    ],
)
def test_a_day_is_not_final_while_a_file_of_it_is_not_whole(
    home: Path, name: str, text: str, why: str
) -> None:
    put(home, "order_items/one.csv", f"{ITEMS}1,7,1,5.00\n2,7,1,5.00\n")
    assert run(home)["2026-11-26"]["state"] == "final"
    put(home, name, text)
    found = run(home)
    assert (found["2026-11-26"]["state"], found["2026-11-26"]["why"]) == ("provisional", why)
    put(home, name, WHOLE)  # a corrected upload takes the place of what was wrong
    assert run(home)["2026-11-26"]["state"] == "final"


def test_a_rejected_row_without_a_date_leaves_the_days_of_its_file_unverified(home: Path) -> None:
    put(home, "order_items/one.csv", f"{ITEMS}1,7,1,5.00\n2,7,1,5.00\n3,20,1,5.00\n")
    good = "".join(f"{one},1,2026-11-{one}T10:00:00,0\n" for one in range(20, 30))
    put(home, "orders/long.csv", f"{ORDERS}{good}500,1,26/11/2026,1\n")
    found = run(home)
    why = "1 rejected row without a date in a file of the day"
    assert {(one["state"], one["why"]) for one in found.values()} == {("unverified", why)}
    assert len(found) == 10
    put(home, "orders/long.csv", f"{ORDERS}{good}")
    assert {one["state"] for one in run(home).values()} == {"final"}


def test_a_refused_file_that_will_not_come_again_is_retracted(home: Path) -> None:
    put(home, "order_items/one.csv", f"{ITEMS}1,7,1,5.00\n2,7,1,5.00\n")
    put(home, "orders/2026-11-26.csv", "wrong,header\n1,2\n")
    assert run(home)["2026-11-26"]["state"] == "provisional"
    assert shopkpi(home, "status").code == 4
    assert shopkpi(home, "retract", "2026-11-26.csv").code == 0
    assert days(home)["2026-11-26"]["state"] == "final"
    assert shopkpi(home, "status").code == 0
    assert run(home)["2026-11-26"]["state"] == "final"  # and its verdict stays
    assert shopkpi(home, "restore", "2026-11-26.csv").code == 2


def test_a_waiting_item_holds_back_the_days_of_its_file(home: Path) -> None:
    items = "id,order_id,product_id,sale_price,created_at\n"
    put(home, "order_items/one.csv", f"{items}1,7,1,5.00,2026-11-26T11:00:00\n")
    put(home, "order_items/two.csv", f"{items}2,7,1,5.00,2026-11-26T11:00:00\n")
    assert run(home)["2026-11-26"]["state"] == "final"
    put(home, "order_items/late.csv", f"{items}9,99,1,5.00,2026-11-26T11:00:00\n")
    day = run(home)["2026-11-26"]
    assert (day["state"], day["waiting_items"], day["why"]) == (
        "provisional",
        1,
        "1 waiting item",
    )


def test_a_waiting_item_of_a_long_file_holds_back_its_own_day(home: Path) -> None:
    items = "id,order_id,product_id,sale_price,created_at\n"
    put(home, "orders/friday.csv", f"{ORDERS}9,1,2026-11-27T10:00:00,1\n")
    text = f"{items}1,7,1,5.00,2026-11-26T11:00:00\n2,7,1,5.00,2026-11-26T11:00:00\n"
    text += "3,9,1,5.00,2026-11-27T11:00:00\n4,99,1,5.00,2026-11-27T11:00:00\n"
    put(home, "order_items/both.csv", text)
    found = run(home)
    assert (found["2026-11-26"]["state"], found["2026-11-26"]["waiting_items"]) == ("final", 0)
    assert found["2026-11-27"]["why"] == "1 waiting item"
    # An item without a day of its own may be of either.
    put(home, "order_items/both.csv", f"{text}5,98,1,5.00,\n")
    found = run(home)
    assert [row["waiting_items"] for row in found.values()] == [1, 2]
    put(home, "orders/late.csv", f"{ORDERS}99,1,2026-11-28,1\n98,1,2026-11-28,1\n")
    assert {row["state"] for row in run(home).values()} == {"final"}


def make_earlier(home: Path) -> None:
    """Make of a database one of a release without attributes of completeness."""
    with closing(sqlite3.connect(home / ".shopkpi" / "shopkpi.db")) as db:
        db.execute("DROP VIEW order_kpis")
        names = [name for _, name, *_ in db.execute("PRAGMA table_xinfo(order_kpi_rows)")]
        gone = [name for name in names if name.startswith("shown_")]
        for name in (*reversed(gone), *ORDER_KPIS.completeness):
            db.execute(f"ALTER TABLE order_kpi_rows DROP COLUMN {name}")
        for table in ("days", "progress"):
            db.execute(
                f"UPDATE {table} SET published = json_remove(published, '$.\"order_kpis.2\"')"
            )
        db.execute("CREATE VIEW order_kpis AS SELECT 1")
        db.commit()


def test_days_of_an_earlier_release_are_filled_by_the_next_transform(home: Path) -> None:
    put(home, "order_items/one.csv", f"{ITEMS}1,7,1,5.00\n2,7,1,5.00\n")
    before = run(home)
    make_earlier(home)
    day = days(home)["2026-11-26"]  # as a reader sees it, who changes nothing
    assert (day["state"], day["total_revenue"], day["items_expected"]) == (
        "unverified",
        "10.00",
        None,
    )
    assert shopkpi(home, "audit").code == 0
    assert shopkpi(home, "transform").code == 0
    after = days(home)
    for row in (before["2026-11-26"], after["2026-11-26"]):
        del row["published_at"]
    assert after == before
    assert view(home, "items_expected, total_revenue") == [(2, 10.0)]
    assert shopkpi(home, "audit").code == 0
