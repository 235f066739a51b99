"""Load batches of days of a shop: their orders, refunds and order lines."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import Days, distinct_days
from kpi.aggregation.shop_columns import texts_of
from kpi.aggregation.shop_lines import LineColumns
from kpi.aggregation.shop_lookups import LookupTables
from kpi.aggregation.shop_orders import (
    Orders,
    concat_orders,
    created_days,
    orders_of,
    waits,
    without_waiting,
)
from kpi.aggregation.shop_slice import ShopSlice
from kpi.aggregation.shop_versions import key_columns
from kpi.aggregation.tables import CATEGORY_KPIS, PRODUCT_KPIS
from kpi.contract.shop import Shop, ShopDataset
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import text_keys
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import DAY, clean_schema
from worker.runtime.concurrency import each
from worker.runtime.execution import threaded
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.transform.clean_files import CleanFile, RowGroup, batch_row_groups
from worker.transform.few_rows import in_thread
from worker.transform.kept_sums import KeptSums
from worker.transform.key_sets import KeySet
from worker.transform.shop.columns import line_columns, order_columns
from worker.transform.shop.days import day_intervals
from worker.transform.shop.id_bounds import IdBounds, id_bounds, union_of
from worker.transform.shop.references import Cells, References
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.shop.versions import ShopVersions, deleted_rows, row_mask


@dataclass
class Seen:
    """What loading has seen of the clean files.

    Attributes:
        joined: Latest rows of a file of order lines whose order is there.
        order_days: Days that any version of an order, or of a refund, is on.
        provisional: Days of which something has not come or was not said.
        ids_first: Whether ids of lines are read first, as most lines are of other batches.
    """

    joined: dict[CleanFile, int] = field(default_factory=lambda: defaultdict(int))
    order_days: set[int] = field(default_factory=set)
    provisional: set[int] = field(default_factory=set)
    ids_first: bool = False


@dataclass(frozen=True, kw_only=True)
class ShopContext:
    """What every batch of days is loaded from.

    Attributes:
        snapshot: The clean zone.
        versions: Latest rows of orders, order lines and refunds; resolved for each batch.
        references: Rows that look-ups read.
        tables: KPI tables wanted.
        seen: Collects what loading sees.
        kept: Collects sums of days with many orders.
    """

    snapshot: ShopSnapshot
    versions: Mapping[str, ShopVersions]
    references: References
    tables: frozenset[str]
    seen: Seen = field(default_factory=Seen)
    kept: KeptSums = field(default_factory=lambda: KeptSums(customers_of=text_keys))


Wanted = Callable[[pa.Table], Mask]
"""Selects rows."""


async def load_days(days: Days, context: ShopContext) -> ShopSlice:
    """Load some days with their orders, refunds and lines.

    Args:
        days: Days since 1970-01-01, ascending.
        context: What they are loaded from.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
        KpiError: An amount exceeds 64 bits.
    """
    return await _Loading(days, context).run()


def line_columns_of(shop: Shop, tables: frozenset[str]) -> LineColumns:
    """Find the columns of lines that some KPI tables need."""
    return LineColumns.of(
        shop,
        with_categories=CATEGORY_KPIS.name in tables,
        with_products=PRODUCT_KPIS.name in tables,
    )


class _Loading:
    """One batch of days."""

    def __init__(self, days: Days, context: ShopContext) -> None:
        self._days = days
        self._context = context
        self._shop = context.snapshot.shop
        self._keeps_ids = False
        self._needed = line_columns_of(self._shop, context.tables)

    async def run(self) -> ShopSlice:
        orders, intervals = await self._orders_of_days()
        refunds = await self._refund_rows(orders, intervals)
        extra, more = await self._orders_of_refunds(orders, refunds)
        shown = np.arange(len(orders) + len(extra)) < len(orders)
        every = concat_orders([orders, extra]) if len(extra) else orders
        del orders, extra  # 16 bytes a key
        day_slice = await asyncio.to_thread(
            ShopSlice, self._shop, every, shown, self._needed, threading.Lock(), threaded()
        )
        groups = await self._line_groups([*intervals, *more])
        cells = await self._cells(day_slice, refunds, groups)
        day_slice.use(await self._context.references.tables(cells))
        if refunds is not None:
            await asyncio.to_thread(day_slice.add_refunds, refunds)
        await _LineReader(day_slice, self._context, self._needed).read(groups)
        day_slice.close()
        return day_slice

    async def _orders_of_days(self) -> tuple[Orders, list[IdBounds]]:
        """Read the latest orders of the days, and return intervals that hold their ids."""
        catalog = self._context.snapshot.live("orders")
        groups = await catalog.row_groups_intersecting(DAY, day_intervals(self._days))
        self._context.kept.see(groups)
        seen = self._context.seen.order_days

        def of_days(table: pa.Table) -> Mask:
            days, unknown = created_days(self._shop, table)
            wanted: Mask = np.isin(days, self._days) & ~unknown
            seen.update(distinct_days(days[wanted]).tolist())
            return wanted

        return await self._select_orders(groups, of_days)

    async def _orders_of_refunds(
        self, orders: Orders, refunds: pa.Table | None
    ) -> tuple[Orders, list[IdBounds]]:
        """Read the orders of other days that refunds of the days name.

        Whether such a refund counts depends on its order, and that on its lines.
        """
        ids = pa.array([], pa.string())
        if refunds is not None and "order_id" in refunds.schema.names:
            ids = pc.unique(refunds.column("order_id")).drop_null()
            table = pa.table({"order_id": ids})
            known = KeyIndex(orders.keys).find(key_columns(table, ["order_id"])) >= 0
            ids = ids.filter(booleans(~known))
        if not len(ids):
            return await self._select_orders([], _every)
        index = KeyIndex(key_columns(pa.table({"order_id": ids}), ["order_id"]))
        catalog = self._context.snapshot.live("orders")
        wanted = KeySet.of_values(ids, catalog.limits.lookup_points)
        groups = await catalog.row_groups_holding("order_id", wanted)
        return await self._select_orders(
            groups, lambda table: index.find(key_columns(table, ["order_id"])) >= 0
        )

    async def _select_orders(
        self, groups: Sequence[RowGroup], wanted: Wanted
    ) -> tuple[Orders, list[IdBounds]]:
        """Read the latest orders of some row groups that are wanted."""
        references, dataset = self._context.references, self._shop.datasets["orders"]
        orders = self._context.snapshot.catalogs["orders"]
        few = sum(group.rows for group in groups) <= orders.limits.lookup_points
        self._keeps_ids = few and orders.has_index
        versions, columns = self._context.versions["orders"], order_columns(self._shop)
        large = references.large_columns("orders")
        # Where the day itself is looked up, the rows are selected afterwards.
        before, after = (wanted, _every) if DAY in columns else (_every, wanted)
        empty = clean_schema(dataset).empty_table().select(columns)
        if large:
            found = await _map(
                groups,
                columns,
                versions,
                self._context,
                lambda table, mask: _latest(dataset, table, mask, before),
            )
            table = pa.concat_tables([empty, *(one.cast(empty.schema) for one in found)])
            cells = Cells()
            for column in large:
                cells.add(("orders", column.name), texts_of(table, column.name))
            return self._compact(table, await references.tables(cells), after)
        tables = await references.tables()
        parts = await _map(
            groups,
            columns,
            versions,
            self._context,
            lambda table, mask: self._compact(_latest(dataset, table, mask, before), tables, after),
        )
        parts.append(self._compact(empty, tables, _every))
        return concat_orders([one for one, _ in parts]), [one for _, some in parts for one in some]

    def _compact(
        self, table: pa.Table, tables: LookupTables, wanted: Wanted
    ) -> tuple[Orders, list[IdBounds]]:
        """Look up what orders name, leave out those that wait, and make compact columns."""
        dataset = self._shop.datasets["orders"]
        days = None if dataset.columns["created_at"].via else created_days(self._shop, table)[0]
        table, missing = tables.resolve(dataset, table, days)
        waiting = waits(self._shop, "orders", missing, table.num_rows) | ~wanted(table)
        table, missing = without_waiting(table, missing, waiting)
        orders, ids = (
            orders_of(self._shop, table, missing, self._context.kept.customers_of),
            table.column("order_id"),
        )
        bounds = id_bounds(ids, orders.keys, keep=self._keeps_ids) if len(ids) else None
        return orders, [] if bounds is None else [bounds]

    # ---- refunds

    async def _refund_rows(self, orders: Orders, ids: list[IdBounds]) -> pa.Table | None:
        """Read the latest refund rows of the days, and those that name orders of them."""
        dataset = self._shop.datasets.get("refunds")
        if dataset is None:
            return None
        index = KeyIndex(orders.keys)
        schema = clean_schema(dataset)
        seen = self._context.seen.order_days
        # Without orders they may return lines of any day.
        every = "order_id" not in schema.names and "item" in schema.names

        def concern(table: pa.Table) -> Mask:
            wanted = np.full(table.num_rows, every)
            if DAY in table.schema.names:
                days, unknown = created_days(self._shop, table)
                own = np.isin(days, self._days) & ~unknown
                seen.update(distinct_days(days[own]).tolist())
                wanted |= own
            if "order_id" in table.schema.names:
                wanted |= index.find(key_columns(table, ["order_id"])) >= 0
            return wanted

        parts = await _map(
            await self._refund_groups(ids, every=every),
            schema.names,
            self._context.versions["refunds"],
            self._context,
            lambda table, mask: _latest(dataset, table, mask, concern),
        )
        tables = [part.cast(schema) for part in parts]
        return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()

    async def _refund_groups(self, ids: list[IdBounds], *, every: bool) -> list[RowGroup]:
        """Return the row groups of refunds that may concern the days, or their orders."""
        catalog = self._context.snapshot.live("refunds")
        if every:
            return await catalog.row_groups()
        found: set[RowGroup] = set()
        if DAY in catalog.dataset.columns:
            days = day_intervals(self._days)
            found.update(await catalog.row_groups_intersecting(DAY, days))
        if "order_id" in catalog.dataset.columns and ids:
            wanted = union_of(ids, catalog.limits.lookup_points)
            found.update(await catalog.row_groups_holding("order_id", wanted))
        return sorted(found, key=lambda group: (group.file.rank, group.number))

    # ---- lines

    async def _line_groups(self, ids: list[IdBounds]) -> list[RowGroup]:
        """Return the row groups of lines that may have one of an order, resolved."""
        if "order_items" not in self._shop.datasets or not ids:
            return []
        catalog = self._context.snapshot.live("order_items")
        wanted = union_of(ids, catalog.limits.lookup_points)
        groups = await catalog.row_groups_holding("order_id", wanted)
        await self._context.versions["order_items"].resolve(groups)
        return groups

    async def _cells(
        self, day_slice: ShopSlice, refunds: pa.Table | None, groups: Sequence[RowGroup]
    ) -> Cells:
        """Gather the cells of refunds and lines that large references are asked for."""
        references, cells = self._context.references, Cells()
        if refunds is not None:
            for column in references.large_columns("refunds"):
                cells.add(("refunds", column.name), texts_of(refunds, column.name))
        large = references.large_columns("order_items") if groups else []
        if not large:
            return cells
        names = [column.name for column in large]

        def of_slice(table: pa.Table, _: Mask | None) -> list[pa.Array]:
            table = table.filter(booleans(day_slice.find(table) >= 0))
            return [pc.unique(texts_of(table, name)) for name in names]

        versions = self._context.versions["order_items"]
        wanted = list(dict.fromkeys(["order_id", *names]))
        for some in await _map(groups, wanted, versions, self._context, of_slice):
            for name, texts in zip(names, some, strict=True):
                cells.add(("order_items", name), texts)
        return cells


class _LineReader:
    """Reads order lines, and adds those of the orders of a slice."""

    def __init__(self, day_slice: ShopSlice, context: ShopContext, needed: LineColumns) -> None:
        self._slice = day_slice
        self._context = context
        shop = context.snapshot.shop
        self._columns = line_columns(shop, needed) if "order_items" in shop.datasets else []

    async def read(self, groups: Sequence[RowGroup]) -> None:
        """Read some resolved row groups."""
        batches = batch_row_groups(groups, self._context.snapshot.limits.read_rows)
        await each(batches, self._read_batch, CONCURRENT_READS)

    async def _read_batch(self, batch: list[RowGroup]) -> None:
        file, at, ids = batch[0].file, None, None
        columns = self._columns
        if self._context.seen.ids_first:
            ids = found = await file.read(batch, ["order_id"])
            at = await in_thread(ids.num_rows, lambda: self._slice.find(found))
            if not (at >= 0).any():
                return
            columns = [name for name in columns if name != "order_id"] or ["order_id"]
        table = await file.read(batch, columns)
        if ids is not None and columns != ["order_id"]:
            table = table.append_column("order_id", ids.column("order_id"))
        mask = row_mask(batch, self._context.versions["order_items"])
        joined = await in_thread(table.num_rows, lambda: self._measure(table, at, mask))
        self._context.seen.joined[file] += joined

    def _measure(self, table: pa.Table, at: Positions | None, mask: Mask | None) -> int:
        if at is None:
            at = self._slice.find(table)
        if mask is not None:
            at[~mask] = -1
        joined = self._slice.count_shown(at)
        dataset = self._context.snapshot.shop.datasets["order_items"]
        if dataset.deleted:
            at[deleted_rows(dataset, table)] = -1
        lines = self._slice.measure(table, at)
        if lines is None:
            return joined
        self._slice.add(lines.columns)
        return joined - lines.waiting


T = TypeVar("T")


async def _map(
    groups: Sequence[RowGroup],
    columns: Sequence[str],
    versions: ShopVersions,
    context: ShopContext,
    work: Callable[[pa.Table, Mask | None], T],
) -> list[T]:
    """Resolve row groups and apply `work` to their rows, in order, in threads."""
    await versions.resolve(groups)

    async def read(batch: list[RowGroup]) -> T:
        table = await batch[0].file.read(batch, columns)
        return await in_thread(table.num_rows, lambda: work(table, row_mask(batch, versions)))

    batches = batch_row_groups(groups, context.snapshot.limits.read_rows)
    return await each(batches, read, CONCURRENT_READS)


def _every(table: pa.Table) -> Mask:
    return np.ones(table.num_rows, bool)


def _latest(dataset: ShopDataset, table: pa.Table, mask: Mask | None, wanted: Wanted) -> pa.Table:
    """Select the latest rows that are wanted and do not say that their key is gone."""
    keep = wanted(table)
    if mask is not None:
        keep = keep & mask
    if dataset.deleted:
        keep = keep & ~deleted_rows(dataset, table)
    return table if keep.all() else table.filter(booleans(keep))
