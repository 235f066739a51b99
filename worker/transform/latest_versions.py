"""Which rows are the latest version of their key, judged for the row groups that are asked for."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Mask
from kpi.kernels.duplicates import assign_shares, find_duplicates, find_members
from kpi.kernels.keys import Keys, concat_keys, keys_of, latest_rows
from worker.runtime.concurrency import each
from worker.runtime.execution import threaded
from worker.transform.catalog import READS_AT_ONCE, Catalog
from worker.transform.clean_files import ROWS_AT_ONCE, RowGroup, neighbours
from worker.transform.intervals import Spans

T = TypeVar("T")

Rows = npt.NDArray[np.int64]

KEYS_AT_ONCE = 12_000_000
"""Hashes held at once: 8 bytes each."""

FEW_KEYS = 500_000
"""Up to so many rows that may share keys are read once, and beside others."""


class Versions:
    """Latest rows of one dataset; remembers what it has judged."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._judged: set[RowGroup] = set()
        self._latest: dict[RowGroup, Mask] = {}

    def latest(self, group: RowGroup) -> Mask | None:
        """The latest rows of a row group that was judged; None where all are."""
        return self._latest.get(group)

    def superseded(self, groups: Sequence[RowGroup]) -> int:
        """How many rows of some judged row groups are not the latest of their key."""
        masks = (self._latest.get(group) for group in groups)
        return sum(int((~mask).sum()) for mask in masks if mask is not None)

    async def judge(self, groups: Sequence[RowGroup]) -> None:
        """Find the latest rows of some row groups.

        Only row groups whose key ranges overlap can hold a key twice; their keys are read and
        compared, in classes small enough for memory.

        Errors: as `Piece.row_groups`.
        """
        wanted = [group for group in groups if group not in self._judged]
        self._judged.update(wanted)
        small: list[list[RowGroup]] = []
        large: list[list[RowGroup]] = []
        clusters, closed = await self._clusters(wanted)
        if closed:
            # Whatever has keys of theirs is there too: no need to read it again for the others.
            wanted = [group for cluster in clusters for group in cluster]
            self._judged.update(wanted)
        these = set(wanted)
        for cluster in clusters:
            (small if _rows(cluster) <= FEW_KEYS else large).append(cluster)
        await each(joined(small), lambda some: self._compare_few(some, these), READS_AT_ONCE)
        for cluster in large:
            classes = -(-_rows(cluster) // KEYS_AT_ONCE)
            for number in range(classes):
                await self._compare(cluster, these, number, classes)

    async def _clusters(self, wanted: Sequence[RowGroup]) -> tuple[list[list[RowGroup]], bool]:
        """The wanted row groups and those that may share keys with them, apart where they do not
        overlap each other; and whether no others may share keys with any of these."""
        if not wanted:
            return [], False
        column = self._catalog.dataset.key[0]
        spans = Spans(span for group in wanted for span in group.spans(column))
        near = await self._catalog.overlapping(column, spans)
        closed = len(near) > len(wanted) and set(near) == set(
            await self._catalog.overlapping(
                column, Spans(span for group in near for span in group.spans(column))
            )
        )
        together = Spans(group.ranges.get(column) for group in near)
        clusters: dict[int, list[RowGroup]] = defaultdict(list)
        for group in near:
            clusters[together.cluster(group.ranges.get(column))].append(group)
        doubted = [
            cluster
            for cluster in clusters.values()
            if len(cluster) > 1 or not cluster[0].piece.ascending
        ]
        return doubted, closed

    async def _compare(
        self, cluster: list[RowGroup], wanted: set[RowGroup], number: int, classes: int
    ) -> None:
        """Judge the keys whose hash falls in class `number` of `classes`."""
        ordered = _in_order(cluster)
        again = await self._repeated(ordered, number, classes)
        if len(again) == 0:
            return

        found = await self._each(ordered, lambda keys: _having(keys, again))
        await asyncio.to_thread(self._settle, ordered, found, wanted)

    async def _compare_few(self, groups: list[RowGroup], wanted: set[RowGroup]) -> None:
        """Judge all keys of some row groups, held at once."""
        ordered = _in_order(groups)
        keys = await self._each(ordered, lambda of_group: of_group)

        def compare() -> None:
            every = np.concatenate([of_group.high for of_group in keys])
            again = find_duplicates(every, threaded().in_one_thread())
            if len(again):
                found = [_having(of_group, again) for of_group in keys]
                self._settle(ordered, found, wanted)

        await asyncio.to_thread(compare)

    def _settle(
        self, ordered: list[RowGroup], found: Sequence[tuple[Keys, Rows]], wanted: set[RowGroup]
    ) -> None:
        """Mark what is not the latest among some rows that hold every row of their keys."""
        latest = latest_rows(concat_keys([keys for keys, _ in found]))
        edges = np.cumsum([0, *(len(rows) for _, rows in found)])
        for group, (_, rows), start, end in zip(ordered, found, edges[:-1], edges[1:], strict=True):
            dead = rows[~latest[start:end]]
            if len(dead) and group in wanted:
                mask = self._latest.setdefault(group, np.ones(group.rows, bool))
                mask[dead] = False

    async def _repeated(
        self, groups: Sequence[RowGroup], number: int, classes: int
    ) -> npt.NDArray[np.uint64]:
        """Hashes of one class that more than one row has."""
        # What is not written of it takes no memory.
        hashes = np.empty(sum(group.rows for group in groups), np.uint64)
        filled = 0
        lock = threading.Lock()

        def collect(keys: Keys) -> None:
            nonlocal filled
            found = keys.high
            if classes > 1:
                found = found[assign_shares(found, classes) == number]
            with lock:
                at, filled = filled, filled + len(found)
            hashes[at : at + len(found)] = found

        await self._each(groups, collect)
        return await asyncio.to_thread(find_duplicates, hashes[:filled], threaded())

    async def _each(self, groups: Sequence[RowGroup], work: Callable[[Keys], T]) -> list[T]:
        """What `work` makes of the keys of each row group, some of them at a time."""
        columns = self._catalog.dataset.key

        async def one(batch: list[RowGroup]) -> list[T]:
            table = await batch[0].piece.read(batch, columns)

            def of_groups() -> list[T]:
                keys = keys_of([table.column(name) for name in columns])
                ends = np.cumsum([group.rows for group in batch]).tolist()
                return [
                    work(keys.take(slice(end - group.rows, end)))
                    for group, end in zip(batch, ends, strict=True)
                ]

            return await asyncio.to_thread(of_groups)

        return list(chain(*await each(neighbours(groups, ROWS_AT_ONCE), one, READS_AT_ONCE)))


def _rows(cluster: list[RowGroup]) -> int:
    return sum(group.rows for group in cluster)


def joined(clusters: Iterable[list[RowGroup]]) -> list[list[RowGroup]]:
    """Clusters that share no keys, neighbours together while they have at most `FEW_KEYS` rows: one
    by one, each costs more ways between threads than it takes to compare its keys."""
    together: list[list[RowGroup]] = []
    left = 0
    for cluster in clusters:
        rows = _rows(cluster)
        if rows > left:
            together.append([])
            left = FEW_KEYS
        together[-1] += cluster
        left -= rows
    return together


def _in_order(cluster: list[RowGroup]) -> list[RowGroup]:
    """From the earliest version to the latest: by piece, then by row."""
    return sorted(cluster, key=lambda group: (group.piece.rank, group.number))


def _having(keys: Keys, hashes: npt.NDArray[np.uint64]) -> tuple[Keys, Rows]:
    """The keys that have one of some hashes, and their rows."""
    rows = find_members(keys.high, hashes)
    return keys.take(rows), rows
