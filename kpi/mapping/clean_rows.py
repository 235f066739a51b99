"""Columns of the clean rows of a dataset by a contract of language 2."""

from __future__ import annotations

import pyarrow as pa

from kpi.contract.shop import ShopDataset
from kpi.mapping.columns import ARROW_TYPES

DAY, ROW = "_day", "_row"
"""Clean columns beside those of the contract: an order's day, and the row's number in its file."""

DATED = {"orders": "created_at", "refunds": "created_at"}
"""Dataset -> column whose day is kept; of a reference it is `valid_from`."""


def dated_column(dataset: ShopDataset) -> str | None:
    """Name the column whose day is kept; of a time that is looked up, the look-up gives it."""
    name = DATED.get(dataset.name, dataset.valid_from)
    if name is None or name not in dataset.columns or dataset.columns[name].via:
        return None
    return name


def clean_schema(dataset: ShopDataset) -> pa.Schema:
    """Make the schema of a dataset's rows in the clean zone."""
    fields = [pa.field(one.name, ARROW_TYPES[one.stored_kind]) for one in dataset.columns.values()]
    if dated_column(dataset) is not None:
        fields.append(pa.field(DAY, pa.int32()))
    if dataset.key_by == "row":
        fields.append(pa.field(ROW, pa.int64(), nullable=False))
    return pa.schema(fields)


def clean_key(dataset: ShopDataset) -> tuple[str, ...]:
    """Name the columns of the clean zone that identify a row, where columns do."""
    if dataset.key_by != "columns":
        return ()
    if dataset.valid_from is not None and dataset.valid_from not in dataset.key:
        return (*dataset.key, DAY)
    return dataset.key


def ranged_columns(dataset: ShopDataset) -> tuple[str, ...]:
    """Name the columns whose least and greatest values a clean file records, for pruning."""
    wanted = (*clean_key(dataset)[:1], "order_id", DAY)
    return tuple(name for name in dict.fromkeys(wanted) if name in clean_schema(dataset).names)
