"""Count the rows of a shop that wait for an order or for a row of a reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.aggregation.calendar import Days
from kpi.aggregation.shop_columns import texts_of
from kpi.aggregation.shop_orders import created_days, waits
from kpi.aggregation.shop_versions import key_columns
from kpi.contract.shop import ShopDataset
from kpi.kernels.arrays import Mask
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.masks import booleans, valid
from kpi.mapping.clean_rows import DAY
from worker.transform.catalog import Catalog
from worker.transform.shop.loader import ShopContext
from worker.transform.shop.order_ids import batches_of, find_orders, ids_of
from worker.transform.shop.references import Cells
from worker.transform.shop.versions import deleted_rows, row_mask

UNKNOWN, THERE, GONE = 0, 1, 2
"""States of an order: it has not come, or waits itself; it is there; its key is gone."""


@dataclass(frozen=True, kw_only=True)
class OrderStates:
    """States of some orders.

    Attributes:
        index: Finds the position of an order.
        state: Of each.
        day: Of each that is there.
    """

    index: KeyIndex
    state: npt.NDArray[np.int8]
    day: Days

    def of(self, table: pa.Table) -> tuple[npt.NDArray[np.int8], Days]:
        """Return state and day of the order of each row."""
        if "order_id" not in table.schema.names:
            return np.zeros(table.num_rows, np.int8), np.zeros(table.num_rows, np.int32)
        at = self.index.find(key_columns(table, ["order_id"]))
        return np.append(self.state, np.int8(UNKNOWN))[at], np.append(self.day, np.int32(0))[at]


class WaitingRows:
    """Counts waiting rows of the files of a snapshot."""

    def __init__(self, context: ShopContext) -> None:
        self._context = context
        self._snapshot = context.snapshot
        self._shop = context.snapshot.shop

    def may_wait(self, name: str) -> bool:
        """Return whether rows of a dataset may wait at all."""
        if name not in self._shop.datasets:
            return False
        return name == "order_items" or self.needs_references(name) or name == "refunds"

    def needs_references(self, name: str) -> bool:
        """Return whether rows of a dataset wait for rows of references."""
        dataset = self._shop.datasets.get(name)
        return dataset is not None and bool(_required(dataset))

    async def count(self, name: str, catalog: Catalog) -> dict[str, int]:
        """Count the waiting rows of some files of a dataset, by source object.

        Raises:
            ConfigError, SourceError: As `Catalog.row_groups`.
        """
        counts: dict[str, int] = defaultdict(int)
        async for source_id, _, waiting in self._marked(name, catalog):
            counts[source_id] += int(np.count_nonzero(waiting))
        return counts

    async def count_by_order(
        self, name: str, catalog: Catalog
    ) -> dict[tuple[str, str | None], int]:
        """Count the waiting rows of some files of a dataset, by source object and order.

        A row whose dataset names no order, or without its name, is of None.

        Raises:
            ConfigError, SourceError: As `Catalog.row_groups`.
        """
        counts: dict[tuple[str, str | None], int] = defaultdict(int)
        async for source_id, table, waiting in self._marked(name, catalog):
            rows = table.filter(booleans(waiting))
            if "order_id" not in rows.schema.names:
                counts[source_id, None] += len(rows)
                continue
            for order_id in _one(rows, "order_id").to_pylist():
                counts[source_id, order_id] += 1
        return counts

    async def _marked(
        self, name: str, catalog: Catalog
    ) -> AsyncIterator[tuple[str, pa.Table, Mask]]:
        """Yield source object, latest rows, and which of them wait, some row groups at a time."""
        dataset, versions = self._shop.datasets[name], self._context.versions[name]
        await versions.resolve(await catalog.row_groups())
        known = catalog.dataset.columns
        wanted = [*_required(dataset), *_condition_columns(dataset), "order_id", DAY]
        columns = [one for one in dict.fromkeys(wanted) if one in known]
        async for batch, table in batches_of(catalog, columns or list(known)[:1]):
            mask = row_mask(batch, versions)
            keep = np.ones(table.num_rows, bool) if mask is None else mask.copy()
            keep &= ~deleted_rows(dataset, table)
            kept = table.filter(booleans(keep))
            yield batch[0].file.source_id, kept, await self._waiting(dataset, kept)

    async def _waiting(self, dataset: ShopDataset, table: pa.Table) -> Mask:
        if dataset.name == "orders":
            days = None if DAY not in table.schema.names else created_days(self._shop, table)[0]
            return await self._missing(dataset, table, days)
        states = await self._order_states(ids_of(table))
        state, days = states.of(table)
        if dataset.name == "refunds":
            own = valid(_one(table, DAY)) if DAY in table.schema.names else state < 0
            return (state != THERE) & ~own
        missing = await self._missing(dataset, table, days)
        return (state == UNKNOWN) | (missing & (state != GONE))

    async def _missing(self, dataset: ShopDataset, table: pa.Table, days: Days | None) -> Mask:
        """Find the rows for which a look-up that is required has no row."""
        if not _required(dataset):
            return np.zeros(table.num_rows, bool)
        references = self._context.references
        cells = Cells()
        for column in references.large_columns(dataset.name):
            if column.name in table.schema.names:
                cells.add((dataset.name, column.name), texts_of(table, column.name))
        _, missing = (await references.tables(cells)).resolve(dataset, table, days)
        return waits(self._shop, dataset.name, missing, table.num_rows)

    async def _order_states(self, ids: pa.Array) -> OrderStates:
        """Find the states of some orders."""
        index = KeyIndex(key_columns(pa.table({"order_id": ids}), ["order_id"]))
        state, day = np.zeros(len(ids), np.int8), np.zeros(len(ids), np.int32)
        if self.needs_references("orders") or self.needs_references("order_items"):
            await self._add_latest(ids, state, day)
        else:
            # Any version makes it known: whether it is there or gone makes no difference to lines.
            async for _, at, _ in find_orders(self._snapshot.catalogs["orders"], ids, []):
                state[at[at >= 0]] = THERE
        return OrderStates(index=index, state=state, day=day)

    async def _add_latest(self, ids: pa.Array, state: npt.NDArray[np.int8], day: Days) -> None:
        """Set states and days by the latest version of each order."""
        dataset, versions = self._shop.datasets["orders"], self._context.versions["orders"]
        catalog = self._snapshot.catalogs["orders"]
        precedence = self._snapshot.precedence["orders"]
        names = [*_required(dataset), *_condition_columns(dataset), DAY, "created_at"]
        columns = [one for one in dict.fromkeys(names) if one in catalog.dataset.columns]
        async for batch, found, rows in find_orders(catalog, ids, columns):
            await versions.resolve(batch)
            mask = row_mask(batch, versions)
            hit = found >= 0 if mask is None else (found >= 0) & mask
            table, at = rows.filter(booleans(hit)), found[hit]
            is_gone = deleted_rows(dataset, table)
            if precedence.is_replaced(batch[0].file):
                is_gone[:] = True
            days = None if DAY not in table.schema.names else created_days(self._shop, table)[0]
            waiting = await self._missing(dataset, table, days)
            state[at] = np.where(is_gone, GONE, np.where(waiting, UNKNOWN, THERE))
            if days is not None:
                day[at] = days


def _required(dataset: ShopDataset) -> list[str]:
    return [name for name, column in dataset.columns.items() if column.via and column.required]


def _condition_columns(dataset: ShopDataset) -> list[str]:
    return [name for condition in dataset.deleted for name in condition]


def _one(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()
