"""Find rows that take back newer rows of other files, by a contract of language 2.

See `worker.transform.rollbacks`. Where the lines of an order replace each other together, they are
compared together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from kpi.aggregation.shop_versions import key_columns
from kpi.contract.shop import Shop, ShopDataset
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import ROW, clean_schema
from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.state import Entry
from worker.state.counted import CountedUploads
from worker.transform.rollbacks import COMPARED_KEYS, Hashes, Rollback

Rows = dict[int, list[tuple[object, ...]]]
"""Hash of a key -> its rows: the last one, or all lines of an order, sorted."""


async def find_shop_rollbacks(
    uploads: CountedUploads,
    accepted: Sequence[Entry],
    workspace: Workspace,
    shop: Shop,
    after: int,
) -> list[Rollback]:
    """Find the rollbacks of uploads that were committed after a sequence.

    Args:
        uploads: Which uploads count.
        accepted: Entries whose clean rows are of the contract.
        workspace: Where their clean rows are.
        shop: The contract.
        after: Sequence.

    Raises:
        SourceError: A clean file cannot be read.
    """
    found: list[Rollback] = []
    repeated = uploads.with_predecessor(after)
    counted = uploads.in_order() if repeated else []
    entries = {one.sequence: one for one in accepted}
    reading = _Reading(workspace, shop)
    for upload, earlier in repeated:
        between = [
            entries[one.sequence]
            for one in counted
            if uploads.name_of(one.file) != uploads.name_of(upload.file)
            and earlier.uploaded_at < one.uploaded_at <= upload.uploaded_at
        ]
        found += await reading.compare(entries[upload.sequence], entries[earlier.sequence], between)
    return found


class _Reading:
    def __init__(self, workspace: Workspace, shop: Shop) -> None:
        self._workspace = workspace
        self._shop = shop

    async def compare(self, now: Entry, before: Entry, between: Sequence[Entry]) -> list[Rollback]:
        """Compare rows of two uploads with those of the files between, from the earliest on."""
        taken_back = 0
        urls: set[str] = set()
        for name, dataset in self._shop.all_datasets.items():
            others = [one for one in between if name in one.feeds]
            if not others or name not in now.feeds or name not in before.feeds:
                continue
            if dataset.key_by == "row" or dataset.version is not None:
                continue  # no other file replaces these rows, or not by upload time
            by_key = await self._compare_dataset(dataset, now, before, others)
            taken_back += len(by_key)
            urls.update(by_key.values())
        if not taken_back:
            return []
        return [
            Rollback(
                source_id=now.source_id,
                url=now.url,
                rows=taken_back,
                urls=tuple(sorted(urls)),
            )
        ]

    async def _compare_dataset(
        self, dataset: ShopDataset, now: Entry, before: Entry, others: Sequence[Entry]
    ) -> dict[int, str]:
        """Return the keys whose rows are taken back, with the file that has them otherwise."""
        new_table, old_table = await self._read(dataset, now), await self._read(dataset, before)
        shared = np.intersect1d(_hashes(dataset, new_table), _hashes(dataset, old_table))
        shared = shared[:COMPARED_KEYS]
        taken_back: dict[int, str] = {}
        new, old = _rows(dataset, new_table, shared), _rows(dataset, old_table, shared)
        for entry in others:
            for key, rows in _rows(dataset, await self._read(dataset, entry), shared).items():
                # Of the files between, the last one has the rows that counted.
                taken_back.pop(key, None)
                if new.get(key) == old.get(key) != rows:
                    taken_back[key] = entry.url
        return taken_back

    async def _read(self, dataset: ShopDataset, entry: Entry) -> pa.Table:
        schema = clean_schema(dataset)
        tables = [schema.empty_table()]
        for part in entry.parts:
            if part.dataset == dataset.name:
                file = CleanObject(self._workspace.store, self._workspace.stored(part.key))
                groups = range((await file.footer()).num_row_groups)
                tables.append((await file.read(list(groups), schema.names)).cast(schema))
        return pa.concat_tables(tables).combine_chunks()


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
