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


DEFAULT_SHOP = "default"
"""Shop of whoever names none. The keys of ledger and clean zone have no shop in front for it, so
that what release 0.1.0 wrote is valid as it stands."""

SHOP_KEY = "shop"


@dataclass(frozen=True, kw_only=True)
class Index:
    """A secondary index: `partition_key` and `sort_key` are attributes of its table."""

    name: str
    partition_key: str
    sort_key: str


@dataclass(frozen=True, kw_only=True)
class KpiTable:
    """A KPI table: one row per shop and order date, or per shop, order date and group.

    Attributes:
        name: Name in commands and rows.
        group_key: Category or product, beside `order_date`; None where a day has one row.
        attributes: Keys and KPI attributes in display order, and their kinds.
        optional: KPI attributes that a row has only where the contract gives them a meaning.
        completeness: Attributes that say what of the day has come; null where that is unknown.
    """

    name: str
    group_key: str | None
    attributes: Mapping[str, Kind] = field(hash=False)
    optional: Mapping[str, Kind] = field(default_factory=dict, hash=False)
    completeness: Mapping[str, Kind] = field(default_factory=dict, hash=False)

    partition_key: str = "order_date"

    @property
    def dynamodb_name(self) -> str:
        """Name in DynamoDB, without the prefix.

        Release 0.1.0's tables have the plain name. A key schema cannot be changed, so those with a
        shop in their keys stand beside them.
        """
        return f"{self.name}_v2"

    @property
    def sort_key(self) -> str:
        """Sort key in DynamoDB: the shop, and behind it the group."""
        return SHOP_KEY if self.group_key is None else f"{SHOP_KEY}_{self.group_key}"

    @property
    def indexes(self) -> tuple[Index, ...]:
        """Secondary indexes in DynamoDB: the days of one group of one shop."""
        if self.group_key is None:
            return ()
        name = f"by_{self.group_key.removesuffix('_id')}"
        return (Index(name=name, partition_key=self.sort_key, sort_key=self.partition_key),)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Attributes that a row may have, in display order, and their kinds."""
        return {**self.attributes, **self.optional, **self.completeness}


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
    completeness={
        "items_expected": "count",
        "items_missing": "count",
        "orders_without_promise": "count",
        "orders_without_items": "count",
    },
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
)

KPI_TABLES: dict[str, KpiTable] = {
    table.name: table for table in (ORDER_KPIS, CATEGORY_KPIS, PRODUCT_KPIS)
}

DEFAULT_TABLES = frozenset({ORDER_KPIS.name, CATEGORY_KPIS.name})

LEDGER_TABLE = "ledger"
LEDGER_PARTITION_KEY = "kind"
LEDGER_SORT_KEY = "id"


def record_names(tables: Iterable[str]) -> list[str]:
    """Name KPI tables as guards and progress records do when these are published.

    A table with attributes of completeness has a second name. Releases without these know the first
    one alone, so that the next transform sees which rows they have published.
    """
    listed = list(tables)
    return [
        *listed,
        *(f"{name}.2" for name in listed if name in KPI_TABLES and KPI_TABLES[name].completeness),
    ]


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
