"""The judge of what is right: KPIs by DuckDB SQL over the raw files, sharing no code with ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import duckdb

LATEST = """
CREATE VIEW {name} AS
SELECT * EXCLUDE (version) FROM (
    SELECT *, row_number() OVER (
        PARTITION BY {key} ORDER BY upload DESC, row DESC
    ) AS version FROM raw_{name}
) WHERE version = 1
"""

ORDER_KPIS = """
WITH days AS (SELECT *, {day} AS order_date FROM orders),
sold AS (
    SELECT order_id, sum(CAST(sale_price AS DECIMAL(38, 2))) AS revenue, sum({quantity}) AS items
    FROM order_items GROUP BY order_id
)
SELECT CAST(order_date AS VARCHAR), count(*) AS total_orders,
    coalesce(sum(revenue), 0) AS total_revenue, CAST(coalesce(sum(items), 0) AS BIGINT),
    count(*) FILTER (lower(status) = 'returned') AS returned, count(DISTINCT user_id)
FROM days LEFT JOIN sold USING (order_id) GROUP BY order_date ORDER BY order_date
"""

CATEGORY_KPIS = """
WITH lines AS (
    SELECT {day} AS order_date, i.order_id, CAST(i.sale_price AS DECIMAL(38, 2)) AS sale_price,
        CASE WHEN p.id IS NULL THEN '(unknown)' ELSE coalesce(p.category, '(none)') END AS category,
        lower(coalesce(i.status, o.status)) = 'returned' AS returned
    FROM order_items i JOIN orders o ON o.order_id = i.order_id
    LEFT JOIN products p ON p.id = i.product_id
)
SELECT CAST(order_date AS VARCHAR), category, sum(sale_price), count(DISTINCT order_id),
    count(DISTINCT order_id) FILTER (returned)
FROM lines GROUP BY order_date, category ORDER BY order_date, category
"""

PRODUCT_KPIS = """
SELECT CAST({day} AS VARCHAR) AS order_date, CAST(i.product_id AS VARCHAR) AS product_id,
    CAST(sum({quantity}) AS BIGINT), sum(CAST(i.sale_price AS DECIMAL(38, 2))),
    count(DISTINCT i.order_id),
    count(DISTINCT i.order_id) FILTER (lower(coalesce(i.status, o.status)) = 'returned')
FROM order_items i JOIN orders o ON o.order_id = i.order_id
GROUP BY 1, 2 ORDER BY 1, 2
"""

COLUMNS = {
    "orders": ("order_id", "user_id", "status", "created_at"),
    "order_items": ("id", "order_id", "product_id", "status", "sale_price"),
    "products": ("id", "category"),
}
KEYS = {"orders": "order_id", "order_items": "id", "products": "id"}

Rows = list[dict[str, object]]


def kpis(files: Mapping[str, Sequence[Path]], *, ids: str = "BIGINT") -> dict[str, Rows]:
    """KPI rows of some clean CSV files, by table.

    Args:
        files: Dataset -> its files, from the earliest upload to the latest.
        ids: SQL type of the ids.
    """
    with duckdb.connect() as db:
        for dataset, columns in COLUMNS.items():
            _load(db, dataset, columns, files.get(dataset, ()), ids)
            db.execute(LATEST.format(name=dataset, key=KEYS[dataset]))
        terms = {"day": "CAST(created_at AS DATE)", "quantity": "1"}
        of_items = {"day": "CAST(o.created_at AS DATE)", "quantity": "1"}
        orders = db.execute(ORDER_KPIS.format(**terms)).fetchall()
        categories = db.execute(CATEGORY_KPIS.format(**of_items)).fetchall()
        products = db.execute(PRODUCT_KPIS.format(**of_items)).fetchall()
    return {
        "order_kpis": [
            {
                "order_date": day,
                "total_orders": count,
                "total_revenue": revenue,
                "total_items_sold": items,
                "return_rate": _round(returned, count, 4),
                "unique_customers": customers,
            }
            for day, count, revenue, items, returned, customers in orders
        ],
        "category_kpis": sorted(
            (
                {
                    "order_date": day,
                    "category": category,
                    "daily_revenue": revenue,
                    "avg_order_value": _round(revenue, count, 2),
                    "avg_return_rate": _round(returned, count, 4),
                }
                for day, category, revenue, count, returned in categories
            ),
            key=lambda row: (row["order_date"], row["category"].encode()),
        ),
        "product_kpis": sorted(
            (
                {
                    "order_date": day,
                    "product_id": product,
                    "units_sold": units,
                    "revenue": revenue,
                    "orders": count,
                    "return_rate": _round(returned, count, 4),
                }
                for day, product, units, revenue, count, returned in products
            ),
            key=lambda row: (row["order_date"], row["product_id"].encode()),
        ),
    }


def _load(
    db: duckdb.DuckDBPyConnection,
    dataset: str,
    columns: Sequence[str],
    files: Sequence[Path],
    ids: str,
) -> None:
    kinds = {"status": "VARCHAR", "category": "VARCHAR", "created_at": "TIMESTAMP"}
    types = {name: kinds.get(name, ids) for name in columns}
    if "sale_price" in types:
        types["sale_price"] = "DECIMAL(18, 2)"
    described = ", ".join(f"{name} {kind}" for name, kind in types.items())
    db.execute(f"CREATE TABLE raw_{dataset} ({described}, upload BIGINT, row BIGINT)")
    casts = ", ".join(f"CAST({name} AS {kind})" for name, kind in types.items())
    for upload, file in enumerate(files):
        # One thread keeps the rows in the order of the file.
        db.execute("SET threads = 1")
        db.execute(
            f"INSERT INTO raw_{dataset} SELECT {casts}, {upload}, row_number() OVER () "
            "FROM read_csv(?, header = true, all_varchar = true, quote = '\"', parallel = false)",
            [str(file)],
        )


def _round(part: int | Decimal, whole: int, places: int) -> Decimal:
    exact = Decimal(part) / Decimal(whole)
    return exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
