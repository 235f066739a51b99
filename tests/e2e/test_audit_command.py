"""Exit codes and words of `shopkpi audit`.

What an audit finds is tested over every store in `tests/contracts/test_audits.py`, and in a state
that was changed by hand in `tests/unit/worker/maintenance/test_audit.py`.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.files import put, put_shop
from tests.support.commands import Done, Shopkpi
from worker.maintenance.audit import Audit

EVERY_TABLE = ("--kpis", "order,category,product")


def tamper(*statements: str) -> None:
    """Change the database of the workspace by hand."""
    with closing(sqlite3.connect(".shopkpi/shopkpi.db")) as db, db:
        for statement in statements:
            db.execute(statement)


def events(done: Done) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the differences that an audit reports, and its last event."""
    *differences, finished = [json.loads(line) for line in done.out.splitlines()]
    assert {one["event"] for one in differences} <= {"audit.difference"}
    assert finished["event"] == "audit.finished"
    assert finished["differences"] == len(differences)
    return differences, finished


def test_rows_that_differ_exit_with_3(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    tamper(
        "UPDATE order_kpi_rows SET total_orders = 999 WHERE order_date = '2025-03-01'",
        "UPDATE category_kpi_rows SET daily_revenue_minor = 999 WHERE category = '-Sale'",
    )
    found = shopkpi("audit", "--format", "json")
    (orders, sale), finished = events(found)
    assert found.code == 3
    assert (orders["table"], orders["order_date"], orders["group"]) == (
        "order_kpis",
        "2025-03-01",
        None,
    )
    assert (orders["published"]["total_orders"], orders["expected"]["total_orders"]) == (999, 1)
    assert (sale["table"], sale["group"]) == ("category_kpis", "-Sale")
    assert (sale["published"]["daily_revenue"], sale["published"]["as_of"]) == ("9.99", 4)
    assert (finished["days"], finished["as_of"], finished["unsettled"]) == (2, 4, 0)
    assert "2 rows differ" in shopkpi("audit", "--format", "table").out
    assert shopkpi("audit", "--from", "2025-03-02", "--to", "2025-03-02").code == 3
    assert shopkpi("audit", "--from", "2025-03-03").code == 0


def test_a_table_that_was_never_published_exits_with_1(shopkpi: Shopkpi) -> None:
    assert shopkpi("audit").code == 0  # there is nothing to publish
    put("shop/orders/0.csv", "nothing\n")
    shopkpi("validate", "shop")
    assert shopkpi("audit").code == 0  # nor here: the file was refused
    put_shop()
    shopkpi("validate", "shop")
    found = shopkpi("audit", "--format", "json")
    differences, finished = events(found)
    assert (found.code, differences, finished["days"]) == (1, [], 0)
    assert finished["unpublished"] == ["category_kpis", "order_kpis"]
    shopkpi("run", "shop")
    assert shopkpi("audit").code == 0
    found = shopkpi("audit", *EVERY_TABLE, "--format", "json")
    differences, finished = events(found)
    assert (found.code, differences) == (1, [])
    assert (finished["days"], finished["unpublished"]) == (2, ["product_kpis"])
    assert "product_kpis: never published" in found.err
    assert "shopkpi transform --kpis product`" in found.err
    tamper("UPDATE order_kpi_rows SET total_orders = 999 WHERE order_date = '2025-03-01'")
    assert shopkpi("audit", *EVERY_TABLE).code == 3
    shopkpi("transform", "--all", *EVERY_TABLE)
    assert shopkpi("audit", *EVERY_TABLE).code == 0


def test_every_table_of_the_workspace_is_compared(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop", *EVERY_TABLE)
    tamper("UPDATE product_kpi_rows SET units_sold_exact = 999 WHERE order_date = '2025-03-01'")
    found = shopkpi("audit", "--format", "json")
    differences, _ = events(found)
    assert (found.code, {one["table"] for one in differences}) == (3, {"product_kpis"})


def test_tables_behind_the_ledger_exit_with_1(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    put("shop/orders/refused.csv", "nothing\n")
    shopkpi("validate", "shop")
    assert shopkpi("audit").code == 0
    put("shop/orders/late.csv", "order_id,user_id,status,created_at\n8,7,,2025-03-05\n")
    shopkpi("validate", "shop")
    found = shopkpi("audit", "--format", "json")
    _, finished = events(found)
    assert (found.code, finished["differences"]) == (1, 0)
    assert finished["behind"] == {"category_kpis": 4, "order_kpis": 4}
    assert "`shopkpi transform --kpis category,order` publishes what is new" in found.err
    shopkpi("transform")
    assert shopkpi("audit").code == 0


def test_question_to_a_table_never_published_says_how(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    for output in ("table", "json", "csv"):
        done = shopkpi("query", "product", "--format", output)
        assert (done.code, done.out) == (2, "")
        assert "`shopkpi transform --kpis product` publishes it" in done.err
    assert shopkpi("query", "orders", "--from", "2031-01-01").code == 0
    shopkpi("transform", "--kpis", "product")
    assert shopkpi("query", "product", "--format", "json").json


def test_a_comparison_without_days_or_progress_says_so(shopkpi: Shopkpi) -> None:
    put("shop/products/1.csv", "id,category\n1,Toys\n")
    shopkpi("run", "shop")
    done = shopkpi("audit", "--format", "table")
    assert (done.code, "as of 2: no day has orders or rows" in done.out) == (0, True)
    put_shop()
    shopkpi("run", "shop")
    done = shopkpi("audit", "--from", "2031-01-01", "--format", "table")
    assert (done.code, "no day has orders or rows" in done.out) == (0, True)
    tamper("DELETE FROM progress")
    done = shopkpi("audit", "--format", "table")
    assert done.code == 1
    assert "behind the ledger: category_kpis (as of 0), order_kpis (as of 0)" in done.err
    assert "compared 2 days, each as of when it was published: 0 rows differ" in done.out
    assert "which other days should be there is not known" in done.out


def test_nothing_but_days_being_published_exits_with_1(
    shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Audit(as_of=3, days=2, differences=(), unsettled=1)

    async def audit(**_: object) -> Audit:
        return found

    monkeypatch.setattr("worker.maintenance.audit.audit", audit)
    done = shopkpi("audit", "--format", "table")
    assert done.code == 0
    assert "compared 2 days as of 3: 0 rows differ; left out: 1 being published" in done.out
    found = Audit(as_of=3, days=0, differences=(), unsettled=2)
    done = shopkpi("audit", "--format", "table")
    assert done.code == 1
    assert "compared 0 days as of 3; left out: 2 being published" in done.out
    assert "try again" in done.err


def test_uploads_on_their_way_are_no_failure_on_request(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    put("shop/orders/later.csv", "order_id,user_id,status,created_at\n9,7,shipped,2025-03-09\n")
    shopkpi("validate", "shop")
    alone = shopkpi("audit", "--format", "json")
    assert alone.code == 1
    assert "behind the ledger" in alone.err
    during = shopkpi("audit", "--during-uploads", "--format", "json")
    assert during.code == 0, during.err
    _, finished = events(during)
    assert finished["behind"]
    tamper("UPDATE order_kpi_rows SET total_orders = 999 WHERE order_date = '2025-03-01'")
    assert shopkpi("audit", "--during-uploads").code == 3


def test_a_count_from_clean_rows_alone_says_so(shopkpi: Shopkpi) -> None:
    """Clean rows prove nothing of how the raw files were read."""
    put_shop()
    shopkpi("run", "shop")
    _, finished = events(shopkpi("audit", "--format", "json"))
    assert ("level" in finished, finished["clean_files"]) == (False, 0)
    for path in Path("shop").rglob("*.csv"):
        path.write_text("moved\n")
    _, finished = events(shopkpi("audit", "--format", "json"))
    assert (finished["level"], finished["raw_files"]) == ("warning", 0)
    told = " ".join(shopkpi("audit", "--format", "table").out.split())
    assert "counted again from clean rows alone" in told
