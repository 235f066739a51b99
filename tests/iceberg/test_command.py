"""`maintain --iceberg` from the command line, and what erasure and restored ledgers leave."""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from kpi.contract.loading import built_in
from tests.erasure.places import mentions
from tests.erasure.shop import CUSTOMER, ITEMS, ORDERS, put_shop
from tests.support.commands import Shopkpi

PAGE = (Path(__file__).parents[2] / "docs" / "iceberg.md").read_text("utf-8")
KPIS_PAGE = (Path(__file__).parents[2] / "docs" / "kpis.md").read_text("utf-8")
STORED = Path(".shopkpi")


def maintain(shopkpi: Shopkpi, *options: str) -> dict[str, Any]:
    done = shopkpi("maintain", *options, "--iceberg", "sqlite", "--format", "json")
    return {event["event"]: event for event in done.events}["iceberg.finished"]


def query(sql: str, namespace: str = "default") -> list[tuple[object, ...]]:
    """Run SQL over the tables, as pyiceberg reads them, in DuckDB."""
    catalog = SqlCatalog("shopkpi", uri=f"sqlite:///{STORED.absolute()}/iceberg/catalog.db")
    db = duckdb.connect()
    try:
        for identifier in catalog.list_tables(namespace):
            db.register(identifier[-1], catalog.load_table(identifier).scan().to_arrow())
        return db.execute(sql).fetchall()
    finally:
        db.close()
        catalog.close()


def sql_of(name: str) -> str:
    (found,) = re.findall(rf"```sql {name}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def published(columns: str, table: str = "order_kpis") -> list[tuple[object, ...]]:
    with sqlite3.connect(STORED / "shopkpi.db") as db:
        found = db.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
    db.close()
    return found


def exact(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Show days and numbers alike: as texts, and as decimals without zeros at the end."""
    return [
        tuple(
            Decimal(str(value)).normalize()
            if isinstance(value, int | float | Decimal)
            else str(value)
            for value in row
        )
        for row in rows
    ]


@pytest.fixture
def shop(tmp_path: Path, shopkpi: Shopkpi) -> Path:
    folder = put_shop(tmp_path)
    assert shopkpi("run", "shop").code == 0
    return folder


def test_the_sql_of_the_page_gives_the_published_kpis(shopkpi: Shopkpi) -> None:
    sample = ("--orders", "400", "--days", "4", "--files", "3", "--dirty", "0.02")
    assert shopkpi("sample", "shop", *sample).code == 0
    assert shopkpi("run", "shop").code == 0
    maintain(shopkpi)
    of_orders = published(
        "order_date, total_orders, total_revenue, total_items_sold, return_rate, unique_customers"
    )
    assert len(of_orders) == 4
    assert exact(query(sql_of("orders"))) == exact(of_orders)
    of_categories = published(
        "order_date, category, daily_revenue, avg_order_value, avg_return_rate", "category_kpis"
    )
    assert len(of_categories) > 8
    assert exact(query(sql_of("categories"))) == exact(of_categories)


def test_the_sql_for_language_2_gives_the_published_kpis(shopkpi: Shopkpi) -> None:
    files = re.findall(r"`(\w+\.csv)`\n\n```csv\n(.*?)```", KPIS_PAGE, re.DOTALL)
    contract = next(
        one for one in re.findall(r"```toml\n(.*?)```", KPIS_PAGE, re.DOTALL) if "tea shop" in one
    )
    for name, text in files:
        Path("tea", name).parent.mkdir(exist_ok=True)
        Path("tea", name).write_text(text)
    Path("tea.toml").write_text(contract)
    assert shopkpi("run", "tea", "--contract", "tea.toml").code == 0
    maintain(shopkpi)
    found = exact(query(sql_of("tea")))
    assert found == exact(published("order_date, total_orders, total_revenue, refunds"))
    assert len(found) == 2


@pytest.mark.parametrize("option", ["--pseudonymise", "--delete"])
def test_an_erased_customer_is_in_no_file_of_the_tables(
    shop: Path, shopkpi: Shopkpi, option: str
) -> None:
    maintain(shopkpi)
    assert mentions(CUSTOMER, [STORED / "iceberg"])  # the search finds what is there
    (shop / "orders" / "c.csv").write_text(ORDERS + "70,1,shipped,2025-03-05T10:00:00,\n")
    assert shopkpi("run", "shop").code == 0
    maintain(shopkpi)  # an earlier snapshot beside the current one
    assert shopkpi("erase-customer", CUSTOMER, option).code == 0
    assert mentions(CUSTOMER, [STORED]) == []
    left = [path.name for path in (STORED / "iceberg").rglob("*") if path.is_file()]
    assert left == ["catalog.db"]  # which other shops use too
    done = maintain(shopkpi)
    assert mentions(CUSTOMER, [STORED]) == []
    rows = {str(row[0]) for row in query("SELECT user_id FROM current_orders")}
    assert CUSTOMER not in rows
    assert done["unchanged"] == []
    of_orders = published("order_date, total_orders")
    counted = "SELECT _day, count(*) FROM current_orders GROUP BY 1 ORDER BY 1"
    assert exact(query(counted)) == exact(of_orders)


def test_each_shop_of_a_workspace_has_its_tables(tmp_path: Path, shopkpi: Shopkpi) -> None:
    put_shop(tmp_path)
    assert shopkpi("run", "shop").code == 0
    Path("other/orders").mkdir(parents=True)
    Path("other/orders/a.csv").write_text(ORDERS + "900,1,shipped,2025-03-05T10:00:00,\n")
    assert shopkpi("run", "other", "--shop", "berlin").code == 0
    maintain(shopkpi)
    maintain(shopkpi, "--shop", "berlin")
    ids = "SELECT order_id FROM current_orders ORDER BY 1"
    assert query(ids, "berlin") == [(900,)]
    assert len(query(ids)) > 40
    before = query(ids)
    assert shopkpi("erase-customer", "1", "--shop", "berlin", "--delete").code == 0
    maintain(shopkpi, "--shop", "berlin")
    assert query(ids, "berlin") == []
    assert query(ids) == before


def test_another_contract_writes_every_row_again(shop: Path, shopkpi: Shopkpi) -> None:
    del shop
    maintain(shopkpi)
    text = built_in().text.replace(
        'business_time_zone = "UTC"', 'business_time_zone = "Etc/GMT-14"'
    )
    Path("later.toml").write_text(text)
    assert shopkpi("contract", "adopt", "later.toml").code == 0
    done = maintain(shopkpi)
    assert done["unchanged"] == []
    counted = "SELECT _day, count(*) FROM current_orders GROUP BY 1 ORDER BY 1"
    assert exact(query(counted)) == exact(published("order_date, total_orders"))
    # One with other columns makes other tables.
    Path("more.toml").write_text(
        text.replace("[orders.columns]", '[orders.columns]\ne_mail = { type = "string" }')
    )
    assert shopkpi("contract", "adopt", "more.toml").code == 0
    maintain(shopkpi)
    assert ("x@y",) in query("SELECT e_mail FROM current_orders")


def test_tables_follow_a_ledger_that_was_put_back(shop: Path, shopkpi: Shopkpi) -> None:
    """Its sequences come again, with other records."""
    maintain(shopkpi)
    shutil.copy(STORED / "shopkpi.db", "kept.db")
    for name in ("lost", "other"):
        (shop / "orders" / f"{name}.csv").write_text(
            ORDERS + f"{len(name)}00,1,{name},2025-03-05T10:00:00,\n"
        )
        assert shopkpi("run", "shop").code == 0
        maintain(shopkpi)
        assert (name,) in query("SELECT status FROM current_orders")
        (shop / "orders" / f"{name}.csv").unlink()
        if name == "lost":
            for path in STORED.glob("shopkpi.db*"):
                path.unlink()
            shutil.copy("kept.db", STORED / "shopkpi.db")
            assert shopkpi("maintain", "--rebuild").code == 0
    assert ("lost",) not in query("SELECT status FROM current_orders")


def test_damage_is_told_and_a_rebuild_writes_every_row_again(shop: Path, shopkpi: Shopkpi) -> None:
    del shop
    maintain(shopkpi)
    ids = "SELECT order_id FROM current_orders ORDER BY 1"
    before = query(ids)
    folder = STORED.absolute() / "iceberg" / "current_orders"
    (newest,) = (folder / "metadata").glob("*.metadata.json")
    newest.unlink()
    told = shopkpi("maintain", "--iceberg", "sqlite", "--format", "table").out
    assert f"current_orders: file://{newest} is missing; the table was made again" in told
    assert query(ids) == before
    # A data file of other bytes and the same length is noticed by nobody but its readers.
    (data,) = (folder / "data").iterdir()
    data.write_bytes(bytes(data.stat().st_size))
    assert len(maintain(shopkpi)["unchanged"]) == 3
    assert maintain(shopkpi, "--rebuild")["unchanged"] == []
    assert query(ids) == before
    catalog = STORED / "iceberg" / "catalog.db"
    catalog.write_bytes(b"no database" * 1000)
    done = shopkpi("maintain", "--iceberg", "sqlite")
    assert (done.code, "delete iceberg/catalog.db" in done.err) == (1, True)
    catalog.unlink()
    maintain(shopkpi)
    assert query(ids) == before


def test_a_missing_package_is_named(
    shop: Path, shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    del shop
    monkeypatch.delitem(sys.modules, "worker.iceberg.publish", raising=False)
    monkeypatch.setitem(sys.modules, "worker.iceberg.spans", None)
    done = shopkpi("maintain", "--iceberg", "sqlite")
    assert done.code == 2
    assert "pip install 'shopkpi[iceberg]'" in done.err
    assert ITEMS  # the shop has lines


def test_wrong_use_says_so(shop: Path, shopkpi: Shopkpi) -> None:
    del shop
    done = shopkpi("maintain", "--iceberg", "glue://shopkpi")
    assert (done.code, "sqlite for a workspace in a folder" in done.err) == (2, True)
    assert shopkpi("maintain", "--iceberg", "sqlite", "--dry-run").code == 2
    assert not (STORED / "iceberg").exists()
