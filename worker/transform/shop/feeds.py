"""Which datasets each upload of a shop feeds, and by which entry of `[[files]]`: in columns."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.shop import Shop
from kpi.kernels.arrays import Int64s, Mask
from worker.errors import ConfigError
from worker.index.upload_rows import read_feeds
from worker.index.upload_table import UploadTable
from worker.transform.history import History

Numbers = npt.NDArray[np.int32]

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
        self._texts = history.rows.codes("feeds")
        self._is_first = history.rows.is_first
        self._entries: dict[str, Numbers] = {}
        self._feeding: dict[str, Mask] = {}

    def entries(self, dataset: str) -> Numbers:
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
                urls = self.history.rows.take(["url"], unknown).column("url").to_pylist()
                found[unknown] = [_entry_of(url, self.shop) for url in urls]
            self._entries[dataset] = found
        return self._entries[dataset]

    def feeding(self, dataset: str) -> Mask:
        """Return which rows are the first of an upload that feeds a dataset."""
        if dataset not in self._feeding:
            self._feeding[dataset] = self._is_first & (self._in_receipts(dataset) != NOT_FED)
        return self._feeding[dataset]

    def _in_receipts(self, dataset: str) -> Numbers:
        """Return the number of the entry as the receipts have it."""
        of_text = [self._number(text, dataset) for text in self._texts.texts]
        return np.array([*of_text, NOT_FED], np.int32)[self._texts.codes]

    def among(self, source_ids: Collection[str]) -> Mask:
        """Return which rows are of some source objects."""
        found = np.zeros(len(self._is_first), bool)
        found[self.history.rows.rows_with("source_id", source_ids)] = True
        return found

    def source_ids(self, rows: Mask | Int64s) -> set[str]:
        """Return the source objects of some rows."""
        at = rows.nonzero()[0] if rows.dtype == bool else rows.astype(np.int64)
        return set(self.sources(at).to_pylist())

    def sources(self, rows: Int64s) -> pa.Array:
        """Return the source object of each of some rows."""
        return self.history.rows.take(["source_id"], rows).column("source_id").combine_chunks()

    def names(self, up_to: int | None = None) -> Int64s:
        """Return a number for the name of each row's upload, which its versions share.

        Args:
            up_to: Sequence of the last record that is heeded; None for all.
        """
        rows = self.history.rows
        found = _number_urls(rows)
        # A folder that was moved keeps the names in it.
        moved = rows.take(["url"], rows.rows_with_text("moved_from")).column("url")
        without_rows: dict[str, int] = {}
        for url in pc.unique(moved).to_pylist():
            first = self.history.uploads.name_of((url, ""), up_to)
            if first != url:
                of_first = found[rows.rows_with("url", [first])]
                number = without_rows.setdefault(first, -1 - len(without_rows))
                found[rows.rows_with("url", [url])] = of_first[0] if len(of_first) else number
        return found

    def name_of(self, row: int) -> str:
        """Return the name of a row's upload."""
        (url,) = self.history.rows.take(["url"], np.array([row])).column("url").to_pylist()
        return self.history.uploads.name_of((url, ""))

    def _number(self, text: str, dataset: str) -> int:
        feeds = read_feeds(text)
        if dataset not in feeds:
            return NOT_FED
        number = feeds[dataset]
        return UNKNOWN if number is None or number >= len(self.shop.files) else number


def _number_urls(rows: UploadTable) -> Int64s:
    """Return a number for the URL of each row. Only URLs that share a checksum are compared."""
    checksums = rows.numbers("url_crc")
    distinct, counts = np.unique(checksums, return_counts=True)
    several = np.flatnonzero(np.isin(checksums, distinct[counts > 1]))
    urls = rows.take(["url"], several).column("url").combine_chunks()
    checksums[several] = 2**32 + urls.dictionary_encode().indices.to_numpy().astype(np.int64)
    return checksums


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
