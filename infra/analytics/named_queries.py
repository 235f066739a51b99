"""Build the named queries of Athena: current versions, and the KPIs recomputed in SQL.

Over Iceberg tables, which `maintain --iceberg` writes, rows are exactly those that the KPIs are of,
as of the last maintenance; quotients round half up, not half to even.

SQL over the clean zone differs from the published KPIs in three points:

- Of two uploads of one day, the one whose clean object was written last counts as the later one.
- Of two rows with one key in the same file, either may win.
- Quotients round half up, not half to even.

Only column names and statuses of the deployment's own contract are put into the SQL text.
"""

from __future__ import annotations

from collections.abc import Sequence

from kpi.aggregation.tables import NO_CATEGORY, UNKNOWN_CATEGORY
from kpi.contract.model import Contract, Dataset
from kpi.contract.shop import ShopDataset


def named_queries(contract: Contract, *, iceberg: bool = False) -> dict[str, str]:
    """Return query name -> SQL (Athena engine 3) for the tables of a contract.

    Args:
        contract: Names tables, columns and statuses.
        iceberg: Whether there are Iceberg tables of the current rows.

    By a contract of language 2, whose KPIs have too many rules for SQL, there are the current rows
    of each dataset that has a key of columns.
    """
    if contract.shop is not None and iceberg:
        return {
            f"current {name.replace('_', ' ')}": f"{_of_iceberg(name)}\nLIMIT 1000"
            for name in contract.shop.all_datasets
        }
    if contract.shop is not None:
        return {
            f"current {name.replace('_', ' ')}": f"{_current_mapped(dataset)}\nLIMIT 1000"
            for name, dataset in contract.shop.datasets.items()
            if dataset.key_by == "columns"
        }
    orders, items = contract.datasets["orders"], contract.datasets["order_items"]
    kpis = f"WITH {_sales(contract, iceberg=iceberg)}\n"
    of_orders, of_items = (
        _of_iceberg(one.name) if iceberg else _current(one) for one in (orders, items)
    )
    return {
        "current orders": f"{of_orders}\nORDER BY created_at DESC\nLIMIT 1000",
        "current order items": f"{of_items}\nLIMIT 1000",
        "order KPIs": kpis + ORDER_KPIS,
        "category KPIs": kpis + CATEGORY_KPIS,
    }


ORDER_KPIS = """\
SELECT o.order_date,
       count(DISTINCT o.order_id) AS total_orders,
       coalesce(sum(s.revenue), 0) AS total_revenue,
       coalesce(sum(s.units), 0) AS total_items_sold,
       round(CAST(count(DISTINCT CASE WHEN o.returned THEN o.order_id END) AS double)
             / count(DISTINCT o.order_id), 4) AS return_rate,
       count(DISTINCT o.user_id) AS unique_customers
FROM orders_now o LEFT JOIN sales s ON s.order_id = o.order_id
GROUP BY o.order_date
ORDER BY o.order_date"""

CATEGORY_KPIS = """\
SELECT o.order_date,
       s.category,
       sum(s.revenue) AS daily_revenue,
       round(CAST(sum(s.revenue) AS double) / count(DISTINCT o.order_id), 2) AS avg_order_value,
       round(CAST(count(DISTINCT CASE WHEN coalesce(s.returned, o.returned)
                                      THEN o.order_id END) AS double)
             / count(DISTINCT o.order_id), 4) AS avg_return_rate
FROM orders_now o JOIN sales s ON s.order_id = o.order_id
GROUP BY o.order_date, s.category
ORDER BY o.order_date, s.category"""


def _of_iceberg(dataset: str) -> str:
    """Select the rows of the Iceberg table of a dataset."""
    return f"SELECT * FROM current_{dataset}"  # noqa: S608  (names of the contract only)


def _current(dataset: Dataset) -> str:
    """Select the latest version of each row of a dataset."""
    return _latest(dataset.name, dataset.key)


def _current_mapped(dataset: ShopDataset) -> str:
    """Select the latest version of each row of a dataset of language 2."""
    version = () if dataset.version is None else (f'"{dataset.version}" DESC NULLS LAST',)
    return _latest(dataset.name, dataset.key, version)


def _latest(table: str, key: Sequence[str], first: Sequence[str] = ()) -> str:
    """Select one row of each key: by some terms first, then the last upload."""
    upload = ("uploaded_on DESC", '"$file_modified_time" DESC', '"$path" DESC')
    partition = ", ".join(f'"{name}"' for name in key)
    return f"""\
SELECT * FROM (
  SELECT *, row_number() OVER (
    PARTITION BY {partition}
    ORDER BY {", ".join([*first, *upload])}) AS version
  FROM {table})
WHERE version = 1"""  # noqa: S608  (names of the contract only)


def _sales(contract: Contract, *, iceberg: bool) -> str:
    """Return the common table expressions `orders_now` (with the day) and `sales` (per item)."""
    orders, items, products = (
        contract.datasets[name] for name in ("orders", "order_items", "products")
    )
    units = "coalesce(i.quantity, 1)" if "quantity" in items.columns else "1"
    revenue = f"i.sale_price * {units}" if items.unit_price else "i.sale_price"
    category = f"'{NO_CATEGORY}'"
    if "category" in products.columns:
        category = f"coalesce(p.category, {category})"
    zone = contract.business_time_zone
    day = f"CAST(with_timezone(created_at, 'UTC') AT TIME ZONE '{zone}' AS date)"
    if iceberg:
        day = '"_day"'
    of_orders, of_items, of_products = (
        _of_iceberg(one.name) if iceberg else _current(one) for one in (orders, items, products)
    )
    return f"""\
order_versions AS (
{of_orders}),
item_versions AS (
{of_items}),
product_versions AS (
{of_products}),
orders_now AS (
  SELECT order_id, user_id,
         {day} AS order_date,
         {_returned("status", orders, contract)} AS returned
  FROM order_versions),
sales AS (
  SELECT i.order_id,
         {revenue} AS revenue,
         {units} AS units,
         CASE WHEN p.id IS NULL THEN '{UNKNOWN_CATEGORY}' ELSE {category} END AS category,
         {_returned("i.status", items, contract)} AS returned
  FROM item_versions i LEFT JOIN product_versions p ON p.id = i.product_id)"""  # noqa: S608


def _returned(column: str, dataset: Dataset, contract: Contract) -> str:
    """Return SQL for "is returned"; NULL for items without a status of their own."""
    if "status" not in dataset.columns:
        return "CAST(NULL AS boolean)" if dataset.name == "order_items" else "false"
    statuses = ", ".join("'" + status.replace("'", "''") + "'" for status in contract.returned)
    return f"coalesce(lower({column}) IN ({statuses}), false)" if statuses else "false"
