"""Named queries of Athena: current versions, and the KPIs recomputed in SQL.

They follow the definitions of the KPIs, with two differences that SQL over the clean zone cannot
avoid: which of two uploads of the same day is the later one is told by when their clean objects
were written, and which of two rows of one file, by nothing; and sums round half up, not half-even.

The texts that are put into them are names of columns and statuses of the deployment's own contract.
"""

from __future__ import annotations

from kpi.aggregation.tables import NO_CATEGORY, UNKNOWN_CATEGORY
from kpi.contract.model import Contract, Dataset


def named_queries(contract: Contract) -> dict[str, str]:
    """Name -> SQL (Athena engine 3) for the tables of a contract."""
    orders, items = contract.datasets["orders"], contract.datasets["order_items"]
    kpis = f"WITH {_sales(contract)}\n"
    return {
        "current orders": f"{_current(orders)}\nORDER BY created_at DESC\nLIMIT 1000",
        "current order items": f"{_current(items)}\nLIMIT 1000",
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


def _current(dataset: Dataset) -> str:
    """The latest version of each row of a dataset."""
    key = ", ".join(f'"{name}"' for name in dataset.key)
    return f"""\
SELECT * FROM (
  SELECT *, row_number() OVER (
    PARTITION BY {key}
    ORDER BY uploaded_on DESC, "$file_modified_time" DESC, "$path" DESC) AS version
  FROM {dataset.name})
WHERE version = 1"""  # noqa: S608  (see the module)


def _sales(contract: Contract) -> str:
    """Common tables: orders_now with their day, and sales with revenue, units and category."""
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
    return f"""\
order_versions AS (
{_current(orders)}),
item_versions AS (
{_current(items)}),
product_versions AS (
{_current(products)}),
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
    """Whether a status means "returned"; NULL for a dataset without one."""
    if "status" not in dataset.columns:
        return "CAST(NULL AS boolean)" if dataset.name == "order_items" else "false"
    statuses = ", ".join("'" + status.replace("'", "''") + "'" for status in contract.returned)
    return f"coalesce(lower({column}) IN ({statuses}), false)" if statuses else "false"
