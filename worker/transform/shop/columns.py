"""Columns of clean rows that the KPIs of a shop are computed from."""

from __future__ import annotations

from kpi.aggregation.shop_lines import LineColumns
from kpi.contract.conditions import columns_of
from kpi.contract.shop import ROLES, Shop, ShopDataset
from kpi.mapping.clean_rows import DAY, clean_schema


def order_columns(shop: Shop) -> list[str]:
    """Name the columns of orders."""
    dataset = shop.datasets["orders"]
    names = clean_schema(dataset).names
    roles = {*ROLES["orders"], DAY}
    if DAY in names:
        roles.remove("created_at")
    wanted = roles | _of_conditions(dataset) | _looked_up(dataset)
    return [name for name in names if name in wanted]


def line_columns(shop: Shop, needed: LineColumns) -> list[str]:
    """Name the columns of order lines."""
    dataset = shop.datasets["order_items"]
    roles = set(ROLES["order_items"])
    if not needed.category:
        roles.remove("category")
    if not (needed.product or (needed.category and "products" in shop.datasets)):
        roles.remove("product_id")
    wanted = roles | _of_conditions(dataset) | _looked_up(dataset)
    refunds = shop.datasets.get("refunds")
    if refunds is not None and "item" in refunds.columns:
        wanted.add(dataset.key[-1])
    return [name for name in clean_schema(dataset).names if name in wanted]


def _of_conditions(dataset: ShopDataset) -> set[str]:
    conditions = (dataset.excluded, dataset.deleted, dataset.returned or ())
    return {name for some in conditions for name in columns_of(some)}


def _looked_up(dataset: ShopDataset) -> set[str]:
    return {name for name, column in dataset.columns.items() if column.via}
