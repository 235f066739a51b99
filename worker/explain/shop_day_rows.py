"""Find every row that a day was ever made of, by a contract of language 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import to_date
from kpi.aggregation.shop_columns import texts_of
from kpi.aggregation.shop_versions import key_columns
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import DAY
from worker.explain.day_rows import Tables
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup, batch_row_groups
from worker.transform.current_rows import CurrentDataset, current_datasets
from worker.transform.key_sets import KeySet
from worker.transform.shop.days import day_intervals
from worker.transform.shop.order_ids import find_orders, ids_of
from worker.transform.shop.snapshot import ShopSnapshot

OF_ORDERS = ("orders", "order_items", "refunds")
"""Datasets whose rows name their order."""


@dataclass(frozen=True, kw_only=True)
class ShopDayRows:
    """The orders and refunds that any version puts on a day, and what decides on them.

    Attributes:
        day: Days since 1970-01-01.
        ids: Ids of the orders.
        every_source: Whether any source object may decide on the day.
        snapshot: The clean zone.
        found: Source objects that have rows of the orders.
    """

    snapshot: ShopSnapshot
    day: int
    ids: pa.Array
    every_source: bool
    found: frozenset[str]

    @property
    def keys(self) -> dict[str, tuple[str, ...]]:
        """Dataset -> columns of its key."""
        return {name: one.dataset.key for name, one in self.snapshot.catalogs.items()}

    def sources(self) -> set[str]:
        """Return the source objects that may decide on the day: a superset, never a miss."""
        snapshot, feeds = self.snapshot, self.snapshot.feeds
        if self.every_source:
            return set().union(
                *(one.with_uncounted().source_ids for one in snapshot.catalogs.values())
            )
        found = set(self.found)
        for name, catalog in snapshot.catalogs.items():
            if name not in OF_ORDERS:
                found |= catalog.with_uncounted().source_ids
        # A later file of an entry may replace all earlier ones, whatever their names.
        for name in snapshot.shop.datasets:
            entries, feeding = feeds.entries(name), feeds.feeding(name)
            mine = feeding & feeds.among(found)
            for number, one in enumerate(snapshot.shop.files):
                of_entry = feeding & (entries == number)
                if one.replaces == "all" and (mine & of_entry).any():
                    found |= feeds.source_ids(of_entry)
        return found

    async def latest(self, snapshot: ShopSnapshot) -> Tables:
        """Return the rows of orders, lines and refunds that the day is made of.

        Args:
            snapshot: The clean zone at an earlier sequence of the same period.

        Raises:
            ConfigError, SourceError: As `Catalog.row_groups`.
        """
        tables = {
            one.name: await self._latest_of(one)
            for one in current_datasets(snapshot, 0)
            if one.name in OF_ORDERS and "order_id" in one.columns
        }
        orders, refunds = tables["orders"], tables.get("refunds")
        ids = [ids_of(self._on_day(orders))]
        if refunds is not None and DAY in refunds.column_names:
            ids.append(ids_of(self._on_day(refunds)))
        wanted = pc.unique(pa.chunked_array(ids, pa.string()))
        return {name: self._having(table, wanted) for name, table in tables.items()}

    def _on_day(self, table: pa.Table) -> pa.Table:
        return table.filter(self._is_on_day(table)) if DAY in table.column_names else table

    def _is_on_day(self, table: pa.Table) -> pa.ChunkedArray:
        return pc.fill_null(pc.equal(table.column(DAY), pa.scalar(to_date(self.day))), False)

    def _having(self, table: pa.Table, ids: pa.Array) -> pa.Table:
        """Return the rows of some orders, and those of the day that name none."""
        hit = pc.is_in(texts_of(table, "order_id"), value_set=ids)
        if DAY in table.column_names:
            hit = pc.or_(hit, self._is_on_day(table))
        return table.filter(hit)

    async def _latest_of(self, dataset: CurrentDataset) -> pa.Table:
        """Return the latest rows of the orders in a dataset."""
        live = dataset.live
        wanted = KeySet.of_values(self.ids, live.limits.lookup_points)
        groups = await live.row_groups_holding("order_id", wanted) if len(self.ids) else []
        if DAY in dataset.columns:
            on_day = day_intervals(np.array([self.day], np.int32))
            groups = [*{*groups, *await live.row_groups_intersecting(DAY, on_day)}]
            groups.sort(key=lambda one: (one.file.rank, one.number))
        await dataset.resolve(groups)

        async def read(batch: list[RowGroup]) -> pa.Table:
            table = (await dataset.read(batch)).cast(dataset.schema)
            return self._having(table, self.ids)

        batches = batch_row_groups(groups, live.limits.read_rows)
        tables = await each(batches, read, CONCURRENT_READS)
        return pa.concat_tables([dataset.schema.empty_table(), *tables])


async def read_shop_day(snapshot: ShopSnapshot, day: int) -> ShopDayRows:
    """Find everything that ever decided on a day.

    Args:
        snapshot: The clean zone; its files that do not count are read too.
        day: Days since 1970-01-01.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    shop = snapshot.shop
    refunds = shop.datasets.get("refunds")
    by_item = refunds is not None and "order_id" not in refunds.columns
    ids: list[pa.Array] = []
    for name in ("orders", "refunds"):
        if name in snapshot.catalogs:
            catalog = snapshot.catalogs[name].with_uncounted()
            named = [one for one in ("order_id",) if one in catalog.dataset.columns]
            ids += [ids_of(table) for _, table in await _on_day(catalog, day, named)]
    order_ids = pc.unique(pa.chunked_array(ids, pa.string()))
    found: set[str] = set()
    for name in OF_ORDERS:
        if name in snapshot.catalogs:
            found |= await _sources_of(snapshot, name, order_ids, day)
    return ShopDayRows(
        snapshot=snapshot,
        day=day,
        ids=order_ids,
        # A day that is looked up, or a line that is refunded, is in any file.
        every_source=by_item or bool(shop.datasets["orders"].columns["created_at"].via),
        found=frozenset(found),
    )


async def _on_day(
    catalog: Catalog, day: int, columns: list[str]
) -> list[tuple[list[RowGroup], pa.Table]]:
    """Return some columns of the rows of a day, with the row groups that they are in."""
    if DAY not in catalog.dataset.columns:
        return []
    on_day = day_intervals(np.array([day], np.int32))
    groups = await catalog.row_groups_intersecting(DAY, on_day)

    async def read(batch: list[RowGroup]) -> tuple[list[RowGroup], pa.Table]:
        table = await batch[0].file.read(batch, list(dict.fromkeys([DAY, *columns])))
        return batch, table.filter(pc.equal(table.column(DAY).cast(pa.int64()), day))

    return await each(batch_row_groups(groups, catalog.limits.read_rows), read, CONCURRENT_READS)


async def _sources_of(snapshot: ShopSnapshot, name: str, ids: pa.Array, day: int) -> set[str]:
    """Return the source objects with rows of some orders or a day, or later versions of them."""
    catalog, dataset = snapshot.catalogs[name].with_uncounted(), snapshot.shop.datasets[name]
    moves = dataset.key_by == "columns" and "order_id" not in dataset.key
    key = list(dataset.key) if moves else []
    found: set[str] = set()
    tables: list[pa.Table] = []
    of_rows = await _on_day(catalog, day, key)  # a refund may name no order
    async for batch, at, table in find_orders(catalog, ids, key):
        of_rows.append((batch, table.filter(booleans(at >= 0))))
    for batch, table in of_rows:
        if len(table):
            found.add(batch[0].file.source_id)
            tables += [table.select(key)] if moves else []
    if tables:
        found |= await _sources_with_keys(catalog, pa.concat_tables(tables), key)
    return found


async def _sources_with_keys(catalog: Catalog, keys: pa.Table, key: list[str]) -> set[str]:
    """Return the source objects with rows of some keys: a line may have moved to another order."""
    hashes = np.unique(key_columns(keys, key).high)
    first = pc.unique(texts_of(keys, key[0])).drop_null()
    groups = await catalog.row_groups_holding(
        key[0], KeySet.of_values(first, catalog.limits.lookup_points)
    )
    found: set[str] = set()
    for batch in batch_row_groups(groups, catalog.limits.read_rows):
        table = await batch[0].file.read(batch, key)
        if np.isin(key_columns(table, key).high, hashes).any():
            found.add(batch[0].file.source_id)
    return found
