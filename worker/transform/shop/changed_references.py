"""Find the cells whose look-up gives another value than at an earlier sequence (rule 18)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.shop_lookups import key_texts
from kpi.aggregation.tables import CATEGORY_KPIS
from kpi.contract.shop import ShopDataset, Via
from kpi.kernels.arrays import Mask, Words
from kpi.kernels.keys import keys_of
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import clean_schema
from worker.transform.shop.changed_files import ChangedFiles
from worker.transform.shop.indexed_columns import PRODUCT_OF_LINE
from worker.transform.shop.order_ids import batches_of, rows_with
from worker.transform.shop.reference_rows import latest_rows
from worker.transform.shop.references import steps_to_category

MAX_CHANGED_KEYS = 500_000
"""Changed rows of a reference up to which the days that read them are looked for; with more, every
day is computed."""


class TooManyKeysError(Exception):
    """More keys changed than are looked for."""


async def changed_cells(
    files: ChangedFiles, tables: frozenset[str]
) -> AsyncIterator[tuple[str, str, pa.Array]]:
    """Yield the dataset, the column and the cells of rows that look up what may have changed.

    Raises:
        TooManyKeysError: They are too many to be looked for.
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    snapshot = files.snapshot
    shop = snapshot.shop
    changed: dict[str, pa.Array] = {}
    names = [*shop.references, *(["products"] if "products" in shop.datasets else [])]
    for name in names:
        sources = files.sources(name)
        if sources:
            changed[name] = await _changed_keys(files, name, sources)
    if not any(map(len, changed.values())):
        return
    if "products" in shop.datasets:
        own = [changed["products"]] if "products" in changed else []
        for column in shop.datasets["products"].columns.values():
            cells = await _cells_leading_to(files, column.via, changed)
            catalog = snapshot.catalogs["products"].with_uncounted()
            found = rows_with(catalog, column.name, cells, ["id"])
            own += [pc.unique(table.column("id")) async for table in found]
        changed["products"] = _bounded(own)
    for name in ("orders", "order_items", "refunds"):
        for column in shop.datasets[name].columns.values() if name in shop.datasets else ():
            steps = column.via
            if (name, column.name) == PRODUCT_OF_LINE and CATEGORY_KPIS.name in tables:
                steps = steps_to_category(shop)
            cells = await _cells_leading_to(files, steps, changed)
            if len(cells):
                yield name, column.name, cells


async def _cells_leading_to(
    files: ChangedFiles, steps: Sequence[Via], changed: dict[str, pa.Array]
) -> pa.Array:
    """Return the cells of a column from which some look-up comes to a changed row."""
    found: list[pa.Array] = []
    for number, step in enumerate(steps):
        keys = changed.get(step.reference)
        for before in reversed(steps[:number]):
            if keys is None or not len(keys):
                break
            keys = await _keys_with(files, before, keys)
        if keys is not None:
            found.append(keys)
    return _bounded(found)


async def _keys_with(files: ChangedFiles, step: Via, cells: pa.Array) -> pa.Array:
    """Return the keys of the rows of a reference of which a column has one of some cells."""
    dataset = files.snapshot.shop.all_datasets[step.reference]
    if dataset.columns[step.column].via:
        raise TooManyKeysError  # its cells are not the values that are looked for
    catalog = files.snapshot.catalogs[step.reference].with_uncounted()
    found = rows_with(catalog, step.column, cells, dataset.key)
    return _bounded([pc.unique(key_texts(dataset, table)) async for table in found])


def _bounded(parts: Sequence[pa.Array]) -> pa.Array:
    if sum(map(len, parts)) > MAX_CHANGED_KEYS:
        raise TooManyKeysError
    flat = [one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one for one in parts]
    return pc.unique(pa.chunked_array(flat, pa.string())).drop_null()


async def _changed_keys(files: ChangedFiles, name: str, sources: set[str]) -> pa.Array:
    """Return the keys of which a row in some files is not the one that counted, then and now."""
    snapshot = files.snapshot
    dataset = snapshot.shop.all_datasets[name]
    schema = clean_schema(dataset)
    tables = []
    rows = 0
    async for _, table in batches_of(
        snapshot.catalogs[name].with_uncounted().of_sources(sources), schema.names
    ):
        rows += table.num_rows
        if rows > MAX_CHANGED_KEYS:
            raise TooManyKeysError
        tables.append(table.cast(schema))
    in_files = pa.concat_tables([schema.empty_table(), *tables])
    keys = pc.unique(key_texts(dataset, in_files)).drop_null()
    then, now = [await latest_rows(one, name, keys) for one in (files.earlier(), snapshot)]
    every = pa.concat_tables([in_files, then, now]).combine_chunks()
    same = _are_among(every, then, dataset) & _are_among(every, now, dataset)
    return pc.unique(key_texts(dataset, every.filter(booleans(~same)))).drop_null()


def _are_among(rows: pa.Table, others: pa.Table, dataset: ShopDataset) -> Mask:
    """Find the rows that other rows equal in every column but the version."""
    names = [name for name in rows.schema.names if name != dataset.version]
    return np.isin(_row_hashes(rows, names), _row_hashes(others, names))


def _row_hashes(table: pa.Table, names: Sequence[str]) -> Words:
    texts = [table.column(name).cast(pa.string()).fill_null("\0") for name in names]
    return keys_of(texts).high
