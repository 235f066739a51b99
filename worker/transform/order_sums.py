"""Compute what some orders add to the sums of days: at the head, and at an earlier sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.products import Products
from kpi.aggregation.slice_sums import added_by, day_scheme
from kpi.aggregation.sums import DAY, Added, Grain, Scheme
from kpi.aggregation.tables import CATEGORY_KPIS, PRODUCT_KPIS
from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Dataset
from kpi.kernels.arrays import Int64s
from kpi.kernels.keys import Keys, keys_of, latest_rows
from kpi.kernels.masks import booleans
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup, batch_row_groups
from worker.transform.day_loader import ORDER_COLUMNS, latest_products
from worker.transform.history import Places, places_at
from worker.transform.key_sets import KeySet
from worker.transform.latest_versions import OLDEST
from worker.transform.snapshot import Snapshot

ITEM_COLUMNS = ("order_id", "product_id", "sale_price", "status", "quantity")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Every version of some rows, from the earliest row of a file to the latest.

    Attributes:
        table: Their columns.
        ranks: Rank of the file of each, among all files of the dataset.
        dataset: The dataset.
    """

    table: pa.Table
    ranks: Int64s
    dataset: Dataset

    def latest(self, places: Places) -> pa.Table:
        """Select the latest row of each key.

        Args:
            places: Place in the order of precedence of each file of the dataset, by its rank; -1
                where it does not count.
        """
        place = places[self.ranks]
        rows = np.flatnonzero(place >= 0)
        by: list[Int64s | Places] = [place[rows]]
        if self.dataset.version is not None:
            versions = self.table.column(self.dataset.version).cast(pa.int64()).fill_null(OLDEST)
            by.append(versions.to_numpy()[rows])
        ordered = rows[np.lexsort(by)]  # stable: rows of a file keep their order
        table = self.table.take(pa.array(ordered))
        keys = keys_of([table.column(name) for name in self.dataset.key])
        return table.filter(booleans(latest_rows(keys)))


@dataclass(frozen=True, kw_only=True)
class OrderRows:
    """Every version of some orders and of the items that any of them ever had.

    Attributes:
        ids: The ids of the orders.
        orders: The orders.
        items: The items; some are of other orders now.
    """

    ids: pa.Array
    orders: Rows
    items: Rows


async def read_orders(
    snapshot: Snapshot, order_ids: pa.Array, columns: Sequence[str] = ()
) -> OrderRows:
    """Read everything that decides what some orders add.

    Args:
        snapshot: The clean zone.
        order_ids: Distinct ids of the orders.
        columns: More columns of orders.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    orders, items = snapshot.orders.with_uncounted(), snapshot.items.with_uncounted()
    of_orders = await read_rows(orders, "order_id", order_ids, (*ORDER_COLUMNS, *columns))
    keys, key = order_ids, "order_id"
    if key not in items.dataset.key:  # else every version of an item is of one order
        key = items.dataset.key[0]
        of_items = await read_rows(items, "order_id", order_ids, (key, "order_id"))
        keys = pc.unique(of_items.table.column(key))
    # An item counts for an order unless a later version of it is of another.
    return OrderRows(
        ids=order_ids,
        orders=of_orders,
        items=await read_rows(items, key, keys, ITEM_COLUMNS),
    )


async def read_rows(catalog: Catalog, column: str, ids: pa.Array, wanted: Sequence[str]) -> Rows:
    """Read the rows that have one of some ids, whatever their version."""
    dataset = catalog.dataset
    every = (*dataset.key, column, *wanted, *([dataset.version] if dataset.version else []))
    columns = [name for name in dict.fromkeys(every) if name in dataset.columns]
    schema = pa.schema([(name, arrow_type(dataset.columns[name])) for name in columns])

    async def read(batch: list[RowGroup]) -> tuple[pa.Table, int]:
        table = await batch[0].file.read(batch, columns)
        found = table.filter(pc.is_in(table.column(column), value_set=ids))
        return found.cast(schema), batch[0].file.rank

    parts: list[tuple[pa.Table, int]] = []
    if len(ids):
        held = KeySet.of_values(ids, catalog.limits.lookup_points)
        groups = await catalog.row_groups_holding(column, held)
        batches = list(batch_row_groups(groups, catalog.limits.read_rows))
        parts = await each(batches, read, CONCURRENT_READS)
    return Rows(
        table=pa.concat_tables([schema.empty_table(), *(table for table, _ in parts)]),
        ranks=np.repeat([rank for _, rank in parts], [len(table) for table, _ in parts]).astype(
            np.int64
        ),
        dataset=dataset,
    )


@dataclass(frozen=True, kw_only=True)
class State:
    """What decides at a sequence which rows count, and as what.

    Attributes:
        places: Place of each clean file of all datasets in the order of precedence; -1 where it
            does not count.
        products: Latest version of every product.
    """

    places: Places
    products: Products


async def state_before(snapshot: Snapshot, sequence: int, now: Products) -> State:
    """Return what decided at a sequence since which the contract is the same.

    Args:
        snapshot: The clean zone at the head.
        sequence: The sequence.
        now: The latest version of every product at the head.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    places = places_at(snapshot.history, sequence)
    products = now
    of_products = snapshot.products.with_uncounted()
    if len(of_products.of_sources(snapshot.sources_since(sequence))):
        products = Products(*await latest_products(snapshot.products.in_order(places)))
    return State(places=places, products=products)


def added(
    snapshot: Snapshot,
    rows: OrderRows,
    state: State,
    customers_of: Callable[[pa.ChunkedArray], Keys],
    scheme: Scheme,
    grain: Grain = DAY,
) -> Added:
    """Return what some orders add in a state.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    orders = rows.orders.latest(snapshot.orders.with_uncounted().of_ranks(state.places))
    items = rows.items.latest(snapshot.items.with_uncounted().of_ranks(state.places))
    return added_by(snapshot.contract, state.products, orders, items, scheme, grain, customers_of)


def scheme_of(tables: frozenset[str]) -> Scheme:
    """Return which sums are kept where some KPI tables are wanted."""
    return day_scheme(
        with_categories=CATEGORY_KPIS.name in tables, with_products=PRODUCT_KPIS.name in tables
    )
