"""Find the latest rows of a shop's dataset (rules 4, 5, 7 and 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.aggregation.shop_columns import texts_of
from kpi.aggregation.shop_versions import key_columns, number_keys
from kpi.contract.shop import ShopDataset
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.keys import Keys, concat_keys
from kpi.mapping.clean_rows import DAY
from kpi.mapping.conditions import holds
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup
from worker.transform.latest_versions import Candidates, Cluster, LatestVersions
from worker.transform.shop.feeds import Feeds
from worker.transform.shop.precedence import Precedence

JOINED = ("orders", "order_items", "refunds")
"""Datasets whose rows may wait, and of whose superseded rows reports count."""

MAX_REPLACEMENTS = 1_000_000
"""Rows of orders that are kept with those that took their place, 16 bytes each."""


class ShopVersions(LatestVersions):
    """Latest rows of one dataset, those of deleted keys among them: see `deleted_rows`.

    Files that a later one replaced whole take part: their rows stand at its time. They are never
    read as rows that count.

    Attributes:
        dataset: The dataset.
        replaced_orders: Orders whose lines took the place of those of a file of another name, as
            far as they were resolved.
        replacements: Rows of orders that those of a file of another name took the place of, as far
            as they were resolved.
    """

    def __init__(
        self, dataset: ShopDataset, catalog: Catalog, precedence: Precedence, feeds: Feeds
    ) -> None:
        super().__init__(catalog)
        self.dataset = dataset
        self._precedence = precedence
        self._feeds = feeds
        self.replaced_orders = 0
        self.replacements: list[Replacement] = []

    @property
    def has_days(self) -> bool:
        """Whether the clean rows have the day of their order."""
        return DAY in self._catalog.dataset.columns

    async def resolve(self, groups: Sequence[RowGroup]) -> None:
        """Find the latest rows of some row groups; see `LatestVersions.resolve`."""
        if self.dataset.key_by != "row":  # else each row has its own key
            await super().resolve(groups)

    async def _sharing(self, column: str, groups: Sequence[RowGroup]) -> list[RowGroup]:
        if self.dataset.name in JOINED or self.dataset.version is not None or not groups:
            return await super()._sharing(column, groups)
        # Upload time decides: only later files supersede rows of these. Of a catalogue that is
        # delivered whole each day, every file has every key.
        first = min(self._precedence.rank(group.file)[0] for group in groups)
        later = self._catalog.of_uploads(self._precedence.stands_at >= first)
        return await later.row_groups_holding(column, await later.ids_of(column, groups))

    def _may_repeat(self, cluster: Cluster) -> bool:
        if self.dataset.key_by == "order":
            # Lines of an order supersede those of another file, never each other.
            return any(group.file is not cluster[0].file for group in cluster)
        return super()._may_repeat(cluster)

    def _by_version(self, groups: Iterable[RowGroup]) -> list[RowGroup]:
        rank = self._precedence.rank
        return sorted(groups, key=lambda one: (*rank(one.file), one.file.rank, one.number))

    def _keys(self, table: pa.Table) -> Keys:
        return key_columns(table, self._catalog.dataset.key)

    def _hashes_to_compare(self, keys: Keys) -> npt.NDArray[np.uint64]:
        return np.unique(keys.high) if self.dataset.key_by == "order" else keys.high

    def _latest(self, ordered: list[RowGroup], found: Sequence[Candidates]) -> Mask:
        if self.dataset.key_by != "order":
            rows = super()._latest(ordered, found)
            if self.dataset.name == "orders":
                self.replacements += self._replacements(ordered, found, rows)
            return rows
        keys = concat_keys([one.keys for one in found])
        if not len(keys):
            return np.zeros(0, bool)
        ranks = [self._precedence.rank(group.file)[0] for group in ordered]
        rank = np.repeat(ranks, [len(one.rows) for one in found])
        number = number_keys(keys)
        newest = np.full(int(number.max()) + 1, -1, np.int64)
        np.maximum.at(newest, number, rank)
        latest: Mask = rank == newest[number]
        if not latest.all():
            known, first = np.unique(ranks, return_index=True)
            names = self._names(ordered)[first]
            of_rows, of_latest = (names[np.searchsorted(known, one)] for one in (rank, newest))
            other = ~latest & (of_rows != of_latest[number])
            self.replaced_orders += len(np.unique(number[other]))
        return latest

    def _names(self, groups: Sequence[RowGroup]) -> Int64s:
        """Return a number of the name of each row group's file, or of what replaced it."""
        uploads = [self._precedence.stands_for(group.file) for group in groups]
        numbers = {upload: hash(self._feeds.name_of(upload)) for upload in set(uploads)}
        return np.array([numbers[upload] for upload in uploads], np.int64)

    def _replacements(
        self, ordered: Sequence[RowGroup], found: Sequence[Candidates], latest: Mask
    ) -> Iterator[Replacement]:
        """Pair the superseded rows with the latest of their key, where names of files differ."""
        if latest.all():
            return
        of_group = self._names(ordered)
        if len(set(of_group.tolist())) < 2 or not len(latest):
            return
        hashes = np.concatenate([one.keys.high for one in found])
        rows = np.concatenate([one.rows for one in found])
        group = np.repeat(np.arange(len(found)), [len(one.rows) for one in found])
        order = np.flatnonzero(latest)
        order = order[np.argsort(hashes[order], kind="stable")]
        old = np.flatnonzero(~latest)
        new = order[np.searchsorted(hashes[order], hashes[old])]
        other = of_group[group[old]] != of_group[group[new]]
        # Of the lines of an order that follow on each other, one is enough.
        other[1:] &= (hashes[old[1:]] != hashes[old[:-1]]) | (group[old[1:]] != group[old[:-1]])
        room = max(MAX_REPLACEMENTS - sum(len(one.old_rows) for one in self.replacements), 0)
        old, new = old[other][:room], new[other][:room]
        pairs = group[old] * len(found) + group[new]
        order = np.argsort(pairs, kind="stable")
        old, new, pairs = old[order], new[order], pairs[order]
        edges = [*np.flatnonzero(np.diff(pairs, prepend=-1)).tolist(), len(pairs)]
        for start, end in pairwise(edges):
            yield Replacement(
                old=ordered[pairs[start] // len(found)],
                new=ordered[pairs[start] % len(found)],
                old_rows=rows[old[start:end]],
                new_rows=rows[new[start:end]],
            )


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """Rows of one row group that those of another one took the place of, pair by pair."""

    old: RowGroup
    new: RowGroup
    old_rows: Int64s
    new_rows: Int64s


def deleted_rows(dataset: ShopDataset, table: pa.Table) -> Mask:
    """Find the rows that say that their key is gone (rule 5)."""
    return holds(dataset.deleted, lambda name: texts_of(table, name), table.num_rows)


def row_mask(batch: Sequence[RowGroup], versions: ShopVersions) -> Mask | None:
    """Return which rows of a batch are the latest; None where all are."""
    masks = [versions.mask(group) for group in batch]
    if all(mask is None for mask in masks):
        return None
    return np.concatenate(
        [
            np.ones(group.rows, bool) if mask is None else mask
            for group, mask in zip(batch, masks, strict=True)
        ]
    )
