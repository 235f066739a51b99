"""Define the KPI tables and the ledger table once for every store: names, keys, attributes.

The SQLite and DynamoDB stores, the CDK stack and the documentation take tables from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["date", "text", "count", "money", "rate"]
"""Kinds of attribute. Money is an amount in the shop's currency, a rate a fraction of 1."""

PLACES: Mapping[Kind, int] = {"money": 2, "rate": 4}
"""Kind -> decimal places, rounded half-even."""

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
        attributes: Keys and KPI attributes in display order, and their kinds.
        optional: KPI attributes that a row has only where the contract gives them a meaning.
        indexes: Secondary indexes; `month` (`YYYY-MM`) is derived from order_date by the store.
    """

    name: str
    group_key: str | None
    attributes: Mapping[str, Kind] = field(hash=False)
    indexes: tuple[Index, ...]
    optional: Mapping[str, Kind] = field(default_factory=dict, hash=False)

    partition_key: str = "order_date"

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Attributes that a row may have, in display order, and their kinds."""
        return {**self.attributes, **self.optional}


BY_MONTH = Index(name="by_month", partition_key="month", sort_key="order_date")

ORDER_KPIS = KpiTable(
    name="order_kpis",
    group_key=None,
    attributes={
        "order_date": "date",
        "total_orders": "count",
        "total_revenue": "money",
        "total_items_sold": "count",
        "return_rate": "rate",
        "unique_customers": "count",
    },
    optional={
        "gross_sales": "money",
        "discounts": "money",
        "refunds": "money",
        "net_sales": "money",
        "avg_order_value": "money",
        "excluded_orders": "count",
        "anonymous_orders": "count",
        "other_currency_orders": "count",
    },
    indexes=(BY_MONTH,),
)

CATEGORY_KPIS = KpiTable(
    name="category_kpis",
    group_key="category",
    attributes={
        "order_date": "date",
        "category": "text",
        "daily_revenue": "money",
        "avg_order_value": "money",
        "avg_return_rate": "rate",
    },
    indexes=(
        Index(name="by_category", partition_key="category", sort_key="order_date"),
        BY_MONTH,
    ),
)

PRODUCT_KPIS = KpiTable(
    name="product_kpis",
    group_key="product_id",
    attributes={
        "order_date": "date",
        "product_id": "text",
        "units_sold": "count",
        "revenue": "money",
        "orders": "count",
        "return_rate": "rate",
    },
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
    """Resolve short names of KPI tables: `order`, `category`, `product`.

    Raises:
        ValueError: A name is not that of a table, or there is none.
    """
    known = {name.removesuffix("_kpis"): name for name in KPI_TABLES}
    wrong = sorted(set(names) - set(known))
    if wrong or not names:
        raise ValueError(f"expected some of {', '.join(known)}, got {', '.join(wrong) or 'none'}")
    return frozenset(known[name] for name in names)
