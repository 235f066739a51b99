"""Read every version of the rows that a day was ever made of, by a contract of language 1."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import Days, order_days
from kpi.aggregation.products import Products
from kpi.contract.arrow_types import arrow_type
from kpi.kernels.masks import booleans
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.transform.changed_days import single_array
from worker.transform.clean_files import RowGroup, batch_row_groups
from worker.transform.day_ranges import instants
from worker.transform.history import Places
from worker.transform.order_sums import Rows, read_orders, read_rows
from worker.transform.snapshot import Snapshot

Tables = Mapping[str, pa.Table]
"""Dataset -> the rows of it that a day is made of."""


@dataclass(frozen=True, kw_only=True)
class DayRows:
    """Every version of the orders that any version puts on a day, their items, and the products.

    Attributes:
        snapshot: The clean zone that they were read from.
        day: Days since 1970-01-01.
        rows: Dataset -> rows.
    """

    snapshot: Snapshot
    day: int
    rows: Mapping[str, Rows]

    def sources(self) -> set[str]:
        """Return the source objects that have any of the rows."""
        return set().union(*map(self._sources_of, self.rows))

    @property
    def first_sources(self) -> set[str]:
        """Source objects before the first of which the day has no KPI row."""
        return self._sources_of("orders")

    def _sources_of(self, name: str) -> set[str]:
        ranks = np.unique(self.rows[name].ranks).astype(np.int32)
        return self.snapshot.catalog(name).of_numbers(ranks).source_ids

    @property
    def decide_alone(self) -> bool:
        """Whether the KPIs of the day are a function of `latest`."""
        return True

    @property
    def keys(self) -> dict[str, tuple[str, ...]]:
        """Dataset -> columns of its key."""
        return {name: one.dataset.key for name, one in self.rows.items()}

    async def latest(self, snapshot: Snapshot) -> Tables:
        """Return the rows that the day is made of; nothing is read.

        Args:
            snapshot: The clean zone at an earlier sequence of the same period.
        """
        return await asyncio.to_thread(self._latest, snapshot.history.places)

    def _latest(self, places: Places) -> Tables:
        of_files = {
            name: self.snapshot.catalog(name).with_uncounted().of_ranks(places)
            for name in self.rows
        }
        if not (of_files["orders"][self.rows["orders"].ranks] >= 0).any():
            # Most files with a product of the day came before its orders.
            return {name: rows.table.slice(0, 0) for name, rows in self.rows.items()}
        latest = {name: rows.latest(of_files[name]) for name, rows in self.rows.items()}
        zone = self.snapshot.contract.business_time_zone
        orders, items, products = (latest[one] for one in ("orders", "order_items", "products"))
        on_day = order_days(single_array(orders.column("created_at")), zone) == self.day
        orders = orders.filter(booleans(on_day))
        items = _having(items, "order_id", orders.column("order_id"))
        if "product_id" in items.column_names:
            products = _having(products, "id", items.column("product_id"))
        return {"orders": orders, "order_items": items, "products": products}

    def are_none(self, tables: Tables) -> bool:
        """Return whether no KPI row is made of some rows."""
        return not len(tables["orders"])

    def products(self, tables: Tables) -> Products:
        """Return the products of `latest`, as a day is computed from them."""
        table = tables["products"]
        ids = single_array(table.column("id"))
        if "category" not in table.column_names:
            return Products(ids, pa.nulls(len(ids), pa.string()))
        return Products(ids, single_array(table.column("category")).cast(pa.string()))


async def read_day(snapshot: Snapshot, day: int) -> DayRows:
    """Read everything that ever decided on a day.

    Args:
        snapshot: The clean zone; its files that do not count are read too.
        day: Days since 1970-01-01.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    order_ids = await _orders_of(snapshot, np.array([day], np.int32))
    of_orders = await read_orders(snapshot, order_ids)
    products = snapshot.products.with_uncounted()
    items = of_orders.items.table
    product_ids = pa.array([], items.schema.field("order_id").type)
    if "product_id" in items.column_names:
        product_ids = pc.unique(single_array(items.column("product_id"))).drop_null()
    of_products = await read_rows(products, "id", product_ids, ("category",))
    rows = {"orders": of_orders.orders, "order_items": of_orders.items, "products": of_products}
    return DayRows(snapshot=snapshot, day=day, rows=rows)


async def _orders_of(snapshot: Snapshot, days: Days) -> pa.Array:
    """Return the distinct ids of the orders that any version puts on some days."""
    orders, zone = snapshot.orders.with_uncounted(), snapshot.contract.business_time_zone
    groups = await orders.row_groups_intersecting("created_at", instants(days, zone))

    async def read(batch: list[RowGroup]) -> pa.Array:
        table = await batch[0].file.read(batch, ["order_id", "created_at"])
        on_day = np.isin(order_days(single_array(table.column("created_at")), zone), days)
        return pc.unique(single_array(table.column("order_id").filter(booleans(on_day))))

    batches = batch_row_groups(groups, orders.limits.read_rows)
    found = await each(batches, read, CONCURRENT_READS)
    if not found:
        return pa.array([], arrow_type(orders.dataset.columns["order_id"]))
    return pc.unique(pa.concat_arrays(found))


def _having(table: pa.Table, column: str, values: pa.ChunkedArray) -> pa.Table:
    """Return the rows of a table of which a column has one of some values."""
    return table.filter(pc.is_in(table.column(column), value_set=single_array(values)))
