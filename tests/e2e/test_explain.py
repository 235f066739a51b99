"""What moved a day, from the command line."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.e2e.files import ITEMS, ORDERS, put
from tests.support.commands import Shopkpi

DAY = "2025-03-01"


def upload(shopkpi: Shopkpi, path: str, text: str) -> None:
    put(f"shop/{path}", text)
    assert shopkpi("run", "shop").code == 0


def put_history(shopkpi: Shopkpi) -> None:
    """Orders before their items; then one is returned, and comes back as it was."""
    days = [f"100{number},{number},shipped,{DAY}T1{number}:00:00\n" for number in (1, 2, 3)]
    upload(shopkpi, "orders/a.csv", ORDERS + "".join(days))
    upload(shopkpi, "order_items/a.csv", ITEMS + "1,1001,5,,10.00\n2,1002,5,,30.00\n")
    upload(shopkpi, "orders/b.csv", ORDERS + f"1003,3,returned,{DAY}T13:00:00\n")
    upload(shopkpi, "orders/c.csv", ORDERS + f"1003,3,shipped,{DAY}T13:00:00\n")


def explain(shopkpi: Shopkpi, *options: str) -> tuple[list[Any], Any]:
    done = shopkpi("explain", DAY, *options, "--format", "json")
    assert done.code == 0, done.err
    *steps, last = done.events
    return steps, last


def test_each_file_that_moved_a_value_is_a_step(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    steps, last = explain(shopkpi)
    assert [one["url"].rsplit("/", 2)[-2:] for one in steps] == [
        ["orders", "a.csv"],
        ["order_items", "a.csv"],
        ["orders", "b.csv"],
        ["orders", "c.csv"],
    ]
    assert steps[1]["values"]["total_revenue"] == ["0.00", "40.00"]
    assert steps[2]["values"] == {"return_rate": ["0.0000", "0.3333"]}
    assert steps[3]["values"] == {"return_rate": ["0.3333", "0.0000"]}
    assert steps[2]["rows"] == {"orders": 1}
    assert steps[2]["keys"] == ["orders **03"]
    assert last["row"]["total_revenue"] == "40.00"
    assert not last["differs"]


def test_keys_are_printed_whole_where_asked_for(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    steps, _ = explain(shopkpi, "--keys")
    assert steps[2]["keys"] == ["orders 1003"]


def test_a_category_is_explained_by_its_product(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    upload(shopkpi, "products/a.csv", "id,category\n5,Toys\n")
    steps, last = explain(shopkpi, "--category", "Toys")
    assert [one["values"]["daily_revenue"] for one in steps] == [[None, "40.00"]]
    assert steps[0]["rows"] == {"products": 1}
    assert last["row"]["daily_revenue"] == "40.00"
    of_all, _ = explain(shopkpi)
    assert of_all[-1]["groups_changed"] == {"category_kpis": 2}


def test_a_retraction_is_a_step_before_it_is_published(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    upload(
        shopkpi, "orders/d.csv", ORDERS + f"1001,1,shipped,{DAY}T11:00:00\n1009,9,,{DAY}T10:00:00\n"
    )
    assert shopkpi("retract", "orders/d.csv").code == 0
    steps, last = explain(shopkpi)
    assert [one["kind"] for one in steps[-2:]] == ["upload", "retraction"]
    assert steps[-1]["values"]["total_orders"] == [4, 3]
    assert last["as_of"] == last["head"]


def test_a_published_row_that_the_steps_do_not_give_is_told(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    with sqlite3.connect(Path(".shopkpi/shopkpi.db")) as database:
        database.execute("UPDATE order_kpi_rows SET total_orders = 9")
    done = shopkpi("explain", DAY, "--format", "json")
    assert done.code == 3
    assert json.loads(done.out.splitlines()[-1])["differs"]
    assert "shopkpi audit" in shopkpi("explain", DAY, "--format", "table").out


def test_a_table_shows_every_step(shopkpi: Shopkpi) -> None:
    put_history(shopkpi)
    shown = shopkpi("explain", DAY, "--format", "table").out
    assert "orders/b.csv" in shown
    assert "the steps add up to the published row as of 5" in shown
