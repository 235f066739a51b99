"""Named queries of Athena give the published KPIs; DuckDB, a close dialect, runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from infra.analytics.named_queries import named_queries
from kpi.contract.loading import built_in, built_in_names, layout_names, parse_contract
from tests.e2e.cloud import shop
from tests.support import oracle
from tests.unit.infra.templates import ROOT

CONTRACT = built_in("default")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two uploads of each dataset; the second one changes rows of the first."""
    folder = tmp_path_factory.mktemp("shop")
    orders = shop.orders(range(1, 80))
    items = shop.items(orders)
    changed = [{**row, "status": "returned"} for row in orders[:20]]
    bodies = {
        "products": [shop.products(8), shop.products(3)],
        "orders": [orders, changed],
        "order_items": [items, [{**row, "sale_price": "1.25"} for row in items[:10]]],
    }
    paths: dict[str, list[Path]] = {}
    for dataset, uploads in bodies.items():
        for number, rows in enumerate(uploads):
            path = folder / str(number) / dataset / "a.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(shop.csv_bytes(rows))
            paths.setdefault(dataset, []).append(path)
    return paths


@pytest.fixture(scope="module")
def lake(
    files: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Clean zone of those files, with the columns and functions of Athena."""
    workspace = tmp_path_factory.mktemp("lake")
    seen: set[Path] = set()
    for number in (0, 1):
        command = [sys.executable, "-m", "worker", "run", "--workspace", str(workspace)]
        inputs = [str(paths[number]) for paths in files.values()]
        subprocess.run([*command, *inputs], cwd=ROOT, check=True, capture_output=True)
        for path in (workspace / "clean").rglob("*.parquet"):
            # DuckDB reads whole seconds: make the objects of the first upload an hour older.
            age_s = 3600 * (1 - number)
            if path not in seen:
                os.utime(path, (path.stat().st_atime - age_s, path.stat().st_mtime - age_s))
                seen.add(path)
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute("CREATE MACRO with_timezone(moment, zone) AS timezone(zone, moment)")
        for dataset in files:
            created = (
                "" if dataset == "products" else "REPLACE (created_at::TIMESTAMP AS created_at)"
            )
            db.execute(
                f"""
                CREATE VIEW {dataset} AS
                SELECT * EXCLUDE (filename) {created}, filename AS "$path", f.last_modified
                    AS "$file_modified_time"
                FROM read_parquet('{workspace}/clean/{dataset}/*/*.parquet', filename = true,
                    hive_partitioning = true) JOIN read_blob('{workspace}/clean/{dataset}/*/*') f
                    USING (filename)
                """
            )
        yield db


def test_order_kpis(lake: duckdb.DuckDBPyConnection, files: dict[str, list[Path]]) -> None:
    found = lake.execute(named_queries(CONTRACT)["order KPIs"]).fetchall()
    rows = [
        (str(day), orders, revenue, items, Decimal(str(rate)), customers)
        for day, orders, revenue, items, rate, customers in found
    ]
    # What of a day has come is asked of the published rows.
    assert rows == [tuple(row.values())[:6] for row in oracle.kpis(files)["order_kpis"]]


def test_category_kpis(lake: duckdb.DuckDBPyConnection, files: dict[str, list[Path]]) -> None:
    found = lake.execute(named_queries(CONTRACT)["category KPIs"]).fetchall()
    rows = [
        (str(day), category, revenue, Decimal(str(value)), Decimal(str(rate)))
        for day, category, revenue, value, rate in found
    ]
    expected = [tuple(row.values()) for row in oracle.kpis(files)["category_kpis"]]
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    for row, right in zip(rows, expected, strict=True):
        # SQL rounds halves up, the KPIs to even.
        assert row[3:] == pytest.approx(right[3:], abs=Decimal("0.01"))


def test_current_versions(lake: duckdb.DuckDBPyConnection) -> None:
    queries = named_queries(CONTRACT)
    orders = lake.execute(f"SELECT status FROM ({queries['current orders']})").fetchall()
    assert len(orders) == 79
    assert orders.count(("returned",)) >= 20
    items = lake.execute(f"SELECT sale_price FROM ({queries['current order items']})").fetchall()
    assert len(items) == 158
    assert items.count((Decimal("1.25"),)) >= 10


def test_a_key_may_be_a_word_of_sql() -> None:
    orders = replace(CONTRACT.datasets["orders"], key=("order", "group"))
    contract = replace(CONTRACT, datasets={**CONTRACT.datasets, "orders": orders})
    for query in named_queries(contract).values():
        assert len(duckdb.extract_statements(query)) == 1


@pytest.mark.parametrize("name", built_in_names())
def test_queries_fit_every_contract(name: str) -> None:
    contract = built_in(name)
    for title, query in named_queries(contract).items():
        parsed = duckdb.extract_statements(query)
        assert len(parsed) == 1, title
    if "status" not in contract.datasets["order_items"].columns:
        assert "i.status" not in named_queries(contract)["category KPIs"]


@pytest.mark.parametrize("name", layout_names())
def test_queries_fit_every_layout(name: str) -> None:
    for title, query in named_queries(built_in(name)).items():
        assert len(duckdb.extract_statements(query)) == 1, title


def test_the_later_version_is_the_current_row() -> None:
    contract = parse_contract(
        """
        language = 2
        name = "versions"
        day = "as written"
        [[files]]
        match = "orders*"
        feeds = ["orders"]
        [orders]
        version = "changed"
        [orders.columns]
        order_id = "Id"
        created_at = "Date"
        changed = "Changed"
        """,
        source="a test",
    )
    query = named_queries(contract)["current orders"]
    rows = """
        CREATE TABLE orders AS SELECT * FROM (VALUES
            ('1', 5, DATE '2025-01-01', 'late'), ('1', 3, DATE '2025-01-02', 'early'),
            ('2', NULL, DATE '2025-01-01', 'none'), ('2', 1, DATE '2025-01-01', 'some')
        ) AS t(order_id, changed, uploaded_on, note);
        ALTER TABLE orders ADD COLUMN "$file_modified_time" TIMESTAMP;
        ALTER TABLE orders ADD COLUMN "$path" VARCHAR;
    """
    lake = duckdb.connect()
    lake.execute(rows)
    found = lake.execute(f"SELECT note FROM ({query}) ORDER BY order_id").fetchall()
    assert found == [("late",), ("some",)]
