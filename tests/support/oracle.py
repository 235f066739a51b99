"""The judge of what is right: KPIs by DuckDB SQL over the raw files, sharing no code with ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cache
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
WITH days AS (
    SELECT *, {day} AS order_date, CASE WHEN num_of_item > 2147483647 THEN 2147483647
        ELSE num_of_item END AS promise FROM orders o
),
sold AS (
    SELECT order_id, sum({revenue}) AS revenue, sum({units}) AS items, count(*) AS lines
    FROM order_items i GROUP BY order_id
)
SELECT CAST(order_date AS VARCHAR), count(*) AS total_orders,
    coalesce(sum(revenue), 0) AS total_revenue, CAST(coalesce(sum(items), 0) AS BIGINT),
    count(*) FILTER (lower(trim(status)) IN {returned}) AS returned, count(DISTINCT user_id),
    CAST(sum(promise) AS BIGINT), CAST(sum(CASE WHEN promise IS NULL THEN NULL
        WHEN coalesce(items, 0) <= 0 THEN promise
        WHEN items < promise THEN promise - items ELSE 0 END) AS BIGINT),
    count(*) FILTER (promise IS NULL), count(*) FILTER (lines IS NULL)
FROM days LEFT JOIN sold USING (order_id) GROUP BY order_date ORDER BY order_date
"""

CATEGORY_KPIS = """
WITH lines AS (
    SELECT {day} AS order_date, i.order_id, {revenue} AS revenue,
        CASE WHEN p.id IS NULL THEN '(unknown)' ELSE coalesce(p.category, '(none)') END AS category,
        lower(trim(coalesce(i.status, o.status))) IN {returned} AS returned
    FROM order_items i JOIN orders o ON o.order_id = i.order_id
    LEFT JOIN products p ON p.id = i.product_id
)
SELECT CAST(order_date AS VARCHAR), category, sum(revenue), count(DISTINCT order_id),
    count(DISTINCT order_id) FILTER (returned)
FROM lines GROUP BY order_date, category ORDER BY order_date, category
"""

PRODUCT_KPIS = """
SELECT CAST({day} AS VARCHAR) AS order_date, CAST(i.product_id AS VARCHAR) AS product_id,
    CAST(sum({units}) AS BIGINT), sum({revenue}),
    count(DISTINCT i.order_id),
    count(DISTINCT i.order_id) FILTER (lower(trim(coalesce(i.status, o.status))) IN {returned})
FROM order_items i JOIN orders o ON o.order_id = i.order_id
GROUP BY 1, 2 ORDER BY 1, 2
"""

WAITING = """
SELECT count(*) FROM order_items i WHERE NOT EXISTS (
    SELECT 1 FROM orders o WHERE o.order_id = i.order_id
)
"""

COLUMNS = {
    "orders": ("order_id", "user_id", "status", "created_at", "num_of_item"),
    "order_items": ("id", "order_id", "product_id", "status", "sale_price"),
    "products": ("id", "category"),
}
KEYS = {"orders": "order_id", "order_items": "id", "products": "id"}

OPTIONAL = ("num_of_item",)
"""Columns that a file may have."""

Rows = list[dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the files of a shop are to be read.

    Attributes:
        ids: SQL type of the ids.
        headers: Dataset -> column -> its header, of those whose header is another one. A column
            whose header is `""` is missing in the files.
        keys: Dataset -> columns of its key, with commas between them.
        source_zone: Time zone of created_at.
        business_zone: Time zone of the order date.
        scale: Places of sale_price.
        quantity: Whether items have a column `quantity`.
        unit_price: Whether sale_price is for one unit.
        returned: Statuses that mean returned, lower case.
    """

    ids: str = "BIGINT"
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=lambda: KEYS)
    source_zone: str = "UTC"
    business_zone: str = "UTC"
    scale: int = 4
    quantity: bool = False
    unit_price: bool = False
    returned: tuple[str, ...] = ("returned",)

    @property
    def terms(self) -> dict[str, str]:
        """What the queries above are filled with."""
        local = "o.created_at"
        if (self.source_zone, self.business_zone) != ("UTC", "UTC"):
            instant = f"timezone('{self.source_zone}', o.created_at)"
            local = f"timezone('{self.business_zone}', {instant})"
        units = "coalesce(i.quantity, 1)" if self.quantity else "1"
        price = f"CAST(i.sale_price AS DECIMAL(38, {self.scale}))"
        return {
            "day": f"CAST({local} AS DATE)",
            "units": units,
            "revenue": f"i.sale_price * CAST({units} AS DECIMAL(18, 0))"
            if self.unit_price
            else price,
            "returned": f"({', '.join(repr(status) for status in self.returned)})",
        }


DEFAULT = Layout()
OLIST = Layout(
    ids="VARCHAR",
    headers={
        "orders": {
            "user_id": "customer_id",
            "status": "order_status",
            "created_at": "order_purchase_timestamp",
        },
        "order_items": {"id": "order_item_id", "status": "", "sale_price": "price"},
        "products": {"id": "product_id", "category": "product_category_name"},
    },
    keys={**KEYS, "order_items": "order_id, id"},
    source_zone="America/Sao_Paulo",
    business_zone="America/Sao_Paulo",
    returned=("returned", "canceled"),
)


def kpis(
    files: Mapping[str, Sequence[Path]], layout: Layout = DEFAULT, *, ids: str | None = None
) -> dict[str, Rows]:
    """KPI rows of some clean CSV files, by table.

    Args:
        files: Dataset -> its files, from the earliest upload to the latest.
        layout: How they are to be read.
        ids: SQL type of the ids, if another than the layout's.
    """
    return kpis_and_waiting(files, replace(layout, ids=ids or layout.ids))[0]


def kpis_and_waiting(
    files: Mapping[str, Sequence[Path]], layout: Layout = DEFAULT
) -> tuple[dict[str, Rows], int]:
    """KPI rows by table, and the number of latest items whose order is in no file."""
    with loaded(files, layout) as db:
        orders = db.execute(ORDER_KPIS.format(**layout.terms)).fetchall()
        categories = db.execute(CATEGORY_KPIS.format(**layout.terms)).fetchall()
        products = db.execute(PRODUCT_KPIS.format(**layout.terms)).fetchall()
        ((waiting,),) = db.execute(WAITING).fetchall()
    rows: dict[str, Rows] = {
        "order_kpis": [
            {
                "order_date": day,
                "total_orders": count,
                "total_revenue": _round(revenue, 1, 2),
                "total_items_sold": items,
                "return_rate": _round(returned, count, 4),
                "unique_customers": customers,
                **_come(*come),
            }
            for day, count, revenue, items, returned, customers, *come in orders
        ],
        "category_kpis": sorted(
            (
                {
                    "order_date": day,
                    "category": category,
                    "daily_revenue": _round(revenue, 1, 2),
                    "avg_order_value": _round(revenue, count, 2),
                    "avg_return_rate": _round(returned, count, 4),
                }
                for day, category, revenue, count, returned in categories
            ),
            key=lambda row: (row["order_date"], str(row["category"]).encode()),
        ),
        "product_kpis": sorted(
            (
                {
                    "order_date": day,
                    "product_id": product,
                    "units_sold": units,
                    "revenue": _round(revenue, 1, 2),
                    "orders": count,
                    "return_rate": _round(returned, count, 4),
                }
                for day, product, units, revenue, count, returned in products
            ),
            key=lambda row: (row["order_date"], str(row["product_id"]).encode()),
        ),
    }
    return rows, int(waiting)


@contextmanager
def loaded(
    files: Mapping[str, Sequence[Path]], layout: Layout
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The files as tables `raw_<dataset>`, and their latest versions as views `<dataset>`.

    To open a database and make its tables takes longer than to read small files: both are kept, and
    the rows are taken back.
    """
    types = {dataset: _types(dataset, layout) for dataset in COLUMNS}
    db = _database(
        *(_table(dataset, of) for dataset, of in types.items()),
        *(LATEST.format(name=dataset, key=layout.keys[dataset]) for dataset in COLUMNS),
    )
    db.begin()
    try:
        for dataset, of in types.items():
            _load(db, dataset, of, files.get(dataset, ()), layout)
        yield db
    finally:
        db.rollback()


@cache
def _database(*statements: str) -> duckdb.DuckDBPyConnection:
    # One thread keeps the rows in the order of the file.
    db = duckdb.connect(config={"threads": 1})
    for statement in statements:
        db.execute(statement)
    return db


def _table(dataset: str, types: Mapping[str, str]) -> str:
    described = ", ".join(f"{name} {kind}" for name, kind in types.items())
    return f"CREATE TABLE raw_{dataset} ({described}, upload BIGINT, row BIGINT)"


def _types(dataset: str, layout: Layout) -> dict[str, str]:
    """Return the SQL type of each column of a dataset."""
    quantity = ("quantity",) if layout.quantity and dataset == "order_items" else ()
    kinds = {
        "status": "VARCHAR",
        "category": "VARCHAR",
        "created_at": "TIMESTAMP",
        "quantity": "BIGINT",
        "num_of_item": "BIGINT",
        "sale_price": f"DECIMAL(18, {layout.scale})",
    }
    return {name: kinds.get(name, layout.ids) for name in (*COLUMNS[dataset], *quantity)}


def _load(
    db: duckdb.DuckDBPyConnection,
    dataset: str,
    types: Mapping[str, str],
    files: Sequence[Path],
    layout: Layout,
) -> None:
    headers = layout.headers.get(dataset, {})
    for upload, file in enumerate(files):
        present = (
            {
                name
                for name, *_ in db.execute(
                    "DESCRIBE SELECT * FROM read_csv(?, header = true, all_varchar = true)",
                    [str(file)],
                ).fetchall()
            }
            if dataset == "orders"
            else set(types)
        )
        casts = ", ".join(
            f'CAST("{header}" AS {kind})'
            if (header := headers.get(name, name)) and (name in present or name not in OPTIONAL)
            else "NULL"
            for name, kind in types.items()
        )
        db.execute(
            f"INSERT INTO raw_{dataset} SELECT {casts}, {upload}, row_number() OVER () "
            "FROM read_csv(?, header = true, all_varchar = true, quote = '\"', parallel = false)",
            [str(file)],
        )


def _come(
    expected: int | None, missing: int | None, silent: int, without: int
) -> dict[str, object]:
    known = {} if expected is None else {"items_expected": expected, "items_missing": missing}
    return {**known, "orders_without_promise": silent, "orders_without_items": without}


def _round(part: int | Decimal, whole: int, places: int) -> Decimal:
    # Two roundings must not follow on each other: 76 digits hold any sum of decimals of 38.
    with localcontext(prec=76):
        exact = Decimal(part) / Decimal(whole)
        return exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
