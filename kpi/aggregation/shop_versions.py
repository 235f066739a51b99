"""Latest rows of the datasets of a contract of language 2 (rules 4, 5, 7 and 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.aggregation.shop_columns import one_array, texts_of
from kpi.contract.shop import ShopDataset
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.keys import Keys, keys_of, latest_rows, text_keys
from kpi.kernels.masks import valid
from kpi.mapping.conditions import holds


@dataclass(frozen=True, kw_only=True)
class FileRows:
    """Clean rows of one file for one dataset.

    Attributes:
        table: Rows in the order of the file, of `kpi.mapping.mapper.clean_schema`.
        place: Place of its upload, from the earliest.
        stands_at: Place of the later upload that replaced it whole; its own where none did.
    """

    table: pa.Table
    place: int
    stands_at: int


def latest(dataset: ShopDataset, files: Sequence[FileRows], schema: pa.Schema) -> pa.Table:
    """Find the latest rows.

    Args:
        dataset: Says what identifies a row, and which row is later.
        files: From the earliest upload to the latest.
        schema: Of the rows.
    """
    table = pa.concat_tables([schema.empty_table(), *(file.table for file in files)])
    table = table.combine_chunks()
    counts = [file.table.num_rows for file in files]
    stands_at = np.repeat(np.array([one.stands_at for one in files], np.int64), counts)
    replaced = np.repeat(np.array([one.stands_at != one.place for one in files], bool), counts)
    keep = ~replaced & ~holds(dataset.deleted, lambda name: texts_of(table, name), table.num_rows)
    if dataset.key_by == "order":
        keep &= _of_latest_file(table, stands_at)
    elif dataset.key_by == "columns":
        keep &= _last(table, dataset, stands_at)
    return table.take(pa.array(np.flatnonzero(keep))).combine_chunks()


def replaced_by(*, names: Int64s, entries: Int64s, by_name: Mask, by_entry: Mask) -> Int64s:
    """For each upload the first later one that takes its place whole; -1 for none (rule 8).

    Args:
        names: A number for the name of each, from the earliest upload to the latest.
        entries: Number of the entry of `[[files]]` that takes it.
        by_name: Whether a later upload of its name replaces it.
        by_entry: Whether a later upload of its entry does.
    """
    count = len(names)
    of_name = np.where(by_name, _next_equal(names), count)
    of_entry = np.where(by_entry, _next_equal(entries), count)
    first = np.minimum(of_name, of_entry)
    return np.where(first < count, first, -1)


def _next_equal(numbers: Int64s) -> Int64s:
    """For each number the position of the next one that equals it; their count for none."""
    order = np.argsort(numbers, kind="stable")
    same = numbers[order][1:] == numbers[order][:-1]
    found = np.full(len(numbers), len(numbers), np.int64)
    found[order[:-1][same]] = order[1:][same]
    return found


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


def _of_latest_file(table: pa.Table, rank: Int64s) -> Mask:
    """Find the rows of the latest file that has lines of their order (rule 7)."""
    if not table.num_rows:
        return np.zeros(0, bool)
    number = number_keys(key_columns(table, ["order_id"]))
    newest = np.full(int(number.max()) + 1, -1, np.int64)
    np.maximum.at(newest, number, rank)
    keep: Mask = rank == newest[number]
    return keep


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
