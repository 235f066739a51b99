"""Find the days of a shop that may have changed since a ledger sequence: never a miss.

A day changes when a row of one of its orders arrives, moves in or out, or goes; when a line or a
refund of such an order does; and when a row of a reference changes that one of them looks up.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import NO_DAYS, Days
from kpi.aggregation.shop_versions import key_columns
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import DAY
from worker.transform.catalog import Catalog
from worker.transform.clean_files import batch_row_groups
from worker.transform.key_sets import KeySet
from worker.transform.shop.changed_files import ChangedFiles
from worker.transform.shop.changed_references import TooManyKeysError, changed_cells
from worker.transform.shop.days import days_of
from worker.transform.shop.order_ids import batches_of, days_of_orders, ids_of, rows_with
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.touched_orders import TouchedOrders


async def changed_days(
    snapshot: ShopSnapshot, since: int, tables: frozenset[str], touched: TouchedOrders
) -> Days | None:
    """Return the days that files committed or ruled on since a sequence may have changed.

    Args:
        snapshot: The clean zone.
        since: Sequence, above 0.
        tables: KPI tables wanted.
        touched: Gets the ids of the orders that they may have changed.

    Returns:
        None for every day.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    shop, files = snapshot.shop, ChangedFiles(snapshot, since)
    if shop.datasets["orders"].columns["created_at"].via:
        return None
    refunds = shop.datasets.get("refunds")
    if (
        refunds is not None
        and "item" in refunds.columns
        and "order_id" not in refunds.columns
        and files.sources("refunds")
    ):
        return None  # they may return lines of any day
    gathered = _Gathered(snapshot, touched)
    for name in ("orders", "order_items", "refunds"):
        if name in snapshot.catalogs:
            await _add_files(gathered, name, files.sources(name))
    try:
        async for dataset, column, cells in changed_cells(files, tables):
            catalog = snapshot.catalogs[dataset].with_uncounted()
            async for table in rows_with(catalog, column, cells, gathered.columns(dataset)):
                await gathered.add(table)
    except TooManyKeysError:
        return None
    return await gathered.days()


async def _add_files(gathered: _Gathered, name: str, sources: set[str]) -> None:
    """Add the rows of some files, and earlier rows that they may supersede."""
    snapshot = gathered.snapshot
    every = snapshot.catalogs[name].with_uncounted()
    files, dataset = every.of_sources(sources), snapshot.shop.datasets[name]
    if not len(files):
        return
    # Of a key with the order in it, every row is of that order.
    moves = dataset.key_by == "columns" and "order_id" not in dataset.key
    columns = gathered.columns(name)
    key = list(dataset.key) if moves else []
    keys = _Keys(key)
    async for _, table in batches_of(files, list(dict.fromkeys([*columns, *key]))):
        await gathered.add(table)
        if moves:
            keys.add(table)
            if len(keys) > every.limits.pass_hashes // 2:
                await _add_same_keys(gathered, name, files, keys)
                keys = _Keys(key)
    await _add_same_keys(gathered, name, files, keys)


class _Keys:
    """Keys of some rows: half a hash of each, and its first column.

    Args:
        columns: Columns of the key.
    """

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns
        self._hashes = [np.zeros(0, np.uint64)]
        self._first: list[pa.ChunkedArray] = []

    def __len__(self) -> int:
        return sum(map(len, self._hashes))

    def add(self, table: pa.Table) -> None:
        self._hashes.append(np.unique(key_columns(table, self.columns).high))
        self._first.append(table.column(self.columns[0]))

    def find(self, table: pa.Table) -> Mask:
        """Find the rows that have one; half a hash may also be that of another key."""
        return np.isin(key_columns(table, self.columns).high, np.concatenate(self._hashes))

    def first(self, max_points: int) -> KeySet:
        """Return the values of the first column."""
        every = pa.chunked_array([chunk for one in self._first for chunk in one.chunks])
        return KeySet.of_values(pc.unique(every).drop_null(), max_points)


async def _add_same_keys(gathered: _Gathered, name: str, files: Catalog, keys: _Keys) -> None:
    """Add the rows of other files that have one of some keys: it may have left their order."""
    if not len(keys):
        return
    others = gathered.snapshot.catalogs[name].with_uncounted().without(files)
    columns = list(dict.fromkeys([*gathered.columns(name), *keys.columns]))
    wanted = keys.first(others.limits.lookup_points)
    groups = await others.row_groups_holding(keys.columns[0], wanted)
    for batch in batch_row_groups(groups, others.limits.read_rows):
        table = await batch[0].file.read(batch, columns)
        hit = keys.find(table)
        if hit.any():  # that of another key only adds an order too many
            await gathered.add(table.filter(booleans(hit)))


class _Gathered:
    """Days, and orders whose days are looked up, some at a time.

    Attributes:
        snapshot: The clean zone.
    """

    def __init__(self, snapshot: ShopSnapshot, touched: TouchedOrders) -> None:
        self.snapshot = snapshot
        self._touched = touched
        self._days = NO_DAYS
        self._ids: list[pa.Array] = []
        self._size = 0

    def columns(self, dataset: str) -> list[str]:
        """Name the columns that say which days a row concerns."""
        known = self.snapshot.catalogs[dataset].dataset.columns
        return [name for name in ("order_id", DAY) if name in known]

    async def add(self, table: pa.Table) -> None:
        """Add some rows."""
        if DAY in table.schema.names:
            self._days = np.union1d(self._days, days_of(table))
        ids = ids_of(table)
        self._touched.add(ids)
        if "order_id" not in table.schema.names or table.column("order_id").null_count:
            self._touched.give_up()  # a refund of no order
        self._ids.append(ids)
        self._size += len(ids)
        if self._size > self.snapshot.limits.lookup_rows:
            await self._look_up()

    async def days(self) -> Days:
        """Return all days."""
        await self._look_up()
        return self._days.astype(np.int32)

    async def _look_up(self) -> None:
        ids = pc.unique(pa.chunked_array(self._ids, pa.string()))
        self._ids, self._size = [], 0
        self._days = np.union1d(self._days, await days_of_orders(self.snapshot, ids))
