"""Latest rows of the datasets of a contract of language 2 (rules 4, 5, 7 and 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.aggregation.shop_columns import one_array, texts_of
from kpi.contract.shop import Replaces, ShopDataset
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.keys import Keys, keys_of, latest_rows, text_keys
from kpi.kernels.masks import booleans, valid
from kpi.mapping.conditions import holds


@dataclass(frozen=True, kw_only=True, slots=True)
class FedFile:
    """One file that feeds a dataset.

    Attributes:
        name: Name of the file, which later versions of it share.
        entry: Number of the entry of `[[files]]` that takes it.
        replaces: What later files take the place of.
    """

    name: str
    entry: int
    replaces: Replaces


@dataclass(frozen=True, kw_only=True)
class FileRows:
    """Clean rows of one file for one dataset.

    Attributes:
        table: Rows in the order of the file, of `kpi.mapping.mapper.clean_schema`.
        file: The file.
    """

    table: pa.Table
    file: FedFile


@dataclass(frozen=True, kw_only=True)
class LatestRows:
    """Latest rows of a dataset.

    Attributes:
        table: The rows.
        files: Number of the file of each, from the earliest upload to the latest.
        gone: Keys whose latest row says that they are gone; None where rows have no key.
        superseded: For each file, its rows that are not among the latest.
        replaced_orders: Orders whose lines took the place of those of a file of another name.
    """

    table: pa.Table
    files: Int64s
    gone: pa.Table | None
    superseded: Int64s
    replaced_orders: int = 0

    def __len__(self) -> int:
        return int(self.table.num_rows)


def latest(dataset: ShopDataset, files: Sequence[FileRows], schema: pa.Schema) -> LatestRows:
    """Find the latest rows.

    Args:
        dataset: Says what identifies a row, and which row is later.
        files: From the earliest upload to the latest.
        schema: Of the rows.
    """
    table = pa.concat_tables([schema.empty_table(), *(file.table for file in files)])
    table = table.combine_chunks()
    counts = [file.table.num_rows for file in files]
    of_file = np.repeat(np.arange(len(files)), counts)
    by = replaced_by([one.file for one in files], by_name=dataset.key_by == "row")
    stands_for = np.where(by[of_file] >= 0, by[of_file], of_file) if len(files) else of_file
    gone = stands_for != of_file
    deleted = holds(dataset.deleted, lambda name: texts_of(table, name), table.num_rows)
    replaced_orders = 0
    if dataset.key_by == "row":
        keep, of_key = ~gone & ~deleted, None
    elif dataset.key_by == "order":
        keep, replaced_orders = _of_latest_file(table, stands_for, files)
        keep &= ~gone & ~deleted
        of_key = None
    else:
        last = _last(table, dataset, stands_for)
        keep = last & ~gone & ~deleted
        of_key = table.select(list(dataset.key)).filter(booleans(last & (gone | deleted)))
    kept = np.flatnonzero(keep)
    lost = np.bincount(of_file, minlength=len(files)) - np.bincount(
        of_file[kept], minlength=len(files)
    )
    return LatestRows(
        table=table.take(pa.array(kept)).combine_chunks(),
        files=of_file[kept],
        gone=of_key,
        superseded=lost.astype(np.int64),
        replaced_orders=replaced_orders,
    )


def replaced_by(files: Sequence[FedFile], *, by_name: bool) -> Int64s:
    """For each file the first later one that takes its place whole; -1 for none (rule 8)."""
    by = np.full(len(files), -1, np.int64)
    of_name: dict[str, int] = {}
    of_entry: dict[int, int] = {}
    for number in reversed(range(len(files))):
        file = files[number]
        candidates = []
        if (by_name or file.replaces == "file") and file.name in of_name:
            candidates.append(of_name[file.name])
        if file.replaces == "all" and file.entry in of_entry:
            candidates.append(of_entry[file.entry])
        if candidates:
            by[number] = min(candidates)
        of_name[file.name] = of_entry[file.entry] = number
    return by


def _last(table: pa.Table, dataset: ShopDataset, rank: Int64s) -> Mask:
    """Find the last row of each key: by version, then file, then row.

    A row of a file that was replaced whole stands at the later file's time, before its rows.
    """
    rows = table.num_rows
    if not rows:
        return np.zeros(0, bool)
    number = np.arange(rows)  # those of a replaced file come before those of the later one
    version, has = np.zeros(rows, np.int64), np.zeros(rows, bool)
    if dataset.version is not None:
        column = one_array(table, dataset.version)
        has = valid(column)
        version = column.fill_null(0).to_numpy(zero_copy_only=False)
    key = list(dataset.key)
    if dataset.valid_from is not None and dataset.valid_from not in key:
        key.append("_day")
    order = np.lexsort((number, rank, version, has))
    keys = key_columns(table, key)
    found = np.zeros(rows, bool)
    found[order] = latest_rows(keys.take(order))
    return found


def _of_latest_file(table: pa.Table, rank: Int64s, files: Sequence[FileRows]) -> tuple[Mask, int]:
    """Find the rows of the latest file that has lines of their order (rule 7)."""
    if not table.num_rows:
        return np.zeros(0, bool), 0
    number = number_keys(key_columns(table, ["order_id"]))
    newest = np.full(int(number.max()) + 1, -1, np.int64)
    np.maximum.at(newest, number, rank)
    keep = rank == newest[number]
    number_of = {one.file.name: number for number, one in enumerate(files)}
    names = np.array([number_of[one.file.name] for one in files])
    other = ~keep & (names[rank] != names[newest[number]])
    return keep, len(np.unique(number[other]))


def number_keys(keys: Keys) -> Positions:
    """Give each distinct key a number from 0."""
    words = keys.high if keys.low is None else np.rec.fromarrays([keys.high, keys.low])
    return np.unique(words, return_inverse=True)[1].astype(np.int64)


def key_columns(table: pa.Table, names: Sequence[str]) -> Keys:
    """Keys of the rows of a table; a missing part of a key is an empty text."""
    if len(names) == 1 and pa.types.is_string(table.column(names[0]).type):
        return text_keys(table.column(names[0]))
    columns = []
    for name in names:
        column = table.column(name)
        columns.append(column.fill_null("") if pa.types.is_string(column.type) else column)
    if len(columns) > 1:
        columns = [
            column if pa.types.is_string(column.type) else column.cast(pa.string())
            for column in columns
        ]
    return keys_of(columns)
