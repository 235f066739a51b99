"""Find orders by their ids, and rows by the cells of a column."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import NO_DAYS, Days
from kpi.aggregation.shop_columns import one_array, texts_of
from kpi.aggregation.shop_versions import key_columns
from kpi.kernels.arrays import Positions
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import text_keys
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import DAY
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup, batch_row_groups
from worker.transform.key_sets import KeySet
from worker.transform.shop.days import days_of
from worker.transform.shop.snapshot import ShopSnapshot

NO_IDS = pa.array([], pa.string())


async def batches_of(
    catalog: Catalog, columns: Sequence[str]
) -> AsyncIterator[tuple[list[RowGroup], pa.Table]]:
    """Yield some columns of the row groups of a catalog, some row groups at a time."""
    groups = await catalog.row_groups()
    for batch in batch_row_groups(groups, catalog.limits.read_rows):
        yield batch, await batch[0].file.read(batch, columns)


async def find_orders(
    catalog: Catalog, ids: pa.Array, columns: Sequence[str]
) -> AsyncIterator[tuple[list[RowGroup], Positions, pa.Table]]:
    """Find every version of some orders, or of rows that name them.

    Yields:
        Row groups that may have some; for each of their rows the position of its id in `ids`, or
        -1; and its columns.
    """
    if not len(ids) or "order_id" not in catalog.dataset.columns:
        return
    index = KeyIndex(text_keys(pa.chunked_array([ids])))
    wanted = KeySet.of_values(ids, catalog.limits.lookup_points)
    groups = await catalog.row_groups_holding("order_id", wanted)
    for batch in batch_row_groups(groups, catalog.limits.read_rows):
        table = await batch[0].file.read(batch, list(dict.fromkeys(["order_id", *columns])))
        yield batch, index.find(key_columns(table, ["order_id"])), table


async def days_of_orders(snapshot: ShopSnapshot, ids: pa.Array) -> Days:
    """Return the days of every version of some orders, and of refunds that name them."""
    found = [NO_DAYS]
    for name in ("orders", "refunds"):
        if name not in snapshot.catalogs or DAY not in snapshot.catalogs[name].dataset.columns:
            continue
        catalog = snapshot.catalogs[name].with_uncounted()
        async for _, at, table in find_orders(catalog, ids, [DAY]):
            found.append(days_of(table.filter(booleans(at >= 0))))
    return np.unique(np.concatenate(found)).astype(np.int32)


def ids_of(table: pa.Table) -> pa.Array:
    """Return the distinct order ids of some rows."""
    if "order_id" not in table.schema.names:
        return NO_IDS
    return pc.unique(one_array(table, "order_id")).drop_null()


async def rows_with(
    catalog: Catalog, column: str, cells: pa.Array, wanted: Sequence[str]
) -> AsyncIterator[pa.Table]:
    """Yield some columns of the rows of a catalog of which a column has one of some cells."""
    if not len(cells):
        return
    index = KeyIndex(text_keys(pa.chunked_array([cells])))
    names = list(dict.fromkeys([column, *wanted]))
    holding = KeySet.of_values(cells, catalog.limits.lookup_points)
    groups = await catalog.row_groups_holding(column, holding)
    for batch in batch_row_groups(groups, catalog.limits.read_rows):
        table = await batch[0].file.read(batch, names)
        texts = texts_of(table, column)
        hit = index.find(text_keys(pa.chunked_array([texts]))) >= 0
        hit &= ~np.asarray(texts.is_null())
        if hit.any():
            yield table.filter(booleans(hit))
