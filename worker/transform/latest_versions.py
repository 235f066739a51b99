"""Find the latest version of each key, for the row groups that are asked for."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.kernels.arrays import Mask
from kpi.kernels.duplicates import assign_shares, find_duplicates, find_members
from kpi.kernels.keys import Keys, concat_keys, keys_of, latest_rows
from worker.runtime.concurrency import each
from worker.runtime.execution import threaded
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.transform.catalog import Catalog
from worker.transform.clean_files import RowGroup, batch_row_groups, key_bounds
from worker.transform.few_rows import in_thread
from worker.transform.intervals import IntervalSet

T = TypeVar("T")

RowNumbers = npt.NDArray[np.int64]

Versions = npt.NDArray[np.int64]
"""Values of the column that says which row of a key is the later one."""

OLDEST = -(2**63)
"""Version of a row without one."""

Cluster = list[RowGroup]
"""Row groups whose key intervals overlap: only these may hold a key twice."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Some rows of a row group: their keys, their numbers, and their versions if there are any."""

    keys: Keys
    rows: RowNumbers
    versions: Versions | None


class LatestVersions:
    """Latest rows of one dataset; what was resolved is kept."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._resolved: set[RowGroup] = set()
        self._masks: dict[RowGroup, Mask] = {}

    def mask(self, group: RowGroup) -> Mask | None:
        """Return which rows of a resolved row group are the latest; None where all are."""
        return self._masks.get(group)

    def count_superseded(self, groups: Sequence[RowGroup]) -> int:
        """Count the rows of resolved row groups that are not the latest of their key."""
        masks = (self._masks.get(group) for group in groups)
        return sum(int((~mask).sum()) for mask in masks if mask is not None)

    async def resolve(self, groups: Sequence[RowGroup]) -> None:
        """Find the latest rows of some row groups.

        Only row groups with overlapping key intervals can hold a key twice. Their keys are read
        and compared in passes over hash classes, each small enough for memory.

        Raises:
            ConfigError, SourceError: As `Catalog.row_groups`.
        """
        limits = self._catalog.limits
        wanted = [group for group in groups if group not in self._resolved]
        self._resolved.update(wanted)
        clusters, closed = await self._clusters(wanted)
        if closed:
            # Every row group with keys of the others is among them, so all are resolved at once.
            wanted = [group for cluster in clusters for group in cluster]
            self._resolved.update(wanted)
        to_mark = set(wanted)
        small = [one for one in clusters if _count_rows(one) <= limits.single_pass_rows]
        large = [one for one in clusters if _count_rows(one) > limits.single_pass_rows]
        await each(
            join_clusters(small, limits.single_pass_rows),
            lambda joined: self._compare_at_once(joined, to_mark),
            CONCURRENT_READS,
        )
        for cluster in large:
            classes = -(-_count_rows(cluster) // limits.pass_hashes)
            for number in range(classes):
                await self._compare_class(cluster, to_mark, number, classes)

    async def _clusters(self, wanted: Sequence[RowGroup]) -> tuple[list[Cluster], bool]:
        """Cluster the wanted row groups with those that may share keys with them.

        Returns:
            Clusters that may hold a key twice, and whether no row group outside of them may share
            a key with any of their row groups.
        """
        if not wanted:
            return [], False
        column, limits = self._catalog.dataset.key[0], self._catalog.limits
        near = await self._sharing(column, wanted)
        closed = (
            len(near) > len(wanted)
            and not (self._catalog.has_index and _count_rows(near) <= limits.lookup_points)
            and set(near) == set(await self._sharing(column, near))
        )
        bounds = key_bounds(near, column)
        union = IntervalSet(bounds)
        clusters: dict[int, Cluster] = defaultdict(list)
        for group, interval in zip(near, bounds, strict=True):
            clusters[union.position(interval)].append(group)
        return [one for one in clusters.values() if self._may_repeat(one)], closed

    def _may_repeat(self, cluster: Cluster) -> bool:
        """Return whether a key may be twice in some row groups; not in one ascending file."""
        first = cluster[0].file
        return not first.ascending or any(group.file is not first for group in cluster)

    async def _sharing(self, column: str, groups: Sequence[RowGroup]) -> list[RowGroup]:
        """Return the row groups that may share keys with some, these included."""
        wanted = await self._catalog.ids_of(column, groups)
        return await self._catalog.row_groups_holding(column, wanted)

    async def _compare_class(
        self, cluster: Cluster, to_mark: set[RowGroup], number: int, classes: int
    ) -> None:
        """Compare the keys of a cluster whose hash falls in class `number` of `classes`."""
        ordered = self._by_version(cluster)
        duplicates = await self._duplicate_hashes(ordered, number, classes)
        if len(duplicates) == 0:
            return

        found = await self._map_keys(
            ordered, lambda keys, versions: _rows_with(keys, versions, duplicates)
        )
        await asyncio.to_thread(self._mark, ordered, found, to_mark)

    async def _compare_at_once(self, groups: list[RowGroup], to_mark: set[RowGroup]) -> None:
        """Compare all keys of some row groups in one pass."""
        ordered = self._by_version(groups)
        read = await self._map_keys(ordered, lambda keys, versions: (keys, versions))

        def compare() -> None:
            hashes = np.concatenate([self._hashes_to_compare(keys) for keys, _ in read])
            duplicates = find_duplicates(hashes, threaded().in_one_thread())
            if len(duplicates):
                found = [_rows_with(keys, versions, duplicates) for keys, versions in read]
                self._mark(ordered, found, to_mark)

        await in_thread(_count_rows(groups), compare)

    def _mark(
        self,
        ordered: list[RowGroup],
        found: Sequence[Candidates],
        to_mark: set[RowGroup],
    ) -> None:
        """Clear superseded rows in the masks of the row groups to mark.

        Args:
            ordered: Row groups from the earliest version to the latest.
            found: Rows of each, together every row of their keys.
            to_mark: Row groups whose masks are wanted.
        """
        latest = self._latest(ordered, found)
        edges = np.cumsum([0, *(len(one.rows) for one in found)])
        for group, one, start, end in zip(ordered, found, edges[:-1], edges[1:], strict=True):
            superseded = one.rows[~latest[start:end]]
            if len(superseded) and group in to_mark:
                mask = self._masks.setdefault(group, np.ones(group.rows, bool))
                mask[superseded] = False

    def _latest(self, ordered: list[RowGroup], found: Sequence[Candidates]) -> Mask:
        """Mark the latest row of each key among all rows of some keys.

        Args:
            ordered: Row groups from the earliest version to the latest.
            found: Rows of each.
        """
        del ordered  # they are in their order, which is all that counts here
        keys = concat_keys([one.keys for one in found])
        versions = [one.versions for one in found if one.versions is not None]
        if not versions:
            return latest_rows(keys)
        order = np.argsort(np.concatenate(versions), kind="stable")
        latest = np.empty(len(keys), bool)
        latest[order] = latest_rows(keys.take(order))
        return latest

    def _hashes_to_compare(self, keys: Keys) -> npt.NDArray[np.uint64]:
        """Return the hashes of a row group of which two equal ones may supersede each other."""
        return keys.high

    def _by_version(self, groups: Iterable[RowGroup]) -> list[RowGroup]:
        """Sort from the earliest version to the latest: by file, then by row group."""
        return sorted(groups, key=lambda group: (group.file.rank, group.number))

    def _keys(self, table: pa.Table) -> Keys:
        """Return the key of each row."""
        return keys_of([table.column(name) for name in self._catalog.dataset.key])

    async def _duplicate_hashes(
        self, groups: Sequence[RowGroup], number: int, classes: int
    ) -> npt.NDArray[np.uint64]:
        """Return the hashes of one class that more than one row has."""
        # Pages that are never written take no memory.
        hashes = np.empty(sum(group.rows for group in groups), np.uint64)
        filled = 0
        lock = threading.Lock()

        def collect(keys: Keys, _: Versions | None) -> None:
            nonlocal filled
            found = self._hashes_to_compare(keys)
            if classes > 1:
                found = found[assign_shares(found, classes) == number]
            with lock:
                at, filled = filled, filled + len(found)
            hashes[at : at + len(found)] = found

        await self._map_keys(groups, collect)
        return await asyncio.to_thread(find_duplicates, hashes[:filled], threaded())

    async def _map_keys(
        self, groups: Sequence[RowGroup], work: Callable[[Keys, Versions | None], T]
    ) -> list[T]:
        """Apply `work` to the keys and versions of each row group, reading some at a time."""
        dataset = self._catalog.dataset
        key = dataset.key
        columns = key if dataset.version is None else dict.fromkeys((*key, dataset.version))

        async def read(batch: list[RowGroup]) -> list[T]:
            table = await batch[0].file.read(batch, list(columns))

            def apply() -> list[T]:
                keys = self._keys(table)
                versions = None if dataset.version is None else _versions(table, dataset.version)
                ends = np.cumsum([group.rows for group in batch]).tolist()
                slices = [
                    slice(end - group.rows, end) for group, end in zip(batch, ends, strict=True)
                ]
                return [
                    work(keys.take(one), None if versions is None else versions[one])
                    for one in slices
                ]

            return await in_thread(table.num_rows, apply)

        batches = batch_row_groups(groups, self._catalog.limits.read_rows)
        return list(chain(*await each(batches, read, CONCURRENT_READS)))


def _count_rows(cluster: Cluster) -> int:
    return sum(group.rows for group in cluster)


def join_clusters(clusters: Iterable[Cluster], max_rows: int) -> list[Cluster]:
    """Join consecutive clusters up to `max_rows` rows; a larger one stays alone.

    Handing a small cluster to a thread costs more than comparing its keys.
    """
    joined: list[Cluster] = []
    room = 0
    for cluster in clusters:
        rows = _count_rows(cluster)
        if rows > room:
            joined.append([])
            room = max_rows
        joined[-1] += cluster
        room -= rows
    return joined


def _versions(table: pa.Table, name: str) -> Versions:
    """Return the values of a version column as integers; rows without one are the oldest."""
    column = table.column(name).cast(pa.int64()).fill_null(OLDEST)
    return column.to_numpy()


def _rows_with(keys: Keys, versions: Versions | None, hashes: npt.NDArray[np.uint64]) -> Candidates:
    """Select the rows whose keys have one of some hashes."""
    rows = find_members(keys.high, hashes)
    return Candidates(keys.take(rows), rows, None if versions is None else versions[rows])
