"""Load the orders and items of a batch of days into a `DaySlice`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, distinct_days, order_days
from kpi.aggregation.day_slice import DaySlice, build_day_slice, is_returned
from kpi.aggregation.item_sums import Measured
from kpi.aggregation.products import Products
from kpi.aggregation.promises import PROMISE, promises
from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS, PRODUCT_KPIS
from kpi.contract.arrow_types import arrow_type
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.keys import keys_of
from kpi.kernels.masks import booleans, without
from worker.clean.value_clusters import value_clusters
from worker.runtime.concurrency import each, in_threads
from worker.runtime.execution import threaded
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.state.entry import Interval
from worker.transform.catalog import Catalog
from worker.transform.changed_days import single_array
from worker.transform.clean_files import CleanFile, RowGroup, batch_row_groups
from worker.transform.day_batches import DayBatches
from worker.transform.day_ranges import instants
from worker.transform.few_rows import in_thread
from worker.transform.intervals import value_interval
from worker.transform.kept_sums import KeptSums
from worker.transform.key_sets import KeySet
from worker.transform.latest_versions import LatestVersions
from worker.transform.order_columns import OrderBuffer, OrderColumns
from worker.transform.snapshot import Snapshot

ORDER_COLUMNS = ("order_id", "user_id", "created_at", "status", PROMISE)
"""Columns of orders that KPIs are made of."""


@dataclass
class Observed:
    """What loading has seen of the clean files; the effects of source objects are made of it.

    Attributes:
        new: Source objects whose days are recorded.
        matched: Latest items of a file whose order is there.
        days: Days that latest rows of a file count on.
        order_days: Days that any version of an order is on.
    """

    new: Container[str] = frozenset()
    matched: dict[CleanFile, int] = field(default_factory=lambda: defaultdict(int))
    days: dict[CleanFile, set[int]] = field(default_factory=lambda: defaultdict(set))
    order_days: set[int] = field(default_factory=set)

    def add_days(self, file: CleanFile, days: Days) -> None:
        """Record days that latest rows of a file count on."""
        if file.source_id in self.new:
            self.days[file].update(days.tolist())


@dataclass(frozen=True, kw_only=True)
class LoadContext:
    """What every batch of days is loaded from.

    Attributes:
        snapshot: The clean zone.
        products: Latest version of every product.
        order_versions: Latest orders; resolved for each batch.
        item_versions: Latest items; resolved for each batch.
        tables: KPI tables wanted.
        observed: Collects what loading sees.
        plan: All batches.
        kept: Collects sums of days with many orders.
    """

    snapshot: Snapshot
    products: Products
    order_versions: LatestVersions
    item_versions: LatestVersions
    tables: frozenset[str]
    observed: Observed
    plan: DayBatches
    kept: KeptSums = field(default_factory=KeptSums)


async def latest_products(catalog: Catalog) -> tuple[pa.Array, pa.Array]:
    """Return ids and categories of the latest version of each product.

    All products are held in memory, at about 40 bytes each.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    column = catalog.dataset.columns["id"]
    has_category = "category" in catalog.dataset.columns
    versions = LatestVersions(catalog)
    groups = await catalog.row_groups()
    await versions.resolve(groups)
    ids: list[pa.Array] = [pa.array([], arrow_type(column))]
    categories: list[pa.Array] = [pa.array([], pa.string())]
    for group in groups:
        table = await group.file.read([group], ["id", "category"] if has_category else ["id"])
        mask = versions.mask(group)
        if mask is not None:
            table = table.filter(booleans(mask))
        ids.append(single_array(table.column("id")))
        texts = (
            single_array(table.column("category")).cast(pa.string())
            if has_category
            else pa.nulls(table.num_rows, pa.string())
        )
        categories.append(texts)
    return pa.concat_arrays(ids), pa.concat_arrays(categories)


async def load_days(days: Days, context: LoadContext) -> DaySlice:
    """Load some days with their orders and items.

    Args:
        days: Days since 1970-01-01, ascending.
        context: What they are loaded from.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
        KpiError: An amount exceeds 64 bits.
    """
    orders, order_ids = await _OrderReader(days, context).read()
    context.kept.add_customers(orders.days, orders.users)
    groups = await context.snapshot.items.row_groups_holding("order_id", order_ids)
    building = asyncio.to_thread(
        build_day_slice,
        contract=context.snapshot.contract,
        products=context.products,
        orders=orders.orders,
        days=orders.days,
        users=orders.users,
        returned=orders.returned,
        promised=orders.promised,
        with_products=PRODUCT_KPIS.name in context.tables,
        execution=threaded(),
    )
    del orders  # 16 bytes a key; the slice keeps the order keys until it is closed
    day_slice, _ = await asyncio.gather(building, context.item_versions.resolve(groups))
    del building
    await _ItemReader(day_slice, context).read(groups)
    day_slice.close()
    return day_slice


def kpi_tables(day_slice: DaySlice, tables: frozenset[str]) -> dict[str, pa.Table]:
    """Compute KPI tables: name -> its rows for the days of a slice."""
    compute = {
        ORDER_KPIS.name: day_slice.order_kpis,
        CATEGORY_KPIS.name: day_slice.category_kpis,
        PRODUCT_KPIS.name: day_slice.product_kpis,
    }
    names = sorted(tables)
    return dict(zip(names, in_threads(lambda name: compute[name](), names), strict=True))


@dataclass(frozen=True, kw_only=True)
class _OrderSelection:
    """What one read of orders gives.

    Attributes:
        latest: Latest orders of the wanted days.
        ids: Their ids.
        id_intervals: Intervals that hold all of their ids.
        order_days: Wanted days that any version of an order is on.
    """

    latest: OrderColumns
    ids: pa.ChunkedArray
    id_intervals: list[Interval]
    order_days: Days


class _OrderReader:
    """Reads the latest orders of some days."""

    def __init__(self, days: Days, context: LoadContext) -> None:
        self._days = days
        self._context = context
        self._known = context.snapshot.orders.dataset.columns
        self._columns = [name for name in ORDER_COLUMNS if name in self._known]
        self._first, self._last = int(days[0]), int(days[-1])
        self._is_wanted = np.zeros(self._last - self._first + 1, bool)
        self._is_wanted[days - self._first] = True
        self._customers_of = context.kept.customers_of

    async def read(self) -> tuple[OrderColumns, KeySet]:
        """Return the orders, and their ids."""
        catalog, versions = self._context.snapshot.orders, self._context.order_versions
        observed = self._context.observed
        on_days = instants(self._days, self._context.snapshot.contract.business_time_zone)
        groups = await catalog.row_groups_intersecting("created_at", on_days)
        await versions.resolve(groups)
        self._context.kept.see(groups)
        self._customers_of = self._context.kept.customers_of_rows(sum(one.rows for one in groups))
        schema = {name: pa.array([], arrow_type(self._known[name])) for name in self._columns}
        empty = self._select(pa.table(schema), None)
        buffer = OrderBuffer(empty.latest, sum(group.rows for group in groups))
        id_intervals: list[Interval] = []
        limit = catalog.limits.lookup_points
        few = self._context.snapshot.items.has_index and sum(one.rows for one in groups) <= limit
        ids: list[pa.ChunkedArray] = []

        def gather(table: pa.Table, mask: Mask | None) -> tuple[Days, Days]:
            selection = self._select(table, mask)
            buffer.append(selection.latest)
            id_intervals.extend(selection.id_intervals)
            if few:
                ids.append(selection.ids)
            return distinct_days(selection.latest.days), selection.order_days

        async def read_batch(batch: list[RowGroup]) -> None:
            file = batch[0].file
            table = await file.read(batch, self._columns)
            mask = _mask(batch, versions)
            days, order_days = await in_thread(table.num_rows, lambda: gather(table, mask))
            observed.add_days(file, days)
            observed.order_days.update(order_days.tolist())

        batches = batch_row_groups(groups, catalog.limits.read_rows)
        await each(batches, read_batch, CONCURRENT_READS)
        return buffer.columns(), KeySet.of_chunks(ids, id_intervals, limit)

    def _select(self, table: pa.Table, mask: Mask | None) -> _OrderSelection:
        contract = self._context.snapshot.contract
        days = order_days(single_array(table.column("created_at")), contract.business_time_zone)
        wanted = (days >= self._first) & (days <= self._last)
        wanted[wanted] = self._is_wanted[days[wanted] - self._first]
        of_any_version = distinct_days(days[wanted])
        if mask is not None:
            wanted &= mask
        if not wanted.all():
            table, days = without(table, np.flatnonzero(~wanted)), days[wanted]
        returned = np.zeros(len(days), bool)
        if "status" in self._columns:
            returned = is_returned(single_array(table.column("status")), contract)
        ids = table.column("order_id")
        return _OrderSelection(
            latest=OrderColumns(
                orders=keys_of([ids]),
                users=self._customers_of(table.column("user_id")),
                days=days,
                returned=returned,
                promised=promises(table),
            ),
            ids=ids,
            id_intervals=_id_intervals(ids),
            order_days=of_any_version,
        )


class _ItemReader:
    """Reads items, and adds up those of the orders of a slice."""

    def __init__(self, day_slice: DaySlice, context: LoadContext) -> None:
        self._slice = day_slice
        self._context = context
        known = context.snapshot.items.dataset.columns
        columns = ("product_id", "sale_price", "status", "quantity")
        self._columns = [name for name in columns if name in known]
        # Where each batch of days meets every row group, most have no order of this one: their
        # other columns are not read.
        self._ids_first = context.plan.scattered and len(context.plan.batches) > 1

    async def read(self, groups: list[RowGroup]) -> None:
        """Read some resolved row groups."""
        batches = batch_row_groups(groups, self._context.snapshot.items.limits.read_rows)
        await each(batches, self._read_batch, CONCURRENT_READS)

    async def _read_batch(self, batch: list[RowGroup]) -> None:
        file, positions = batch[0].file, None
        if self._ids_first:
            ids = await file.read(batch, ["order_id"])
            positions = await in_thread(ids.num_rows, lambda: self._find(ids))
            if not (positions >= 0).any():
                return
        wanted = self._columns if self._ids_first else ["order_id", *self._columns]
        table = await file.read(batch, wanted)
        mask = _mask(batch, self._context.item_versions)
        measured = await in_thread(table.num_rows, lambda: self._add_up(table, positions, mask))
        self._slice.add(measured)
        observed = self._context.observed
        observed.matched[file] += measured.matched
        observed.add_days(file, measured.days)

    def _find(self, table: pa.Table) -> Positions:
        return self._slice.find(keys_of([table.column("order_id")]))

    def _add_up(self, table: pa.Table, positions: Positions | None, mask: Mask | None) -> Measured:
        if positions is None:
            positions = self._find(table)
        if mask is not None:
            positions[~mask] = -1
        arrays = [single_array(table.column(name)) for name in self._columns]
        rows = pa.RecordBatch.from_arrays(arrays, names=self._columns)
        return self._slice.measure(rows, positions)


def _id_intervals(ids: pa.ChunkedArray) -> list[Interval]:
    if pa.types.is_integer(ids.type):
        return [Interval(low=one.low, high=one.high) for one in value_clusters(ids.to_numpy())]
    return [value_interval(ids)] if len(ids) else []


def _mask(batch: list[RowGroup], versions: LatestVersions) -> Mask | None:
    """Return which rows of a batch are the latest; None where all are."""
    masks = [versions.mask(group) for group in batch]
    if all(mask is None for mask in masks):
        return None
    return np.concatenate(
        [
            np.ones(group.rows, bool) if mask is None else mask
            for group, mask in zip(batch, masks, strict=True)
        ]
    )
