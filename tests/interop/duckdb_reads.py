"""DuckDB's own reader of Iceberg gives the published KPIs: `make interop`.

    python -m tests.interop.duckdb_reads WORKSPACE

Reads the tables of a workspace that `maintain --iceberg sqlite` has written, without a catalog,
runs the SQL of docs/iceberg.md, and compares every row with the views of `shopkpi.db`. It needs a
DuckDB whose extensions `iceberg` and `avro` are packages: `requirements-interop.lock`.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import duckdb

PAGE = Path(__file__).parents[2] / "docs" / "iceberg.md"

COLUMNS = {
    "orders": "order_date, total_orders, total_revenue, total_items_sold, return_rate, "
    "unique_customers FROM order_kpis ORDER BY 1",
    "categories": "order_date, category, daily_revenue, avg_order_value, avg_return_rate "
    "FROM category_kpis ORDER BY 1, 2",
}
"""SQL of the page -> what it must give."""


def load_extensions(db: duckdb.DuckDBPyConnection) -> None:
    """Load the extensions from their packages."""
    for name in ("avro", "iceberg"):
        found = find_spec(f"duckdb_extension_{name}")
        assert found is not None, f"duckdb-extension-{name} is not installed"
        assert found.origin is not None
        (path,) = Path(found.origin).parent.rglob("*.duckdb_extension")
        db.execute(f"LOAD '{path}'")


def plain(value: object) -> object:
    """Show days and numbers alike."""
    is_number = isinstance(value, int | float | Decimal)
    return Decimal(str(value)).normalize() if is_number else str(value)


def main(workspace: Path) -> int:
    db = duckdb.connect()
    load_extensions(db)
    for table in ("current_orders", "current_order_items", "current_products"):
        place = workspace.absolute() / "iceberg" / table
        db.execute(f"CREATE VIEW {table} AS SELECT * FROM iceberg_scan('{place}')")
    failed = 0
    for name, expected in COLUMNS.items():
        (sql,) = re.findall(rf"```sql {name}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        found = [tuple(map(plain, row)) for row in db.execute(sql).fetchall()]
        with sqlite3.connect(workspace / "shopkpi.db") as kpis:
            rows = [tuple(map(plain, row)) for row in kpis.execute(f"SELECT {expected}")]
        is_equal = found == rows
        failed += not is_equal
        sys.stdout.write(f"{name}: {len(rows)} rows, {'equal' if is_equal else 'different'}\n")
    sys.stdout.write(f"DuckDB {duckdb.__version__}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
