"""Reading what a slice of days needs, and handing it to `kpi.aggregation.day_slice`."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, distinct_days, order_days
from kpi.aggregation.day_slice import (
    DaySlice,
    Measured,
    Products,
    build_day_slice,
    is_returned,
)
from kpi.aggregation.tables import PRODUCT_KPIS
from kpi.contract.arrow_types import arrow_type
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.keys import Keys, keys_of
from kpi.kernels.masks import booleans, without
from worker.clean.value_clusters import value_clusters
from worker.runtime.concurrency import each, in_threads
from worker.runtime.execution import threaded
from worker.state.entry import Range
from worker.transform.catalog import READS_AT_ONCE, Catalog
from worker.transform.changed_days import one_array
from worker.transform.clean_files import ROWS_AT_ONCE, Piece, RowGroup, neighbours
from worker.transform.day_batches import Cut
from worker.transform.day_ranges import instants
from worker.transform.intervals import Spans, value_range
from worker.transform.latest_versions import Versions
from worker.transform.snapshot import Zone


@dataclass
class Seen:
    """What transforming has seen of each piece.

    Attributes:
        new: Source objects whose days are asked for.
        matched: Latest rows of items whose order was there.
        days: Days that latest rows of a piece of those count on.
        stood: Days that any version of an order stands on.
    """

    new: Container[str] = frozenset()
    matched: dict[Piece, int] = field(default_factory=lambda: defaultdict(int))
    days: dict[Piece, set[int]] = field(default_factory=lambda: defaultdict(set))
    stood: set[int] = field(default_factory=set)

    def count_on(self, piece: Piece, days: Days) -> None:
        """Latest rows of a piece count on these days."""
        if piece.source_id in self.new:
            self.days[piece].update(days.tolist())


async def latest_products(catalog: Catalog) -> tuple[pa.Array, pa.Array]:
    """Ids and categories of the latest version of each product.

    Errors: as `Piece.row_groups`. All products are held in memory, about 40 bytes each.
    """
    column = catalog.dataset.columns["id"]
    has_category = "category" in catalog.dataset.columns
    versions = Versions(catalog)
    groups = await catalog.row_groups()
    await versions.judge(groups)
    ids: list[pa.Array] = [pa.array([], arrow_type(column))]
    categories: list[pa.Array] = [pa.array([], pa.string())]
    for group in groups:
        table = await group.piece.read([group], ["id", "category"] if has_category else ["id"])
        mask = versions.latest(group)
        if mask is not None:
            table = table.filter(booleans(mask))
        ids.append(one_array(table.column("id")))
        texts = (
            one_array(table.column("category")).cast(pa.string())
            if has_category
            else pa.nulls(table.num_rows, pa.string())
        )
        categories.append(texts)
    return pa.concat_arrays(ids), pa.concat_arrays(categories)


async def load(
    days: Days,
    zone: Zone,
    products: Products,
    order_versions: Versions,
    item_versions: Versions,
    tables: frozenset[str],
    seen: Seen,
    cut: Cut,
) -> DaySlice:
    """Some days with their orders and items.

    Args:
        days: Ascending, days since 1970-01-01.
        zone: The state of the ledger.
        products: The latest version of every product.
        order_versions: Judges which orders are the latest.
        item_versions: Judges which items are.
        tables: KPI tables wanted.
        seen: Is told what was seen.
        cut: What it is a slice of.

    Errors: as `Piece.row_groups`.
    """
    orders, users, of_order, returned, spans = await _orders(days, zone, order_versions, seen)
    groups = await zone.items.overlapping("order_id", Spans(spans))
    building = asyncio.to_thread(
        build_day_slice,
        contract=zone.contract,
        products=products,
        orders=orders,
        days=of_order,
        users=users,
        returned=returned,
        with_products=PRODUCT_KPIS.name in tables,
        execution=threaded(),
    )
    del orders, users  # 16 bytes each, of which the slice keeps the first until it is closed
    day_slice, _ = await asyncio.gather(building, item_versions.judge(groups))
    del building
    ids_first = cut.scattered and len(cut.slices) > 1
    await _measure(groups, zone, item_versions, day_slice, seen, ids_first=ids_first)
    day_slice.close()
    return day_slice


def kpis(day_slice: DaySlice, tables: frozenset[str]) -> dict[str, pa.Table]:
    """KPI table name -> its rows for the days of a slice."""
    made = {"order_kpis": day_slice.order_kpis, "category_kpis": day_slice.category_kpis}
    made["product_kpis"] = day_slice.product_kpis
    names = sorted(tables)
    return dict(zip(names, in_threads(lambda name: made[name](), names), strict=True))


async def _orders(
    days: Days, zone: Zone, versions: Versions, seen: Seen
) -> tuple[Keys, Keys, Days, Mask, list[Range]]:
    """Latest orders of some days: their keys, customers, days, whether they were returned, and
    spans that hold all of their ids."""
    contract = zone.contract
    groups = await zone.orders.overlapping("created_at", instants(days))
    await versions.judge(groups)
    kinds = zone.orders.dataset.columns
    columns = [name for name in ("order_id", "user_id", "created_at", "status") if name in kinds]
    first, last = int(days[0]), int(days[-1])
    wanted = np.zeros(last - first + 1, bool)
    wanted[days - first] = True

    def choose(
        table: pa.Table, mask: Mask | None
    ) -> tuple[Keys, Keys, Days, Mask, list[Range], Days]:
        of_row = order_days(one_array(table.column("created_at")), contract.business_time_zone)
        inside = (of_row >= first) & (of_row <= last)
        inside[inside] = wanted[of_row[inside] - first]
        stood = distinct_days(of_row[inside])
        if mask is not None:
            inside &= mask
        if not inside.all():
            table, of_row = without(table, np.flatnonzero(~inside)), of_row[inside]
        returned = np.zeros(len(of_row), bool)
        if "status" in columns:
            returned = is_returned(one_array(table.column("status")), contract)
        ids = table.column("order_id")
        spans = _spans(ids)
        return keys_of([ids]), keys_of([table.column("user_id")]), of_row, returned, spans, stood

    gathered = _Gathered(sum(group.rows for group in groups))
    every_span: list[Range] = []

    def gather(table: pa.Table, mask: Mask | None) -> tuple[Days, Days]:
        orders, users, of_row, returned, spans, stood = choose(table, mask)
        gathered.add(orders.high, orders.low, users.high, users.low, of_row, returned)
        every_span.extend(spans)
        return distinct_days(of_row), stood

    async def one(batch: list[RowGroup]) -> None:
        piece = batch[0].piece
        table = await piece.read(batch, columns)
        on, stood = await asyncio.to_thread(gather, table, _latest(batch, versions))
        seen.count_on(piece, on)
        seen.stood.update(stood.tolist())

    gather(pa.table({name: pa.array([], arrow_type(kinds[name])) for name in columns}), None)
    await each(neighbours(groups, ROWS_AT_ONCE), one, READS_AT_ONCE)
    order, order_low, user, user_low, of_order, returned = gathered.columns()
    return Keys(order, order_low), Keys(user, user_low), of_order, returned, every_span


class _Gathered:
    """Columns that several threads fill, in any order of their parts.

    Args:
        most: Rows at most; those that are never filled take no memory.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._columns: list[Any] = []
        self._rows = 0
        self._lock = threading.Lock()

    def add(self, *parts: Any) -> None:  # noqa: ANN401  (arrays of any type)
        """Rows more; None for a column that there is not."""
        rows = len(parts[0])
        with self._lock:
            if not self._columns:
                self._columns = [
                    None if part is None else np.empty(self._most, part.dtype) for part in parts
                ]
            start, self._rows = self._rows, self._rows + rows
        for column, part in zip(self._columns, parts, strict=True):
            if part is not None:
                column[start : start + rows] = part

    def columns(self) -> list[Any]:
        """What was added."""
        return [None if column is None else column[: self._rows] for column in self._columns]


async def _measure(
    groups: list[RowGroup],
    zone: Zone,
    versions: Versions,
    day_slice: DaySlice,
    seen: Seen,
    *,
    ids_first: bool,
) -> None:
    """Add up the latest items, some row groups at a time.

    Args:
        ids_first: Read their other columns only where an order of theirs is in the slice: most row
            groups are of other slices.
    """
    known = zone.items.dataset.columns
    columns = [name for name in ("product_id", "sale_price", "status", "quantity") if name in known]

    def find(table: pa.Table) -> Positions:
        return day_slice.find(keys_of([table.column("order_id")]))

    async def one(batch: list[RowGroup]) -> None:
        piece, found = batch[0].piece, None
        if ids_first:
            found = await asyncio.to_thread(find, await piece.read(batch, ["order_id"]))
            if not (found >= 0).any():
                return
        table = await piece.read(batch, columns if ids_first else ["order_id", *columns])

        def add_up() -> Measured:
            position = find(table) if found is None else found
            mask = _latest(batch, versions)
            if mask is not None:
                position[~mask] = -1
            arrays = [one_array(table.column(name)) for name in columns]
            return day_slice.measure(pa.RecordBatch.from_arrays(arrays, names=columns), position)

        measured = await asyncio.to_thread(add_up)
        day_slice.add(measured.totals)
        seen.matched[piece] += measured.matched
        seen.count_on(piece, measured.days)

    await each(neighbours(groups, ROWS_AT_ONCE), one, READS_AT_ONCE)


def _spans(ids: pa.ChunkedArray) -> list[Range]:
    if pa.types.is_integer(ids.type):
        return [Range(low=one.low, high=one.high) for one in value_clusters(ids.to_numpy())]
    return [value_range(ids)] if len(ids) else []


def _latest(batch: list[RowGroup], versions: Versions) -> Mask | None:
    masks = [versions.latest(group) for group in batch]
    if all(mask is None for mask in masks):
        return None
    return np.concatenate(
        [
            np.ones(group.rows, bool) if mask is None else mask
            for group, mask in zip(batch, masks, strict=True)
        ]
    )
