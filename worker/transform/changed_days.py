"""Which days may have changed since a sequence: a superset is right, a miss would be wrong.

A day changes when an order of it arrives, moves in or moves out, when an item of such an order
arrives, moves or changes, or when a product of its items becomes known or changes its category.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import NO_DAYS, Days, order_days
from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Contract
from kpi.kernels.arrays import Positions
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import keys_of
from kpi.kernels.masks import booleans
from worker.transform.catalog import Catalog
from worker.transform.clean_files import Piece, RowGroup
from worker.transform.intervals import Spans, value_range
from worker.transform.latest_versions import Versions

BATCH_ROWS = 1_000_000
"""Rows of new pieces looked up at once, so that memory does not grow with them."""


async def days_of_orders(orders: Catalog, order_ids: pa.Array, contract: Contract) -> Days:
    """Every day that some version of some orders stands on.

    Args:
        orders: Where to look.
        order_ids: Distinct order ids.
        contract: Says where a day begins.
    """
    days: list[Days] = [NO_DAYS]
    async for _, at, table in _versions_of(orders, order_ids, ["order_id", "created_at"]):
        instants = one_array(table.column("created_at")).filter(booleans(at >= 0))
        days.append(np.unique(order_days(instants, contract.business_time_zone)))
    return np.unique(np.concatenate(days))


async def _versions_of(
    orders: Catalog, order_ids: pa.Array, columns: Sequence[str]
) -> AsyncIterator[tuple[RowGroup, Positions, pa.Table]]:
    """Row groups that may have some orders: the position among their ids of each row's, or -1,
    and the rows."""
    if len(order_ids) == 0:
        return
    index = KeyIndex(keys_of([pa.chunked_array([order_ids])]))
    for group in await orders.overlapping("order_id", Spans([value_range(order_ids)])):
        table = await group.piece.read([group], columns)
        yield group, index.find(keys_of([table.column("order_id")])), table


async def items_without_order(
    items: Catalog, orders: Catalog, versions: Versions
) -> dict[Piece, int]:
    """How many latest items of each piece have no order yet.

    Args:
        items: The items.
        orders: Where to look for their orders.
        versions: Has judged the items.
    """
    waiting: dict[Piece, int] = defaultdict(int)
    async for batch in _batches(items):
        ids = [await _latest_ids(group, versions) for group in batch]
        kind = arrow_type(items.dataset.columns["order_id"])
        distinct = pc.unique(pa.chunked_array(ids, kind))
        known = np.zeros(len(distinct) + 1, bool)
        async for _, at, _ in _versions_of(orders, distinct, ["order_id"]):
            known[at[at >= 0]] = True
        index = KeyIndex(keys_of([pa.chunked_array([distinct])]))
        for group, of_group in zip(batch, ids, strict=True):
            at = index.find(keys_of([pa.chunked_array([of_group])]))
            waiting[group.piece] += int((~known[at]).sum())
    return waiting


async def days_of_latest_orders(piece: Piece, versions: Versions, contract: Contract) -> Days:
    """Days that the latest orders of a piece, which `versions` has judged, stand on."""
    found = [NO_DAYS]
    for group in await piece.row_groups():
        created = one_array((await _read(group, ["created_at"])).column("created_at"))
        mask = versions.latest(group)
        if mask is not None:
            created = created.filter(booleans(mask))
        found.append(np.unique(order_days(created, contract.business_time_zone)))
    return np.unique(np.concatenate(found))


async def days_of_latest_items(
    piece: Piece, versions: Versions, orders: Catalog, of_orders: Versions, contract: Contract
) -> Days:
    """Days that the orders of the latest items of a piece stand on, all of them judged."""
    found = [NO_DAYS]
    for group in await piece.row_groups():
        ids = pc.unique(await _latest_ids(group, versions))
        async for of_order, at, table in _versions_of(orders, ids, ["order_id", "created_at"]):
            hit, mask = at >= 0, of_orders.latest(of_order)
            if mask is not None:
                hit &= mask
            created = one_array(table.column("created_at")).filter(booleans(hit))
            found.append(np.unique(order_days(created, contract.business_time_zone)))
    return np.unique(np.concatenate(found))


async def _latest_ids(group: RowGroup, versions: Versions) -> pa.Array:
    ids = one_array((await _read(group, ["order_id"])).column("order_id"))
    mask = versions.latest(group)
    return ids if mask is None else ids.filter(booleans(mask))


async def days_of_new_orders(orders: Catalog, new: Catalog, contract: Contract) -> Days:
    """Days that new versions of orders stand on, and those that they leave."""
    found = [NO_DAYS]
    async for batch in _batches(new):
        ids = pa.chunked_array(
            [pc.unique((await _read(group, ["order_id"])).column("order_id")) for group in batch]
        )
        days = await days_of_orders(orders, pc.unique(ids), contract)
        found.append(days)
    return np.unique(np.concatenate(found))


async def days_of_new_items(
    items: Catalog, orders: Catalog, new: Catalog, contract: Contract
) -> Days:
    """Days of the orders whose items arrive, change, or move to another order."""
    key = items.dataset.key
    columns = list(dict.fromkeys((*key, "order_id")))
    elder = items.without(new)
    found = [NO_DAYS]
    async for batch in _batches(new):
        hashes: list[npt.NDArray[np.uint64]] = []
        order_ids: list[pa.Array] = []
        for group in batch:
            table = await _read(group, columns)
            hashes.append(keys_of([table.column(name) for name in key]).high)
            order_ids.append(pc.unique(table.column("order_id")))
        wanted = np.unique(np.concatenate(hashes))
        spans = Spans(span for group in batch for span in group.spans(key[0]))
        for group in await elder.overlapping(key[0], spans):
            table = await _read(group, columns)
            # Half of a hash may be another key's: that only names an order too many.
            hit = np.isin(keys_of([table.column(name) for name in key]).high, wanted)
            if hit.any():
                order_ids.append(pc.unique(table.column("order_id").filter(booleans(hit))))
        days = await days_of_orders(orders, pc.unique(pa.chunked_array(order_ids)), contract)
        found.append(days)
    return np.unique(np.concatenate(found))


async def _batches(catalog: Catalog) -> AsyncIterator[list[RowGroup]]:
    """Its row groups, about `BATCH_ROWS` rows at a time."""
    batch: list[RowGroup] = []
    rows = 0
    for piece in catalog.pieces:
        for group in await piece.row_groups():
            batch.append(group)
            rows += group.rows
            if rows >= BATCH_ROWS:
                yield batch
                batch, rows = [], 0
    if batch:
        yield batch


async def _read(group: RowGroup, columns: Sequence[str]) -> pa.Table:
    return await group.piece.read([group], columns)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array, without copying where it is one already."""
    if column.num_chunks == 0:
        return pa.array([], column.type)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
