"""Which datasets each upload of a shop feeds, and by which entry of `[[files]]`: in columns."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.shop import Shop
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.masks import true
from worker.errors import ConfigError
from worker.index.upload_rows import read_feeds
from worker.transform.history import History

NOT_FED, UNKNOWN = -1, -2
"""Numbers of entries: the upload does not feed the dataset, or its receipt does not say which."""


class Feeds:
    """What the accepted uploads of a history feed; each is known by its first row.

    Attributes:
        history: The history.
        shop: The contract.
    """

    def __init__(self, history: History, shop: Shop) -> None:
        self.history = history
        self.shop = shop
        rows = history.rows
        self._texts = rows.column("feeds").combine_chunks().dictionary_encode()
        self._is_first = rows.column("part").to_numpy() == 0
        self._entries: dict[str, Int64s] = {}
        self._feeding: dict[str, Mask] = {}

    def entries(self, dataset: str) -> Int64s:
        """Return the number of the entry by which each row's upload feeds a dataset.

        Where all entries replace files alike, and none of them those of a whole entry, it may be
        the number of any of them.

        Raises:
            ConfigError: No entry of `[[files]]` takes an upload.
        """
        if dataset not in self._entries:
            found = self._in_receipts(dataset)
            unknown = np.flatnonzero(found == UNKNOWN)
            possible = [
                number for number, one in enumerate(self.shop.files) if dataset in one.feeds
            ]
            policies = {self.shop.files[number].replaces for number in possible}
            if len(possible) == 1 or policies in ({"rows"}, {"file"}):
                found[unknown] = possible[0]
            else:
                urls = self.history.rows.column("url").take(pa.array(unknown)).to_pylist()
                found[unknown] = [_entry_of(url, self.shop) for url in urls]
            self._entries[dataset] = found
        return self._entries[dataset]

    def feeding(self, dataset: str) -> Mask:
        """Return which rows are the first of an upload that feeds a dataset."""
        if dataset not in self._feeding:
            self._feeding[dataset] = self._is_first & (self._in_receipts(dataset) != NOT_FED)
        return self._feeding[dataset]

    def _in_receipts(self, dataset: str) -> Int64s:
        """Return the number of the entry as the receipts have it."""
        of_text = [self._number(text, dataset) for text in self._texts.dictionary.to_pylist()]
        return np.array([*of_text, NOT_FED])[self._texts.indices.to_numpy()]

    def among(self, source_ids: Collection[str]) -> Mask:
        """Return which rows are of some source objects."""
        if not source_ids:
            return np.zeros(len(self._is_first), bool)
        column = self.history.rows.column("source_id")
        return true(pc.is_in(column, pa.array(source_ids, column.type)).combine_chunks())

    def source_ids(self, rows: Mask | Int64s) -> set[str]:
        """Return the source objects of some rows."""
        at = np.flatnonzero(rows) if rows.dtype == bool else rows
        return set(self.history.rows.column("source_id").take(pa.array(at)).to_pylist())

    @cached_property
    def sources(self) -> Int64s:
        """A number for the source object of each row."""
        return _numbers(self.history.rows.column("source_id"))

    def names(self, up_to: int | None = None) -> Int64s:
        """Return a number for the name of each row's upload, which its versions share.

        Args:
            up_to: Sequence of the last record that is heeded; None for all.
        """
        urls = self.history.rows.column("url")
        is_moved = pc.not_equal(self.history.rows.column("moved_from"), "")
        moved = pc.unique(urls.filter(is_moved)).to_pylist()
        if moved:
            # A folder that was moved keeps the names in it.
            first = [self.history.uploads.name_of((url, ""), up_to) for url in moved]
            at = pc.index_in(urls, pa.array(moved, urls.type))
            urls = pc.coalesce(pa.array(first, urls.type).take(at.combine_chunks()), urls)
        return _numbers(urls)

    def name_of(self, row: int) -> str:
        """Return the name of a row's upload."""
        return self.history.uploads.name_of((self.history.rows.column("url")[row].as_py(), ""))

    def _number(self, text: str, dataset: str) -> int:
        feeds = read_feeds(text)
        if dataset not in feeds:
            return NOT_FED
        number = feeds[dataset]
        return UNKNOWN if number is None or number >= len(self.shop.files) else number


def _numbers(texts: pa.ChunkedArray | pa.Array) -> Int64s:
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    found: Int64s = array.dictionary_encode().indices.to_numpy().astype(np.int64)
    return found


def _entry_of(url: str, shop: Shop) -> int:
    found = shop.layout_of(url)
    if found is None:
        raise ConfigError(
            "it was cleaned with another contract",
            url=url,
            expected=f"a file that an entry of [[files]] of contract {shop.name!r} matches",
            hint="use the contract it was validated with, or another workspace",
        )
    return shop.files.index(found[0])
