"""Commands as a user types them: what they print, what they return, what they leave behind."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from kpi.aggregation.tables import KPI_TABLES, PLACES
from tests.e2e.files import ITEMS, ORDERS, put, put_shop
from tests.support import oracle
from tests.support.commands import Shopkpi
from worker.sample import SampleSpec, write_sample

SHORT_NAMES = {"orders": "order_kpis", "category": "category_kpis", "product": "product_kpis"}
OF_DAYS = (
    *("state", "items_expected", "items_arrived", "items_missing", "orders_without_promise"),
    *("orders_without_items", "waiting_items", "rejected_rows", "as_of", "published_at", "why"),
)


def test_answers_have_exactly_the_attributes_of_the_tables(shopkpi: Shopkpi) -> None:
    put_shop()
    assert shopkpi("run", "shop", "--kpis", "order,category,product").code == 0
    for name, table in SHORT_NAMES.items():
        rows = shopkpi("query", name, "--format", "json").json
        attributes = KPI_TABLES[table].attributes
        more = OF_DAYS if name == "orders" else ("state",)
        assert rows
        for row in rows:
            assert list(row) == [*attributes, *more]
            for attribute, kind in attributes.items():
                # Money and rates are texts, which keep every digit of any reader's numbers.
                assert isinstance(row[attribute], int if kind == "count" else str)
                if kind in PLACES:
                    assert len(row[attribute].partition(".")[2]) == PLACES[kind]
        printed = shopkpi("query", name, "--format", "csv").out
        assert next(csv.reader(io.StringIO(printed))) == [*attributes, *more]


def test_questions_can_be_narrowed(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop", "--kpis", "order,category,product")

    def answer(*question: str) -> list[tuple[str, ...]]:
        rows = shopkpi("query", *question, "--format", "json").json
        return [tuple(row.values())[:2] for row in rows]

    assert [day for day, _ in answer("orders", "--from", "2025-03-02")] == ["2025-03-02"]
    assert [day for day, _ in answer("orders", "--to", "2025-03-01")] == ["2025-03-01"]
    assert answer("orders", "--from", "2025-03-03") == []
    assert answer("category", "--category", "-Sale") == [("2025-03-02", "-Sale")]
    assert answer("category", "--top", "1") == [("2025-03-02", "@home, 2")]
    assert answer("product", "--product", "9") == [("2025-03-02", "9")]
    assert answer("category", "--category", "nothing") == []


@pytest.mark.parametrize("at_once", [0, 1, 1000])
def test_the_top_rows_have_most_revenue(
    shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    write_sample(Path("shop"), SampleSpec(orders=60, days=9))
    # As many rows again that have no revenue: the first of them stay.
    put("shop/products/free.csv", "id,category\n" + "".join(f"9{n},Free {n}\n" for n in range(20)))
    free = "".join(f"9{n},{n + 1},9{n},,0\n" for n in range(20))
    put("shop/order_items/free.csv", ITEMS + free)
    assert shopkpi("run", "shop").code == 0
    monkeypatch.setattr(sys.modules["worker.cli.query"], "BATCH_ROWS", at_once)
    every = shopkpi("query", "category", "--format", "json").json
    every.sort(key=lambda row: Decimal(row["daily_revenue"]), reverse=True)
    for count in (1, 2, 5, len(every) - 3, len(every) + 1):
        top = shopkpi("query", "category", "--top", str(count), "--format", "json").json
        assert top == every[:count]


def test_a_receipt_tells_what_became_of_a_file(shopkpi: Shopkpi) -> None:
    put_shop()
    put("shop/order_items/2.csv", ITEMS + "6,77,1,,1.00\n1,1,1,,6.00\n1,1,1,,5.50\n")
    shopkpi("run", "shop")
    (receipt,) = shopkpi("ledger", "order_items/2.csv", "--format", "json").json
    assert receipt["rows_read"] == receipt["rows_clean"] + receipt["rows_rejected"] == 3
    assert receipt["size_bytes"] == Path("shop/order_items/2.csv").stat().st_size
    assert (receipt["verdict"], receipt["dataset"], receipt["reasons"]) == (
        "accepted",
        "order_items",
        {},
    )
    assert (receipt["waiting_items"], receipt["superseded_rows"], receipt["days"]) == (1, 1, 1)
    assert (receipt["first_day"], receipt["last_day"]) == ("2025-03-01", "2025-03-01")
    assert len(shopkpi("ledger", "--format", "json").json) == 4
    by_id = shopkpi("ledger", receipt["source_id"], "--format", "json").json
    assert by_id == [receipt]
    assert "order_items/2.csv" in shopkpi("ledger", "--format", "table").out


@pytest.mark.parametrize("command", ["run", "validate"])
def test_the_receipt_of_a_file_has_its_sha256(shopkpi: Shopkpi, command: str) -> None:
    put_shop()
    content = Path("shop/orders/1.csv").read_bytes()
    done = shopkpi(command, "shop/orders", "--format", "json")
    (receipt,) = [one for one in done.events if one["event"] == "source.committed"]
    assert receipt["sha256"] == hashlib.sha256(content).hexdigest()
    assert receipt["version"].endswith(f":{len(content)}")


def test_running_again_does_nothing_twice(shopkpi: Shopkpi) -> None:
    put_shop()
    first = shopkpi("run", "shop", "--format", "json").events
    again = shopkpi("run", "shop", "--format", "json").events
    assert [one["event"] for one in first].count("source.committed") == 3
    assert [one["event"] for one in again].count("source.known") == 3
    assert "source.committed" not in {one["event"] for one in again}
    assert again[-1] | {"days": 0} == again[-1]
    assert shopkpi("transform", "--format", "json").events[-1]["days"] == 0
    assert shopkpi("audit").code == 0


def test_files_may_be_named_one_by_one(shopkpi: Shopkpi) -> None:
    put_shop()
    put("elsewhere/a b é.csv", ORDERS + "5,5,x,2025-03-09\n")
    assert shopkpi("run", "shop/orders/1.csv", "shop/order_items").code == 0
    assert shopkpi("run", "elsewhere/a b é.csv", "--dataset", "orders").code == 0
    days = [row["order_date"] for row in shopkpi("query", "orders").json]
    assert days == ["2025-03-01", "2025-03-02", "2025-03-09"]


def test_an_audit_finds_days_that_were_never_published(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    assert shopkpi("audit").code == 0
    with sqlite3.connect(".shopkpi/shopkpi.db") as db:
        for table in ("order_kpi_rows", "category_kpi_rows", "days"):
            db.execute(f"DELETE FROM {table} WHERE order_date = '2025-03-02'")
    db.close()
    found = shopkpi("audit", "--format", "json")
    assert found.code == 3
    events = [json.loads(line) for line in found.out.splitlines()]
    assert {one["order_date"] for one in events[:-1]} == {"2025-03-02"}
    assert shopkpi("audit", "--to", "2025-03-01").code == 0


def test_the_olist_layout_gives_the_rows_of_the_oracle(shopkpi: Shopkpi, tmp_path: Path) -> None:
    spec = SampleSpec(orders=1500, days=20, layout="olist", files=2)
    report = write_sample(tmp_path / "olist", spec)
    done = shopkpi("run", "olist", "--contract", "olist", "--kpis", "order,category,product")
    assert done.code == 0, done.err
    files: dict[str, list[Path]] = {}
    for file in report.files:
        files.setdefault(file.dataset, []).append(file.path)
    expected = oracle.kpis(files, oracle.OLIST)
    for name, table in SHORT_NAMES.items():
        rows = shopkpi("query", name, "--format", "json").json
        plain = [
            {key: f"{one:f}" if isinstance(one, Decimal) else one for key, one in row.items()}
            for row in expected[table]
        ]
        assert plain == [
            {key: row[key] for key in wanted} for row, wanted in zip(rows, plain, strict=True)
        ]
        assert len(rows) > 10
