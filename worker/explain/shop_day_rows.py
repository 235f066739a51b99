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
from worker.transform.shop.order_ids import NO_IDS, find_orders, ids_of
from worker.transform.shop.snapshot import ShopSnapshot

OF_ORDERS = ("orders", "order_items", "refunds")
"""Datasets whose rows name their order."""

PRODUCT = "product_id"
"""Column of lines whose products have categories."""


@dataclass(frozen=True, kw_only=True)
class ShopDayRows:
    """The orders and refunds that any version puts on a day, and what decides on them.

    Attributes:
        day: Days since 1970-01-01.
        ids: Ids of the orders.
        every_source: Whether any source object may decide on the day.
        product_ids: Ids of the products of any version of their lines; None where a column is
            looked up, so that any row of a reference may decide.
        snapshot: The clean zone.
        found: Source objects that have rows of the orders.
        of_orders: Those of them that have the orders themselves, or refunds.
    """

    snapshot: ShopSnapshot
    day: int
    ids: pa.Array
    every_source: bool
    product_ids: pa.Array | None
    found: frozenset[str]
    of_orders: frozenset[str]

    @property
    def first_sources(self) -> frozenset[str] | None:
        """Source objects before the first of which the day has no KPI row; None where unknown."""
        return None if self.every_source else self.of_orders

    @property
    def decide_alone(self) -> bool:
        """Whether the KPIs of the day are a function of `latest`."""
        return self.product_ids is not None and not self.every_source

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
            if name not in OF_ORDERS and self.product_ids is None:
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
        datasets = {one.name: one for one in current_datasets(snapshot, snapshot.history.head)}
        named = {
            name: one
            for name, one in datasets.items()
            if name in OF_ORDERS and "order_id" in one.columns
        }
        tables = {name: one.schema.empty_table() for name, one in named.items()}
        ids = [NO_IDS]
        for name in ("orders", "refunds"):
            if name in named:
                tables[name] = self._having(await self._latest_of(named[name]), self.ids)
                if name == "orders" or DAY in tables[name].column_names:
                    ids.append(ids_of(self._on_day(tables[name])))
        wanted = pc.unique(pa.chunked_array(ids, pa.string()))
        if "order_items" in named and len(wanted):  # most catalogues come before the orders
            tables["order_items"] = await self._latest_of(named["order_items"])
        found = {name: self._having(table, wanted) for name, table in tables.items()}
        lines = found.get("order_items")
        looked_up = self.product_ids is not None and "products" in datasets
        if looked_up and lines is not None and PRODUCT in lines.column_names:
            products = datasets["products"].schema.empty_table()
            if len(lines):
                products = await self._latest_of(datasets["products"])
            of_lines = pc.is_in(texts_of(products, "id"), value_set=texts_of(lines, PRODUCT))
            found["products"] = products.filter(of_lines)
        return found

    def are_none(self, tables: Tables) -> bool:
        """Return whether no KPI row is made of some rows."""
        return not self.every_source and not any(map(len, tables.values()))

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
        """Return the latest rows of a dataset in the source objects that were found."""
        groups = await dataset.live.of_sources(self.found).row_groups()
        await dataset.resolve(groups)

        async def read(batch: list[RowGroup]) -> pa.Table:
            return (await dataset.read(batch)).cast(dataset.schema)

        batches = batch_row_groups(groups, dataset.live.limits.read_rows)
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
    looks_up = any(
        column.via for dataset in shop.all_datasets.values() for column in dataset.columns.values()
    )
    product_ids = None if looks_up else pa.array([], pa.string())
    found: set[str] = set()
    of_orders: set[str] = set()
    for name in OF_ORDERS:
        if name in snapshot.catalogs:
            sources, products = await _sources_of(snapshot, name, order_ids, day)
            found |= sources
            of_orders |= sources if name != "order_items" else set()
            product_ids = None if looks_up else pc.unique(pa.concat_arrays([product_ids, products]))
    if "products" in snapshot.catalogs and product_ids is not None:
        catalog = snapshot.catalogs["products"].with_uncounted()
        found |= await _sources_with_keys(catalog, pa.table({"id": product_ids}), ["id"])
    return ShopDayRows(
        snapshot=snapshot,
        day=day,
        ids=order_ids,
        # A day that is looked up, or a line that is refunded, is in any file.
        every_source=by_item or bool(shop.datasets["orders"].columns["created_at"].via),
        product_ids=product_ids,
        found=frozenset(found),
        of_orders=frozenset(of_orders),
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


async def _sources_of(
    snapshot: ShopSnapshot, name: str, ids: pa.Array, day: int
) -> tuple[set[str], pa.Array]:
    """Find the source objects with rows of some orders or a day, or later versions of them.

    Returns:
        The source objects, and the ids of the products in these rows.
    """
    catalog, dataset = snapshot.catalogs[name].with_uncounted(), snapshot.shop.datasets[name]
    moves = dataset.key_by == "columns" and "order_id" not in dataset.key
    key = list(dataset.key) if moves else []
    of_product = [one for one in (PRODUCT,) if name == "order_items" and one in dataset.columns]
    found: set[str] = set()
    tables: list[pa.Table] = []
    products = [pa.array([], pa.string())]
    of_rows = await _on_day(catalog, day, [*key, *of_product])  # a refund may name no order
    async for batch, at, table in find_orders(catalog, ids, [*key, *of_product]):
        of_rows.append((batch, table.filter(booleans(at >= 0))))
    for batch, table in of_rows:
        if len(table):
            found.add(batch[0].file.source_id)
            tables += [table.select(key)] if moves else []
            products += [pc.unique(texts_of(table, one)).drop_null() for one in of_product]
    if tables:
        found |= await _sources_with_keys(catalog, pa.concat_tables(tables), key)
    return found, pa.concat_arrays(products)


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
