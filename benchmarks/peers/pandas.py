"""The job with pandas, in chunks of a million rows: money is a float."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.layout import LAYOUT, TIMESTAMP_FORMAT, Ids, arguments

CHUNK_ROWS = 1_000_000

TYPES = {"integer": "int64", "text": "str", "timestamp": "str", "money": "float64"}
ID_TYPES: dict[Ids, str] = {"integer": "int64", "uuid": "str"}


def clean(source: Path, dataset: str, target: Path, ids: Ids) -> Iterator[pd.DataFrame]:
    """CSV to typed Parquet; yields each chunk on its way."""
    columns = LAYOUT[dataset]
    timestamps = [name for name, kind in columns.items() if kind == "timestamp"]
    type_of = {**TYPES, "id": ID_TYPES[ids]}
    types = {name: type_of[kind] for name, kind in columns.items()}
    writer: pq.ParquetWriter | None = None
    for path in sorted((source / dataset).glob("*.csv")):
        for chunk in pd.read_csv(path, chunksize=CHUNK_ROWS, dtype=types):
            for name in timestamps:
                chunk[name] = pd.to_datetime(chunk[name], format=TIMESTAMP_FORMAT)
            table = pa.Table.from_pandas(chunk, preserve_index=False)
            if writer is None:
                writer = pq.ParquetWriter(target, table.schema, compression="zstd")
            writer.write_table(table)
            yield chunk
    if writer is not None:
        writer.close()


def main() -> None:
    """Do the job: orders and products are kept, items pass by in chunks."""
    source, out, ids = arguments()
    placed = clean(source, "orders", out / "orders.parquet", ids)
    columns = ["order_id", "user_id", "created_at", "status"]
    orders = pd.concat([chunk[columns] for chunk in placed], ignore_index=True)
    orders["order_date"] = orders.pop("created_at").dt.normalize()
    orders["returned"] = orders.pop("status").str.lower() == "returned"
    dates = orders.set_index("order_id")["order_date"]
    products = pd.concat(clean(source, "products", out / "products.parquet", ids))
    categories = products.set_index("id")["category"].astype("category")
    sold, pairs = [], []
    for chunk in clean(source, "order_items", out / "order_items.parquet", ids):
        items = chunk[["order_id", "product_id", "sale_price"]].copy()
        items["returned"] = chunk["status"].str.lower() == "returned"
        items["order_date"] = items["order_id"].map(dates)
        items["category"] = items["product_id"].map(categories)
        by_day = items.groupby("order_date")["sale_price"].agg(["sum", "count"])
        sold.append(by_day)
        keys = ["order_date", "category", "order_id"]
        by_pair = items.groupby(keys, observed=True)[["sale_price", "returned"]]
        pairs.append(by_pair.agg({"sale_price": "sum", "returned": "max"}))
    _order_kpis(orders, pd.concat(sold)).to_parquet(out / "order_kpis.parquet", index=False)
    _category_kpis(pd.concat(pairs)).to_parquet(out / "category_kpis.parquet", index=False)


def _order_kpis(orders: pd.DataFrame, sold: pd.DataFrame) -> pd.DataFrame:
    by_day = orders.groupby("order_date").agg(
        total_orders=("order_id", "count"),
        return_rate=("returned", "mean"),
        unique_customers=("user_id", "nunique"),
    )
    totals = (
        sold.groupby("order_date")
        .sum()
        .rename(columns={"sum": "total_revenue", "count": "total_items_sold"})
    )
    kpis = by_day.join(totals).fillna({"total_revenue": 0, "total_items_sold": 0})
    kpis["total_items_sold"] = kpis["total_items_sold"].astype("int64")
    return kpis.round({"return_rate": 4, "total_revenue": 2}).reset_index()


def _category_kpis(pairs: pd.DataFrame) -> pd.DataFrame:
    # An order may have items in two chunks, so its pairs are put together once more.
    keys = ["order_date", "category", "order_id"]
    whole = pairs.groupby(keys, observed=True).agg({"sale_price": "sum", "returned": "max"})
    kpis = whole.groupby(["order_date", "category"], observed=True).agg(
        daily_revenue=("sale_price", "sum"),
        avg_order_value=("sale_price", "mean"),
        avg_return_rate=("returned", "mean"),
    )
    kpis = kpis.round({"daily_revenue": 2, "avg_order_value": 2, "avg_return_rate": 4})
    kpis = kpis.reset_index()
    kpis["category"] = kpis["category"].astype("str")
    return kpis


if __name__ == "__main__":
    main()
