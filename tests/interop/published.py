"""The KPIs that another engine must compute from the Iceberg tables of a workspace."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "iceberg.md"

TABLES = ("current_orders", "current_order_items", "current_products")

COLUMNS = {
    "orders": "order_date, total_orders, total_revenue, total_items_sold, return_rate, "
    "unique_customers FROM order_kpis ORDER BY 1",
    "categories": "order_date, category, daily_revenue, avg_order_value, avg_return_rate "
    "FROM category_kpis ORDER BY 1, 2",
}
"""SQL of the page -> what it must give."""


def plain(value: object) -> object:
    """Show days and numbers alike."""
    is_number = isinstance(value, int | float | Decimal)
    return Decimal(str(value)).normalize() if is_number else str(value)


def count_different(
    workspace: Path, run: Callable[[str], Iterable[tuple[Any, ...]]], prefix: str = ""
) -> int:
    """Run the SQL of docs/iceberg.md, and compare every row with the views of `shopkpi.db`.

    Args:
        workspace: Folder of the workspace.
        run: Runs SQL in the other engine, and returns its rows.
        prefix: What the name of the SQL begins with on the page.

    Returns:
        How many of the KPI tables differ.
    """
    different = 0
    for name, expected in COLUMNS.items():
        (sql,) = re.findall(rf"```sql {prefix}{name}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        found = [tuple(map(plain, row)) for row in run(sql)]
        with closing(sqlite3.connect(workspace / "shopkpi.db")) as kpis:
            rows = [tuple(map(plain, row)) for row in kpis.execute(f"SELECT {expected}")]
        is_equal = bool(rows) and found == rows
        different += not is_equal
        sys.stdout.write(f"{name}: {len(rows)} rows, {'equal' if is_equal else 'different'}\n")
    return different
