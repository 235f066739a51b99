"""Read the latest rows of a reference: all of them, or those that some cells name."""

from __future__ import annotations

import asyncio

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.shop_lookups import key_texts
from kpi.aggregation.shop_versions import FileRows, latest
from kpi.contract.shop import ShopDataset
from kpi.kernels.hash_index import KeyIndex
from kpi.kernels.keys import keys_of
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import clean_schema
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup, batch_row_groups
from worker.transform.key_sets import KeySet
from worker.transform.shop.snapshot import ShopSnapshot


async def latest_rows(snapshot: ShopSnapshot, name: str, cells: pa.Array | None) -> pa.Table:
    """Return the latest rows of a reference, or of products.

    Args:
        snapshot: The clean zone.
        name: The reference.
        cells: Distinct cells without null that name the wanted rows; None for all rows.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    return await _Reading(snapshot, name).latest(cells)


class _Reading:
    def __init__(self, snapshot: ShopSnapshot, name: str) -> None:
        self._dataset = snapshot.shop.all_datasets[name]
        self._schema = clean_schema(self._dataset)
        self._precedence = snapshot.precedence[name]
        self._catalog = snapshot.catalogs[name]
        self._key = [one for one in self._dataset.key if one != self._dataset.valid_from]

    async def latest(self, cells: pa.Array | None) -> pa.Table:
        """Read the latest rows; see `latest_rows`."""
        dataset = self._dataset
        if cells is None or len(self._key) != 1:
            files = await self._read(await self._catalog.row_groups(), cells)
        elif dataset.key_by == "columns" and dataset.version is None and not dataset.valid_from:
            files = await self._newest_first(cells)
        else:
            files = await self._holding(self._catalog, cells)
        files.sort(key=lambda file: file.place)
        return await asyncio.to_thread(latest, dataset, files, self._schema)

    async def _newest_first(self, cells: pa.Array) -> list[FileRows]:
        """Read files from the latest to the earliest, until each cell has a row.

        The row of the latest file decides, and a catalogue that is delivered whole each day has
        every key in every file.
        """
        found: list[FileRows] = []
        catalog, uploads = self._catalog, 1
        places, stands_at = self._precedence.places, self._precedence.stands_at
        while len(cells):
            catalog = await catalog.holding(self._key[0], self._wanted(cells))
            rows = catalog.uploads
            if not len(rows):
                break
            newest = np.zeros(len(places), bool)
            newest[rows[np.lexsort((places[rows], stands_at[rows]))[-uploads:]]] = True
            files = await self._holding(catalog.of_uploads(newest), cells)
            keys = [key_texts(self._dataset, file.table) for file in files]
            with_row = pa.chunked_array(keys, pa.string())
            cells = cells.filter(pc.invert(pc.is_in(cells, with_row)))
            catalog, uploads = catalog.of_uploads(~newest), 2 * uploads
            found += files
        return found

    async def _holding(self, catalog: Catalog, cells: pa.Array) -> list[FileRows]:
        groups = await catalog.row_groups_holding(self._key[0], self._wanted(cells))
        return await self._read(groups, cells)

    def _wanted(self, cells: pa.Array) -> KeySet:
        return KeySet.of_values(cells, self._catalog.limits.lookup_points)

    async def _read(self, groups: list[RowGroup], cells: pa.Array | None) -> list[FileRows]:
        """Read the rows of some row groups that cells name; None for all."""
        index = None
        if cells is not None:
            index = KeyIndex(keys_of([pa.chunked_array([cells])]))

        async def read(batch: list[RowGroup]) -> FileRows:
            table = await batch[0].file.read(batch, self._schema.names)
            table = await asyncio.to_thread(_selected, self._dataset, table, index)
            stands_at, place = self._precedence.rank(batch[0].file)
            return FileRows(table=table.cast(self._schema), place=place, stands_at=stands_at)

        batches = batch_row_groups(groups, self._catalog.limits.read_rows)
        return await each(list(batches), read, CONCURRENT_READS)


def _selected(dataset: ShopDataset, table: pa.Table, index: KeyIndex | None) -> pa.Table:
    """Select the rows whose key is among those of an index; None for all."""
    if index is None:
        return table
    keys = key_texts(dataset, table).fill_null("")
    wanted = index.find(keys_of([pa.chunked_array([keys])])) >= 0
    return table if wanted.all() else table.filter(booleans(np.asarray(wanted)))
