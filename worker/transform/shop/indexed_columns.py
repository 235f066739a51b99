"""Which columns of a shop have pointers in the key index."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from kpi.contract.shop import Shop
from kpi.mapping.clean_rows import clean_key, clean_schema
from worker.transform.indexed_files import IndexedColumns

PRODUCT_OF_LINE = ("order_items", "product_id")
"""Cells by which the category of a line is looked up."""


def shop_indexed_columns(shop: Shop) -> IndexedColumns:
    """Return the columns that have pointers: those of texts by which rows are looked for.

    These are keys, order ids, and cells that are looked up in references and products.
    """
    columns: IndexedColumns = {}
    for name, column in _looked_for(shop):
        kind = clean_schema(shop.all_datasets[name]).field(column).type
        if pa.types.is_string(kind):
            columns[name, column] = "string"
    return columns


def _looked_for(shop: Shop) -> Iterator[tuple[str, str]]:
    for name, dataset in shop.all_datasets.items():
        for column in (*clean_key(dataset)[:1], "order_id"):
            if column in dataset.columns:
                yield name, column
        for column, described in dataset.columns.items():
            if described.via or ((name, column) == PRODUCT_OF_LINE and "products" in shop.datasets):
                yield name, column
            # What a step gives is looked up by the next one.
            yield from ((step.reference, step.column) for step in described.via[:-1])
