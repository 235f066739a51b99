"""Find the days that may have changed since a ledger sequence: a superset, never a miss.

A day changes when an order of it arrives, moves in or moves out. It changes when an item of such an
order arrives, moves or changes, or when a product of its items becomes known or changes category.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import NO_DAYS, Days, order_days
from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Contract
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import keys_of
from kpi.kernels.masks import booleans
from worker.transform.catalog import Catalog
from worker.transform.clean_files import CleanFile, RowGroup
from worker.transform.key_sets import KeySet
from worker.transform.latest_versions import LatestVersions
from worker.transform.touched_orders import TouchedOrders


async def days_of_orders(orders: Catalog, order_ids: pa.Array, contract: Contract) -> Days:
    """Return the days of every version of some orders.

    Args:
        orders: Where to look.
        order_ids: Distinct order ids.
        contract: Says where a day begins.
    """
    days: list[Days] = [NO_DAYS]
    async for _, at, table in _find_orders(orders, order_ids, ["order_id", "created_at"]):
        created = single_array(table.column("created_at")).filter(booleans(at >= 0))
        days.append(_distinct_days(created, contract))
    return np.unique(np.concatenate(days))


async def _find_orders(
    orders: Catalog, order_ids: pa.Array, columns: Sequence[str]
) -> AsyncIterator[tuple[RowGroup, Positions, pa.Table]]:
    """Find every version of some orders.

    Yields:
        A row group that may have some; for each of its rows the position of its id in `order_ids`,
        or -1; and its columns.
    """
    if len(order_ids) == 0:
        return
    index = KeyIndex(keys_of([pa.chunked_array([order_ids])]))
    wanted = KeySet.of_values(order_ids, orders.limits.lookup_points)
    for group in await orders.row_groups_holding("order_id", wanted):
        table = await _read(group, columns)
        yield group, index.find(keys_of([table.column("order_id")])), table


async def items_without_order(
    items: Catalog, orders: Catalog, versions: LatestVersions
) -> dict[CleanFile, int]:
    """Count the latest items of each file that have no order yet; see `mark_waiting_items`."""
    waiting: dict[CleanFile, int] = defaultdict(int)
    async for group, waits in mark_waiting_items(items, orders, versions):
        waiting[group.file] += int(waits.sum())
    return waiting


async def mark_waiting_items(
    items: Catalog, orders: Catalog, versions: LatestVersions
) -> AsyncIterator[tuple[RowGroup, Mask]]:
    """Find the latest items that have no order yet.

    Args:
        items: The items.
        orders: Where to look for their orders.
        versions: Latest items, resolved.

    Yields:
        A row group, and which of its latest items wait.
    """
    async for batch in _row_group_batches(items):
        ids = [await latest_of(group, versions, "order_id") for group in batch]
        kind = arrow_type(items.dataset.columns["order_id"])
        distinct = pc.unique(pa.chunked_array(ids, kind))
        known = np.zeros(len(distinct) + 1, bool)
        async for _, at, _ in _find_orders(orders, distinct, ["order_id"]):
            known[at[at >= 0]] = True
        index = KeyIndex(keys_of([pa.chunked_array([distinct])]))
        for group, of_group in zip(batch, ids, strict=True):
            at = index.find(keys_of([pa.chunked_array([of_group])]))
            yield group, ~known[at]


async def days_of_waiting_items(
    items: Catalog, orders: Catalog, versions: LatestVersions, contract: Contract
) -> dict[str, Counter[int]]:
    """Count the items that wait by their own days, which are mostly those of their orders.

    Args:
        items: The items, with a column `created_at`.
        orders: Where to look for their orders.
        versions: Latest items, resolved.
        contract: Says where a day begins.

    Returns:
        Source object -> day -> items that wait; those without `created_at` are left out.
    """
    found: dict[str, Counter[int]] = defaultdict(Counter)
    async for group, waits in mark_waiting_items(items, orders, versions):
        if waits.any():
            created = await latest_of(group, versions, "created_at")
            days = order_days(
                created.filter(booleans(waits)).drop_null(), contract.business_time_zone
            )
            found[group.file.source_id].update(days.tolist())
    return found


async def days_of_files(orders: Catalog, contract: Contract) -> Days:
    """Return the days of every order in some files, whatever its version."""
    found = [NO_DAYS]
    for group in await orders.row_groups():
        created = single_array((await _read(group, ["created_at"])).column("created_at"))
        found.append(_distinct_days(created, contract))
    return np.unique(np.concatenate(found))


async def days_of_latest_orders(
    file: CleanFile, versions: LatestVersions, contract: Contract
) -> Days:
    """Return the days of a file's latest orders, as `versions` has resolved them."""
    found = [NO_DAYS]
    for group in await file.row_groups():
        created = single_array((await _read(group, ["created_at"])).column("created_at"))
        mask = versions.mask(group)
        if mask is not None:
            created = created.filter(booleans(mask))
        found.append(_distinct_days(created, contract))
    return np.unique(np.concatenate(found))


async def days_of_latest_items(
    file: CleanFile,
    item_versions: LatestVersions,
    orders: Catalog,
    order_versions: LatestVersions,
    contract: Contract,
) -> Days:
    """Return the days of the latest orders of a file's latest items; both are resolved."""
    found = [NO_DAYS]
    for group in await file.row_groups():
        ids = pc.unique(await latest_of(group, item_versions, "order_id"))
        async for of_orders, at, table in _find_orders(orders, ids, ["order_id", "created_at"]):
            hit, mask = at >= 0, order_versions.mask(of_orders)
            if mask is not None:
                hit &= mask
            created = single_array(table.column("created_at")).filter(booleans(hit))
            found.append(_distinct_days(created, contract))
    return np.unique(np.concatenate(found))


async def latest_of(group: RowGroup, versions: LatestVersions, column: str) -> pa.Array:
    """Return a column of the latest rows of a row group."""
    values = single_array((await _read(group, [column])).column(column))
    mask = versions.mask(group)
    return values if mask is None else values.filter(booleans(mask))


async def days_of_new_orders(
    orders: Catalog, new: Catalog, contract: Contract, touched: TouchedOrders | None = None
) -> Days:
    """Return the days that new versions of orders are on, and those that they leave.

    Args:
        orders: Where to look.
        new: Files with the new versions.
        contract: Says where a day begins.
        touched: Gets the ids of the orders.
    """
    found = [NO_DAYS]
    async for batch in _row_group_batches(new):
        ids = pa.chunked_array(
            [pc.unique((await _read(group, ["order_id"])).column("order_id")) for group in batch]
        )
        distinct = pc.unique(ids)
        if touched is not None:
            touched.add(distinct)
        found.append(await days_of_orders(orders, distinct, contract))
    return np.unique(np.concatenate(found))


async def days_of_new_items(
    items: Catalog,
    orders: Catalog,
    new: Catalog,
    contract: Contract,
    touched: TouchedOrders | None = None,
) -> Days:
    """Return the days of the orders whose items arrive, change, or move to another order.

    Args:
        items: Where to look for other versions of the items.
        orders: Where to look for their orders.
        new: Files with the new versions.
        contract: Says where a day begins.
        touched: Gets the ids of the orders.
    """
    key = items.dataset.key
    columns = list(dict.fromkeys((*key, "order_id")))
    earlier = items.without(new)
    found = [NO_DAYS]
    async for batch in _row_group_batches(new):
        hashes: list[npt.NDArray[np.uint64]] = []
        order_ids: list[pa.Array] = []
        first_keys: list[pa.Array] = []
        for group in batch:
            table = await _read(group, columns)
            hashes.append(keys_of([table.column(name) for name in key]).high)
            order_ids.append(pc.unique(table.column("order_id")))
            first_keys.append(pc.unique(table.column(key[0])))
        wanted = np.unique(np.concatenate(hashes))
        of_first = pc.unique(pa.chunked_array(first_keys))
        sharing = KeySet.of_values(of_first, items.limits.lookup_points)
        for group in await earlier.row_groups_holding(key[0], sharing):
            table = await _read(group, columns)
            # Half a hash may also be that of another key: that only adds an order too many.
            hit = np.isin(keys_of([table.column(name) for name in key]).high, wanted)
            if hit.any():
                order_ids.append(pc.unique(table.column("order_id").filter(booleans(hit))))
        distinct = pc.unique(pa.chunked_array(order_ids))
        if touched is not None:
            touched.add(distinct)
        found.append(await days_of_orders(orders, distinct, contract))
    return np.unique(np.concatenate(found))


async def days_of_products(
    items: Catalog,
    orders: Catalog,
    product_ids: pa.Array,
    contract: Contract,
    touched: TouchedOrders | None = None,
) -> Days:
    """Return the days of the orders of every version of every item of some products.

    Args:
        items: Where to look for the items.
        orders: Where to look for their orders.
        product_ids: Distinct ids of the products.
        contract: Says where a day begins.
        touched: Gets the ids of the orders.
    """
    if not len(product_ids):
        return NO_DAYS
    wanted = KeySet.of_values(product_ids, items.limits.lookup_points)
    found = [NO_DAYS]
    groups = await items.row_groups_holding("product_id", wanted)
    order_ids: list[pa.Array] = []
    rows = 0
    for number, group in enumerate(groups, start=1):
        table = await _read(group, ["product_id", "order_id"])
        hit = pc.is_in(table.column("product_id"), value_set=product_ids)
        order_ids.append(pc.unique(table.column("order_id").filter(hit)))
        rows += group.rows
        if rows >= items.limits.lookup_rows or number == len(groups):
            distinct = pc.unique(pa.chunked_array(order_ids))
            if touched is not None:
                touched.add(distinct)
            found.append(await days_of_orders(orders, distinct, contract))
            order_ids, rows = [], 0
    return np.unique(np.concatenate(found))


async def _row_group_batches(catalog: Catalog) -> AsyncIterator[list[RowGroup]]:
    """Yield the row groups of a catalog, about `lookup_rows` rows at a time."""
    batch: list[RowGroup] = []
    rows = 0
    for file in catalog.files:
        for group in await file.row_groups():
            batch.append(group)
            rows += group.rows
            if rows >= catalog.limits.lookup_rows:
                yield batch
                batch, rows = [], 0
    if batch:
        yield batch


async def _read(group: RowGroup, columns: Sequence[str]) -> pa.Table:
    return await group.file.read([group], columns)


def _distinct_days(created: pa.Array, contract: Contract) -> Days:
    return np.unique(order_days(created, contract.business_time_zone))


def single_array(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without a copy where it has one chunk."""
    if column.num_chunks == 0:
        return pa.array([], column.type)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
