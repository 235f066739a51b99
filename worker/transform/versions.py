"""Which rows are the latest version of their key, judged for the row groups that are asked for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.keys import Mask, fingerprints, is_exact, key_codes, latest_rows
from worker.transform.catalog import Catalog, RowGroup

KEYS_AT_ONCE = 6_000_000
"""Fingerprints held at once: 8 bytes each, about three times that while they are sorted."""


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
        """
        wanted = [group for group in groups if group not in self._judged]
        self._judged.update(wanted)
        for cluster in self._clusters(wanted):
            classes = -(-sum(group.rows for group in cluster) // KEYS_AT_ONCE)
            for number in range(classes):
                await self._compare(cluster, set(wanted), number, classes)

    def _clusters(self, wanted: Sequence[RowGroup]) -> list[list[RowGroup]]:
        """Row groups that share keys with a wanted one, by chains of overlapping ranges."""
        if not wanted:
            return []
        column = self._catalog.dataset.key[0]
        judged = set(wanted)
        spans = []
        for group in self._catalog.row_groups():
            found = group.range(column)
            if found is None:
                return [self._catalog.row_groups()]
            spans.append((found[0], found[1], group))
        spans.sort(key=lambda span: (span[0], span[1]))
        clusters: list[list[RowGroup]] = []
        reach = None
        for low, high, group in spans:
            if clusters and reach is not None and low <= reach:
                clusters[-1].append(group)
                reach = max(reach, high)
            else:
                clusters.append([group])
                reach = high
        near = [_near(cluster, [one for one in cluster if one in judged]) for cluster in clusters]
        return [
            cluster
            for cluster in near
            if len(cluster) > 1 or (cluster and not cluster[0].piece.part.ascending)
        ]

    async def _compare(
        self, cluster: list[RowGroup], wanted: set[RowGroup], number: int, classes: int
    ) -> None:
        """Judge the keys whose fingerprint falls in class `number` of `classes`."""
        # From the earliest version to the latest: by piece, then by row.
        ordered = sorted(cluster, key=lambda group: (group.piece.rank, group.number))
        read = [await self._fingerprints(group, number, classes) for group in ordered]
        hashes = np.concatenate([one[0] for one in read])
        latest = await asyncio.to_thread(latest_rows, hashes)
        if latest is None:
            return
        if not read[0][2]:
            latest = await self._exactly(ordered, [one[1] for one in read], hashes)
        edges = np.cumsum([0, *(len(one[0]) for one in read)])
        for group, (_, rows, _), start, end in zip(
            ordered, read, edges[:-1], edges[1:], strict=True
        ):
            dead = rows[~latest[start:end]]
            if len(dead) and group in wanted:
                mask = self._latest.setdefault(group, np.ones(group.rows, bool))
                mask[dead] = False

    async def _fingerprints(
        self, group: RowGroup, number: int, classes: int
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], bool]:
        """Fingerprints of one class of a row group's keys, their rows, and if they are exact."""
        columns = await self._key_columns(group)
        hashes = await asyncio.to_thread(fingerprints, columns)
        rows = np.arange(len(hashes))
        if classes > 1:
            rows = np.flatnonzero(hashes % np.uint64(classes) == number)
            hashes = hashes[rows]
        return hashes, rows, is_exact(columns)

    async def _exactly(
        self,
        ordered: list[RowGroup],
        rows: list[npt.NDArray[np.int64]],
        hashes: npt.NDArray[np.uint64],
    ) -> Mask:
        """As `latest_rows`, by the keys themselves where fingerprints are equal."""
        alike = np.sort(hashes)
        alike = np.unique(alike[1:][alike[1:] == alike[:-1]])
        suspect = np.isin(hashes, alike)
        edges = np.cumsum([0, *(len(one) for one in rows)])
        keys: dict[int, list[pa.ChunkedArray]] = defaultdict(list)
        for group, of_group, start, end in zip(ordered, rows, edges[:-1], edges[1:], strict=True):
            chosen = of_group[suspect[start:end]]
            if len(chosen):
                for position, column in enumerate(await self._key_columns(group)):
                    keys[position].append(column.take(pa.array(chosen)))
        columns = [
            pa.chunked_array([chunk for one in keys[position] for chunk in one.chunks])
            for position in sorted(keys)
        ]
        latest = np.ones(len(hashes), bool)
        of_suspects = latest_rows(key_codes(columns))
        if of_suspects is not None:
            latest[np.flatnonzero(suspect)[~of_suspects]] = False
        return latest

    async def _key_columns(self, group: RowGroup) -> list[pa.ChunkedArray]:
        key = self._catalog.dataset.key
        table = await group.piece.read([group], key)
        return [table.column(name) for name in key]


def _near(cluster: list[RowGroup], wanted: list[RowGroup]) -> list[RowGroup]:
    """The row groups of a cluster that overlap a wanted one; a chain may lead further."""
    if len(wanted) in (0, len(cluster)):
        return cluster if wanted else []
    column = cluster[0].piece.key_column
    spans = [found for one in wanted if (found := one.range(column)) is not None]
    return [group for group in cluster if any(group.overlaps(column, *span) for span in spans)]
