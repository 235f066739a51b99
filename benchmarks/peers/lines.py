"""Read one file of order lines with DuckDB or Polars: `... peers.lines ENGINE FILE OUT`.

They write clean Parquet and the KPIs of the days, and check, refuse and keep nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path

KPIS = """
SELECT "Date"::DATE AS order_date, count(DISTINCT "Order") AS total_orders,
    sum("Total"::DECIMAL(18, 2)) AS total_revenue, sum("Qty") AS total_items_sold,
    count(DISTINCT "Customer") AS unique_customers
FROM lines GROUP BY 1 ORDER BY 1
"""


def with_duckdb(file: Path, out: Path) -> None:
    """Do the job with DuckDB."""
    import duckdb  # noqa: PLC0415  (one engine a process)

    readers = {".csv": "read_csv", ".jsonl": "read_json", ".parquet": "read_parquet"}
    database = duckdb.connect()
    database.execute("SET threads = 2; SET preserve_insertion_order = false")
    clean = out / "lines.parquet"
    database.execute(
        f"COPY (SELECT * FROM {readers[file.suffix]}('{file}')) TO '{clean}' "  # noqa: S608
        "(FORMAT parquet, COMPRESSION zstd)"
    )
    database.read_parquet(str(clean)).create_view("lines")
    database.execute(f"COPY ({KPIS}) TO '{out / 'order_kpis.parquet'}' (FORMAT parquet)")


def with_polars(file: Path, out: Path) -> None:
    """Do the job with Polars."""
    import polars as pl  # noqa: PLC0415  (one engine a process)

    if file.suffix == ".csv":
        scanned = pl.scan_csv(file, try_parse_dates=True)
    else:
        scan = pl.scan_ndjson if file.suffix == ".jsonl" else pl.scan_parquet
        scanned = scan(file)
    clean = out / "lines.parquet"
    scanned.sink_parquet(clean, compression="zstd")
    lines = pl.scan_parquet(clean)
    date = pl.col("Date")
    if lines.collect_schema()["Date"] == pl.String:
        date = date.str.to_datetime()
    lines.group_by(order_date=date.dt.date()).agg(
        total_orders=pl.col("Order").n_unique(),
        total_revenue=pl.col("Total").cast(pl.Decimal(18, 2)).sum(),
        total_items_sold=pl.col("Qty").sum(),
        unique_customers=pl.col("Customer").n_unique(),
    ).sort("order_date").sink_parquet(out / "order_kpis.parquet")


def main() -> None:
    """Do the job with the engine of the command line."""
    engine, file, out = sys.argv[1:]
    target = Path(out)
    target.mkdir(parents=True)
    {"duckdb": with_duckdb, "polars": with_polars}[engine](Path(file), target)


if __name__ == "__main__":
    main()
