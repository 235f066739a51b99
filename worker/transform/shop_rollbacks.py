"""Find rows that take back newer rows of other files, by a contract of language 2.

See `worker.transform.rollbacks`. Where the lines of an order replace each other together, they are
compared together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa

from kpi.aggregation.shop_versions import key_columns
from kpi.contract.shop import ShopDataset
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import ROW, clean_schema
from worker.state.upload import Upload
from worker.transform.catalog import Catalog
from worker.transform.clean_files import CleanFile
from worker.transform.rollbacks import COMPARED_KEYS, Hashes, Rollback, counted_between
from worker.transform.shop.snapshot import ShopSnapshot

Rows = dict[int, list[tuple[object, ...]]]
"""Hash of a key -> its rows: the last one, or all lines of an order, sorted."""


async def find_shop_rollbacks(snapshot: ShopSnapshot, after: int) -> list[Rollback]:
    """Find the rollbacks of uploads that were committed after a sequence.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    found: list[Rollback] = []
    for upload, earlier in snapshot.uploads.with_predecessor(after):
        found += await _compare(snapshot, upload, earlier)
    return found


async def _compare(snapshot: ShopSnapshot, now: Upload, before: Upload) -> list[Rollback]:
    """Compare rows of two uploads with those of the files between, from the earliest on."""
    sequences = snapshot.history.rows.numbers("sequence")
    new, old = np.searchsorted(sequences, [now.sequence, before.sequence]).tolist()
    between = counted_between(snapshot.history, before, now)
    taken_back: dict[tuple[str, int], str] = {}
    for name, dataset in snapshot.shop.all_datasets.items():
        if dataset.key_by == "row" or dataset.version is not None:
            continue  # no other file replaces these rows, or not by upload time
        feeding = snapshot.feeds.feeding(name)
        others = snapshot.catalogs[name].of_uploads(between & feeding)
        if feeding[new] and feeding[old] and len(others):
            by_key = await _compare_dataset(snapshot, dataset, new, old, others)
            taken_back |= {(name, key): url for key, url in by_key.items()}
    if not taken_back:
        return []
    urls = tuple(sorted(set(taken_back.values())))
    return [Rollback(source_id=now.source_id, url=now.name, rows=len(taken_back), urls=urls)]


async def _compare_dataset(
    snapshot: ShopSnapshot, dataset: ShopDataset, now: int, before: int, others: Catalog
) -> dict[int, str]:
    """Return the keys whose rows are taken back, with the file that has them otherwise.

    Args:
        snapshot: The clean zone.
        dataset: The dataset.
        now: First row of an upload in `History.rows`.
        before: That of the earlier one.
        others: The files between.
    """
    every = snapshot.catalogs[dataset.name].with_uncounted()
    rows = np.arange(len(snapshot.history.rows))
    new_table = await _read(dataset, every.of_uploads(rows == now).files)
    old_table = await _read(dataset, every.of_uploads(rows == before).files)
    shared = np.intersect1d(_hashes(dataset, new_table), _hashes(dataset, old_table))
    shared = shared[:COMPARED_KEYS]
    taken_back: dict[int, str] = {}
    new, old = _rows(dataset, new_table, shared), _rows(dataset, old_table, shared)
    for _, of_upload in groupby(others.files, key=lambda file: file.upload):
        files = list(of_upload)
        for key, lines in _rows(dataset, await _read(dataset, files), shared).items():
            # Of the files between, the last one has the rows that counted.
            taken_back.pop(key, None)
            if new.get(key) == old.get(key) != lines:
                taken_back[key] = files[0].url
    return taken_back


async def _read(dataset: ShopDataset, files: Sequence[CleanFile]) -> pa.Table:
    schema = clean_schema(dataset)
    tables = [await file.read(await file.row_groups(), schema.names) for file in files]
    whole = [schema.empty_table(), *(table.cast(schema) for table in tables)]
    return pa.concat_tables(whole).combine_chunks()


def _key_of(dataset: ShopDataset) -> list[str]:
    if dataset.key_by == "order":
        return ["order_id"]
    key = list(dataset.key)
    if dataset.valid_from is not None and dataset.valid_from not in key:
        key.append("_day")
    return key


def _hashes(dataset: ShopDataset, table: pa.Table) -> Hashes:
    return np.unique(key_columns(table, _key_of(dataset)).high)


def _rows(dataset: ShopDataset, table: pa.Table, wanted: Hashes) -> Rows:
    hashes = key_columns(table, _key_of(dataset)).high
    hit = np.isin(hashes, wanted)
    columns = [name for name in table.schema.names if name != ROW]
    kept = table.select(columns).filter(booleans(hit))
    rows = zip(*(kept.column(name).to_pylist() for name in columns), strict=True)
    found: Rows = {}
    for key, row in zip(hashes[hit].tolist(), rows, strict=True):
        if dataset.key_by == "order":
            found.setdefault(key, []).append(row)
        else:
            found[key] = [row]
    for lines in found.values():
        lines.sort(key=repr)
    return found
