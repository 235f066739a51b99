"""`shopkpi audit` where somebody has changed what the stores say of themselves."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from tests.e2e.files import ITEMS, ORDERS, put, put_shop
from tests.support.commands import Done, Shopkpi
from worker.maintenance.audit import Audit, audit
from worker.transform.limits import TransformLimits

EVERY_TABLE = ("--kpis", "order,category,product")


def tamper(*statements: str) -> None:
    """Change the database of the workspace behind everybody's back."""
    with closing(sqlite3.connect(".shopkpi/shopkpi.db")) as db, db:
        for statement in statements:
            db.execute(statement)


def told(done: Done) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The differences that an audit tells, and what it says at the end."""
    *differences, finished = [json.loads(line) for line in done.out.splitlines()]
    assert {one["event"] for one in differences} <= {"audit.difference"}
    assert finished["event"] == "audit.finished"
    assert finished["differences"] == len(differences)
    return differences, finished


def places(differences: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(one["table"], one["order_date"], one["group"]) for one in differences]


def test_a_sequence_that_the_ledger_has_not_come_to(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    tamper(
        "UPDATE order_kpis SET total_orders = 999, as_of = 999 WHERE order_date = '2025-03-01'",
        "UPDATE category_kpis SET as_of = 999 WHERE category = '-Sale'",
    )
    found = shopkpi("audit", "--format", "json")
    differences, finished = told(found)
    assert found.code == 3
    assert places(differences) == [
        ("order_kpis", "2025-03-01", None),
        ("category_kpis", "2025-03-02", "-Sale"),
    ]
    orders, sale = differences
    assert (sale["published"]["as_of"], sale["expected"]["as_of"]) == (999, 3)
    assert (orders["published"]["total_orders"], orders["expected"]["total_orders"]) == (999, 1)
    assert (finished["days"], finished["as_of"], finished["unsettled"]) == (2, 3, 0)


@pytest.mark.parametrize("as_of", [1, 2, 4])
def test_a_sequence_that_is_not_that_of_the_day(shopkpi: Shopkpi, as_of: int) -> None:
    put_shop()
    shopkpi("run", "shop")
    put("shop/orders/2.csv", ORDERS + "3,7,x,2025-03-05\n")
    shopkpi("validate", "shop/orders/2.csv")  # the ledger's head is 4, that of the tables 3
    assert shopkpi("audit").code == 0
    tamper(f"UPDATE order_kpis SET as_of = {as_of} WHERE order_date = '2025-03-01'")
    found = shopkpi("audit", "--format", "json")
    assert found.code == 3
    assert places(told(found)[0]) == [("order_kpis", "2025-03-01", None)]


def test_a_guard_that_says_a_sequence_the_ledger_has_not_come_to(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    tamper(
        "UPDATE order_kpis SET total_orders = 999, as_of = 999 WHERE order_date = '2025-03-01'",
        """UPDATE days SET claim = 999, published = '{"order_kpis": 999, "category_kpis": 3}'
           WHERE order_date = '2025-03-01'""",
    )
    found = shopkpi("audit", "--format", "json")
    assert found.code == 3
    assert places(told(found)[0]) == [("order_kpis", "2025-03-01", None)]


@pytest.mark.parametrize("at_once", [1, 500_000])
@pytest.mark.parametrize("day", ["0001-01-01", "2024-12-31", "2025-03-05", "2025-03-09"])
def test_a_row_of_a_day_without_orders(
    shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch, day: str, at_once: int
) -> None:
    limits = TransformLimits(batch_orders=at_once, scattered_batch_orders=at_once)
    monkeypatch.setattr("worker.maintenance.audit.audit", partial(audit, limits=limits))
    put_shop()
    put("shop/orders/2.csv", ORDERS + "3,7,x,2025-03-07\n")
    shopkpi("run", "shop")
    assert told(shopkpi("audit", "--format", "json"))[1]["days"] == 3
    tamper(
        f"INSERT INTO order_kpis VALUES ('{day}', 5, '1.00', 5, '0.0000', 5, 4)",
        f"INSERT INTO category_kpis VALUES ('{day}', 'Toys', '1.00', '1.00', '0.0000', 4)",
    )
    found = shopkpi("audit", "--format", "json")
    differences, finished = told(found)
    assert found.code == 3
    assert places(differences) == [("category_kpis", day, "Toys"), ("order_kpis", day, None)]
    assert [one["expected"] for one in differences] == [None, None]
    assert finished["days"] == 4
    assert shopkpi("audit", "--from", day, "--to", day).code == 3
    assert shopkpi("audit", "--from", "2025-03-01", "--to", "2025-03-02").code == 0


def test_without_the_progress_record_days_are_held_against_their_own_state(
    shopkpi: Shopkpi,
) -> None:
    put_shop()
    shopkpi("run", "shop")
    tamper("DELETE FROM progress")
    found = shopkpi("audit", "--format", "json")
    assert (found.code, told(found)[1]["days"]) == (0, 2)
    spoken = shopkpi("audit", "--format", "table").out
    assert "compared 2 days, each as of when it was published: 0 rows differ" in spoken
    assert "which other days should be there is not known" in spoken
    tamper(
        "UPDATE order_kpis SET total_orders = 999 WHERE order_date = '2025-03-01'",
        "DELETE FROM category_kpis WHERE category = '-Sale'",
    )
    found = shopkpi("audit", "--format", "json")
    assert found.code == 3
    assert places(told(found)[0]) == [
        ("order_kpis", "2025-03-01", None),
        ("category_kpis", "2025-03-02", "-Sale"),
    ]


def test_without_the_progress_record_a_day_may_be_of_an_elder_state(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    # The item of the second file would change the first day, too: it is not published anew.
    put("shop/order_items/2.csv", ITEMS + "6,1,1,,1.00\n7,2,1,,1.00\n")
    shopkpi("validate", "shop/order_items/2.csv")
    shopkpi("transform", "--from", "2025-03-02")
    assert shopkpi("audit").code == 0
    tamper("DELETE FROM progress")
    assert shopkpi("audit").code == 0
    tamper("UPDATE order_kpis SET total_items_sold = 3 WHERE order_date = '2025-03-01'")
    found = shopkpi("audit", "--format", "json")
    assert found.code == 3
    ((difference,), _) = told(found)
    assert difference["expected"]["total_items_sold"] == 2


def test_a_table_that_was_never_published_is_no_success(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    found = shopkpi("audit", *EVERY_TABLE, "--format", "json")
    differences, finished = told(found)
    assert (found.code, differences) == (1, [])
    assert (finished["days"], finished["unpublished"]) == (2, ["product_kpis"])
    assert "product_kpis" in found.err
    assert "never published" in found.err
    assert "shopkpi transform --kpis order,category,product" in found.err
    tamper("UPDATE order_kpis SET total_orders = 999 WHERE order_date = '2025-03-01'")
    assert shopkpi("audit", *EVERY_TABLE).code == 3
    shopkpi("transform", "--all", *EVERY_TABLE)
    assert shopkpi("audit", *EVERY_TABLE).code == 0


def test_files_that_no_transform_has_seen_are_no_success(shopkpi: Shopkpi) -> None:
    assert shopkpi("audit").code == 0  # there is nothing that could be published
    put("shop/orders/0.csv", "nothing\n")
    shopkpi("validate", "shop")
    assert shopkpi("audit").code == 0  # nor here: the file was refused
    put_shop()
    shopkpi("validate", "shop")
    found = shopkpi("audit", "--format", "json")
    differences, finished = told(found)
    assert (found.code, differences, finished["days"]) == (1, [], 0)
    assert finished["unpublished"] == ["category_kpis", "order_kpis"]
    assert "never published" in found.err
    shopkpi("transform")
    assert shopkpi("audit").code == 0


def test_what_a_transform_said_it_had_published_must_be_there(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    tamper("DELETE FROM days", "DELETE FROM order_kpis", "DELETE FROM category_kpis")
    for sample in ((), ("--sample", "5")):
        found = shopkpi("audit", *sample, "--format", "json")
        differences, finished = told(found)
        assert found.code == 3
        assert {one["order_date"] for one in differences} == {"2025-03-01", "2025-03-02"}
        assert {one["published"] for one in differences} == {None}
        assert (finished["days"], finished["unpublished"]) == (2, [])


def test_days_whose_guards_are_lost_are_compared_as_well(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    tamper("DELETE FROM days")
    found = shopkpi("audit", "--format", "json")
    assert (found.code, told(found)[1]["days"]) == (0, 2)
    tamper("UPDATE order_kpis SET total_orders = 999 WHERE order_date = '2025-03-01'")
    assert shopkpi("audit").code == 3
    tamper("DELETE FROM progress")
    assert shopkpi("audit").code == 3  # of these rows nothing says that they were published


def test_a_sample_looks_for_days_that_were_never_published_as_well(shopkpi: Shopkpi) -> None:
    put_shop()
    put("shop/orders/2.csv", ORDERS + "3,7,x,2025-03-03\n4,7,x,2025-03-04\n")
    shopkpi("run", "shop")
    finished = told(shopkpi("audit", "--sample", "2", "--format", "json"))[1]
    assert (finished["days"], finished["differences"]) == (2, 0)
    tamper(
        *(f"DELETE FROM {one} WHERE order_date = '2025-03-02'" for one in ("order_kpis", "days"))
    )
    # Of the days that an order may stand on, three have no guard: the one that is lost, and those
    # around the others.
    found = shopkpi("audit", "--sample", "3", "--format", "json")
    differences, finished = told(found)
    assert found.code == 3
    assert {one["order_date"] for one in differences} == {"2025-03-02"}
    assert finished["days"] == 4


def test_no_day_at_all_is_said_in_words(shopkpi: Shopkpi) -> None:
    put("shop/products/1.csv", "id,category\n1,Toys\n")
    shopkpi("run", "shop")
    done = shopkpi("audit", "--format", "table")
    assert done.code == 0
    assert "as of 1: no day has orders or rows" in done.out
    put_shop()
    shopkpi("run", "shop")
    done = shopkpi("audit", "--from", "2031-01-01", "--format", "table")
    assert done.code == 0
    assert "no day has orders or rows" in done.out


def test_the_first_and_the_last_day_of_all(shopkpi: Shopkpi) -> None:
    put("shop/orders/1.csv", ORDERS + "1,7,x,0001-01-02\n")
    put("shop/orders/2.csv", ORDERS + "2,7,x,9999-12-29\n")
    shopkpi("run", "shop")
    for sample in ((), ("--sample", "1000")):
        found = shopkpi("audit", *sample, "--format", "json")
        assert (found.code, told(found)[1]["days"]) == (0, 2)


def test_what_others_were_publishing_is_left_out(
    shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Audit(as_of=3, days=2, differences=(), unsettled=1)

    async def audit_of_others(**_: object) -> Audit:
        return found

    monkeypatch.setattr("worker.maintenance.audit.audit", audit_of_others)
    done = shopkpi("audit", "--format", "table")
    assert done.code == 0
    assert "compared 2 days as of 3: 0 rows differ; left out: 1 being published" in done.out
    found = Audit(as_of=3, days=0, differences=(), unsettled=2)
    done = shopkpi("audit", "--format", "table")
    assert done.code == 1
    assert "compared 0 days as of 3; left out: 2 being published" in done.out
    assert "try again" in done.err
