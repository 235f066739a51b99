"""The job with Spark in one process: local[2], decimals."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (as everybody calls it)
from pyspark.sql.types import (
    DataType,
    DecimalType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from benchmarks.peers.layout import LAYOUT, Ids, arguments

TYPES: dict[str, DataType] = {
    "integer": LongType(),
    "text": StringType(),
    "timestamp": TimestampType(),
    "money": DecimalType(15, 2),
}
ID_TYPES: dict[Ids, DataType] = {"integer": LongType(), "uuid": StringType()}


def session() -> SparkSession:
    """Spark as one would set it up for two cores: few shuffle partitions, a heap of 4 GB."""
    return (
        SparkSession.builder.master("local[2]")
        .appName("benchmark")
        .config("spark.driver.memory", "4g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .getOrCreate()
    )


def order_kpis(orders: DataFrame, items: DataFrame) -> DataFrame:
    """One row per day."""
    placed = orders.groupBy("order_date").agg(
        F.count("*").alias("total_orders"),
        F.round(F.avg(F.col("returned").cast("int")), 4).alias("return_rate"),
        F.countDistinct("user_id").alias("unique_customers"),
    )
    sold = (
        items.join(orders.select("order_id", "order_date"), "order_id")
        .groupBy("order_date")
        .agg(F.sum("sale_price").alias("total_revenue"), F.count("*").alias("total_items_sold"))
    )
    return placed.join(sold, "order_date", "left").na.fill(0)


def category_kpis(orders: DataFrame, items: DataFrame, products: DataFrame) -> DataFrame:
    """One row per day and category; one per order and category first."""
    pairs = (
        items.join(orders.select("order_id", "order_date"), "order_id")
        .join(F.broadcast(products), "product_id", "left")
        .groupBy(
            "order_date", F.coalesce("category", F.lit("(unknown)")).alias("category"), "order_id"
        )
        .agg(F.sum("sale_price").alias("revenue"), F.max("returned").alias("returned"))
    )
    return pairs.groupBy("order_date", "category").agg(
        F.sum("revenue").alias("daily_revenue"),
        F.round(F.sum("revenue") / F.count("*"), 2).alias("avg_order_value"),
        F.round(F.avg(F.col("returned").cast("int")), 4).alias("avg_return_rate"),
    )


def main() -> None:
    """Do the job."""
    source, out, ids = arguments()
    type_of = {**TYPES, "id": ID_TYPES[ids]}
    spark = session()
    for dataset, columns in LAYOUT.items():
        schema = StructType([StructField(name, type_of[kind]) for name, kind in columns.items()])
        frame = spark.read.csv(f"{source}/{dataset}", schema=schema, header=True, escape='"')
        frame.write.parquet(f"{out}/{dataset}.parquet")
    returned = (F.lower("status") == "returned").alias("returned")
    orders = spark.read.parquet(f"{out}/orders.parquet").select(
        "order_id", "user_id", F.to_date("created_at").alias("order_date"), returned
    )
    items = spark.read.parquet(f"{out}/order_items.parquet").select(
        "order_id", "product_id", "sale_price", returned
    )
    products = spark.read.parquet(f"{out}/products.parquet").select(
        F.col("id").alias("product_id"), "category"
    )
    order_kpis(orders, items).coalesce(1).write.parquet(f"{out}/order_kpis.parquet")
    category_kpis(orders, items, products).coalesce(1).write.parquet(f"{out}/category_kpis.parquet")
    spark.stop()


if __name__ == "__main__":
    main()
