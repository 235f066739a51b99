"""The job with DuckDB: SQL over CSV and Parquet, two threads, decimals."""

from __future__ import annotations

import duckdb

from benchmarks.peers.layout import LAYOUT, TIMESTAMP_FORMAT, Ids, arguments

TYPES = {
    "integer": "BIGINT",
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "money": "DECIMAL(15, 2)",
}
ID_TYPES: dict[Ids, str] = {"integer": "BIGINT", "uuid": "UUID"}

ORDER_KPIS = """
WITH dated AS (
    SELECT order_id, user_id, created_at::DATE AS order_date, lower(status) = 'returned' AS returned
    FROM orders
), sold AS (
    SELECT order_date, sum(sale_price) AS revenue, count(*) AS items
    FROM order_items JOIN dated USING (order_id) GROUP BY order_date
), placed AS (
    SELECT order_date, count(*) AS total_orders, round(avg(returned::INT), 4) AS return_rate,
        count(DISTINCT user_id) AS unique_customers
    FROM dated GROUP BY order_date
)
SELECT order_date, total_orders, coalesce(revenue, 0) AS total_revenue,
    coalesce(items, 0) AS total_items_sold, return_rate, unique_customers
FROM placed LEFT JOIN sold USING (order_date) ORDER BY order_date
"""

# One row per order and category first: half as slow as count(DISTINCT order_id).
CATEGORY_KPIS = """
WITH pairs AS (
    SELECT o.created_at::DATE AS order_date, coalesce(p.category, '(unknown)') AS category,
        i.order_id, sum(i.sale_price) AS revenue, bool_or(lower(i.status) = 'returned') AS returned
    FROM order_items i JOIN orders o USING (order_id) LEFT JOIN products p ON p.id = i.product_id
    GROUP BY ALL
)
SELECT order_date, category, sum(revenue) AS daily_revenue,
    round(sum(revenue) / count(*), 2) AS avg_order_value,
    round(avg(returned::INT), 4) AS avg_return_rate
FROM pairs GROUP BY order_date, category ORDER BY order_date, category
"""


def main() -> None:
    """Do the job."""
    source, out, ids = arguments()
    type_of = {**TYPES, "id": ID_TYPES[ids]}
    database = duckdb.connect()
    # The order of rows is kept by nobody here, and DuckDB needs less memory without.
    database.execute("SET threads = 2; SET preserve_insertion_order = false")
    for dataset, columns in LAYOUT.items():
        target = str(out / f"{dataset}.parquet")
        raw = database.read_csv(
            f"{source}/{dataset}/*.csv",
            header=True,
            columns={name: type_of[kind] for name, kind in columns.items()},
            timestamp_format=TIMESTAMP_FORMAT,
        )
        raw.write_parquet(target, compression="zstd")
        database.read_parquet(target).create_view(dataset)
    for name, query in (("order_kpis", ORDER_KPIS), ("category_kpis", CATEGORY_KPIS)):
        database.execute(f"COPY ({query}) TO '{out / name}.parquet' (FORMAT parquet)")


if __name__ == "__main__":
    main()
