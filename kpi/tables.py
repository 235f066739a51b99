"""KPI tables and the ledger table: names, keys, attributes. One definition for every store.

The SQLite and DynamoDB stores, the CDK stack and the documentation take tables from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

RATE = pa.decimal128(5, 4)
"""A fraction from 0 to 1, rounded half-even to 4 places."""

MONEY = pa.decimal128(38, 2)
"""An amount in the shop's currency, rounded half-even to 2 places."""

UNKNOWN_CATEGORY = "(unknown)"
"""Category of an item whose product has not arrived yet."""

NO_CATEGORY = "(none)"
"""Category of an item whose product is known and has none."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """A secondary index: `partition_key` and `sort_key` are attributes of its table."""

    name: str
    partition_key: str
    sort_key: str


@dataclass(frozen=True, kw_only=True)
class KpiTable:
    """A KPI table: one row per order date, or per order date and group.

    Attributes:
        name: Table name, without the store's prefix.
        group_key: Sort key beside `order_date`; None where a day has one row.
        schema: Keys and KPI attributes in the order they are shown.
        indexes: Secondary indexes; `month` (`YYYY-MM`) is derived from order_date by the store.
    """

    name: str
    group_key: str | None
    schema: pa.Schema
    indexes: tuple[Index, ...]

    partition_key: str = "order_date"


def _required(name: str, kind: pa.DataType) -> pa.Field[pa.DataType]:
    return pa.field(name, kind, nullable=False)


BY_MONTH = Index(name="by_month", partition_key="month", sort_key="order_date")

ORDER_KPIS = KpiTable(
    name="order_kpis",
    group_key=None,
    schema=pa.schema(
        [
            _required("order_date", pa.date32()),
            _required("total_orders", pa.int64()),
            _required("total_revenue", MONEY),
            _required("total_items_sold", pa.int64()),
            _required("return_rate", RATE),
            _required("unique_customers", pa.int64()),
        ]
    ),
    indexes=(BY_MONTH,),
)

CATEGORY_KPIS = KpiTable(
    name="category_kpis",
    group_key="category",
    schema=pa.schema(
        [
            _required("order_date", pa.date32()),
            _required("category", pa.string()),
            _required("daily_revenue", MONEY),
            _required("avg_order_value", MONEY),
            _required("avg_return_rate", RATE),
        ]
    ),
    indexes=(
        Index(name="by_category", partition_key="category", sort_key="order_date"),
        BY_MONTH,
    ),
)

PRODUCT_KPIS = KpiTable(
    name="product_kpis",
    group_key="product_id",
    schema=pa.schema(
        [
            _required("order_date", pa.date32()),
            _required("product_id", pa.string()),
            _required("units_sold", pa.int64()),
            _required("revenue", MONEY),
            _required("orders", pa.int64()),
            _required("return_rate", RATE),
        ]
    ),
    indexes=(
        Index(name="by_product", partition_key="product_id", sort_key="order_date"),
        BY_MONTH,
    ),
)

KPI_TABLES: dict[str, KpiTable] = {
    table.name: table for table in (ORDER_KPIS, CATEGORY_KPIS, PRODUCT_KPIS)
}

DEFAULT_TABLES = frozenset({ORDER_KPIS.name, CATEGORY_KPIS.name})

LEDGER_TABLE = "ledger"
LEDGER_PARTITION_KEY = "kind"
LEDGER_SORT_KEY = "id"


def table_names(names: Iterable[str]) -> frozenset[str]:
    """KPI tables by their short names: `order`, `category`, `product`.

    Errors: `ValueError` that names what is not a table.
    """
    known = {name.removesuffix("_kpis"): name for name in KPI_TABLES}
    wrong = sorted(set(names) - set(known))
    if wrong or not names:
        raise ValueError(f"expected some of {', '.join(known)}, got {', '.join(wrong) or 'none'}")
    return frozenset(known[name] for name in names)
