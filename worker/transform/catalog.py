"""Clean files at one ledger sequence, and which of their row groups may hold a value.

The ledger has the bounds of each file, so that only files that may matter are opened. Their footers
have the bounds of their row groups.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.model import Dataset
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.masks import true
from worker.packs.packs import Packs
from worker.runtime.concurrency import each
from worker.state.entry import Interval
from worker.transform.clean_files import CleanFile, RowGroup, batch_row_groups, intervals_of
from worker.transform.file_table import FileTable, Ranks, SmallFile
from worker.transform.indexed_files import IndexedFiles
from worker.transform.intervals import IntervalSet
from worker.transform.key_sets import KeySet
from worker.transform.limits import TransformLimits

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
"""Both edges of a stretch of equal values."""

CONCURRENT_FOOTER_READS = 32
"""Footers read at once."""


@dataclass(frozen=True)
class _Found:
    """Files that may hold some ids.

    Attributes:
        ranks: The files, ascending.
        rows: Rank of a file of the index -> numbers of the rows that may have one, ascending.
    """

    ranks: Ranks
    rows: dict[int, Positions]


class Catalog:
    """Some clean files of a dataset, from the earliest version to the latest.

    Without `ranks` these are all files that count.
    """

    def __init__(self, table: FileTable, ranks: Ranks | None = None) -> None:
        self._table = table
        self._ranks = table.counted if ranks is None else ranks

    def __len__(self) -> int:
        return len(self._ranks)

    @property
    def dataset(self) -> Dataset:
        return self._table.dataset

    @property
    def limits(self) -> TransformLimits:
        return self._table.limits

    @property
    def files(self) -> list[CleanFile]:
        return [self._table.file(rank) for rank in self._ranks.tolist()]

    @property
    def source_ids(self) -> set[str]:
        return set(self._table.column("source_id", self._ranks).to_pylist())

    @property
    def rows(self) -> int:
        return self._sum("rows")

    @property
    def size_bytes(self) -> int:
        return self._sum("size_bytes")

    @property
    def bytes_read(self) -> int:
        """Bytes read so far of all clean files of the dataset."""
        return self._table.bytes_read

    def with_uncounted(self) -> Catalog:
        """Select every file of the dataset, those of uploads that do not count too."""
        return Catalog(self._table, np.arange(len(self._table)))

    def of_sources(self, source_ids: Collection[str]) -> Catalog:
        """Select the files of some source objects."""
        wanted = pa.array(list(source_ids), pa.string())
        return self._where(true(pc.is_in(self._table.column("source_id", self._ranks), wanted)))

    def of_files(self, files: Collection[CleanFile]) -> Catalog:
        """Select some files."""
        return Catalog(self._table, np.array(sorted(file.rank for file in files), np.int64))

    @property
    def uploads(self) -> Int64s:
        """The first row of the upload of each file, in `History.rows`."""
        return self._table.uploads(self._ranks)

    def of_uploads(self, rows: Mask) -> Catalog:
        """Select the files of some uploads, by the first row of each in `History.rows`."""
        return self._where(rows[self.uploads])

    def since(self, sequence: int) -> Catalog:
        """Select the files of source objects that were committed after a sequence."""
        return self._where(true(pc.greater(self._table.column("sequence", self._ranks), sequence)))

    def before(self, sequence: int) -> Catalog:
        """Select the files of source objects that were committed before a sequence."""
        return self._where(true(pc.less(self._table.column("sequence", self._ranks), sequence)))

    def without(self, others: Catalog) -> Catalog:
        """Select the files that are not in another catalog of the dataset."""
        return Catalog(self._table, np.setdiff1d(self._ranks, others._ranks, assume_unique=True))

    def intersecting(self, column: str, intervals: IntervalSet) -> Catalog:
        """Select the files that may hold a value of some intervals, by the ledger's bounds."""
        bounds = self._table.bounds(column, self._ranks)
        return self._where(intervals.intersects_each(bounds.low, bounds.high))

    def of_ranks(self, of_rows: Int64s) -> Int64s:
        """Select from one value for each clean file of all datasets that of each rank."""
        return self._table.of_ranks(of_rows)

    def in_order(self, of_rows: Int64s) -> Catalog:
        """Return the files of the dataset that counted, in another order of precedence.

        Args:
            of_rows: Place of each clean file of all datasets; -1 where it did not count.
        """
        return Catalog(self._table.in_order(of_rows))

    @property
    def index(self) -> IndexedFiles | None:
        """Where ids are in the files that an index covers; None for no index."""
        return self._table.index

    @property
    def has_index(self) -> bool:
        return self._table.index is not None

    @property
    def packs(self) -> Packs | None:
        """Copies of small files of the dataset; None for none."""
        return self._table.packs

    def small_files(self, after: int) -> list[SmallFile]:
        """Return all files of the dataset that may be packed, of entries after a sequence."""
        return self._table.small_files(after)

    def places(self, after: int) -> Iterator[tuple[int, int, CleanFile]]:
        """Yield sequence, first row and file for the files of entries after a sequence."""
        sequences, first_rows = (
            self._table.column(name, self._ranks).to_pylist() for name in ("sequence", "first_row")
        )
        for rank, sequence, first_row in zip(self._ranks, sequences, first_rows, strict=True):
            if sequence > after:
                yield sequence, first_row, self._table.file(int(rank))

    def identify(self, up_to: int, update: Callable[[bytes], None]) -> None:
        """Pass on what identifies the files of entries up to a sequence: these, and their keys."""
        sequences = self._table.column("sequence", self._ranks).to_numpy()
        order = np.argsort(sequences, kind="stable")[: int((sequences <= up_to).sum())]
        keys = self._table.column("key", self._ranks).take(pa.array(order)).to_pylist()
        update(sequences[order].tobytes())
        update("\n".join([self.dataset.name, *keys]).encode())

    async def holding(self, column: str, wanted: KeySet) -> Catalog:
        """Select the files that may hold some ids.

        Raises:
            StoreError: The index cannot be read, after retries.
        """
        return Catalog(self._table, (await self._find(column, wanted)).ranks)

    async def row_groups_holding(self, column: str, wanted: KeySet) -> list[RowGroup]:
        """Return the row groups that may hold some ids.

        Raises:
            ConfigError, SourceError: As `row_groups`.
        """
        found = await self._find(column, wanted)
        groups: list[RowGroup] = []
        for group in await Catalog(self._table, found.ranks).row_groups():
            rows = found.rows.get(group.file.rank)
            if rows is None:
                hit = group.intersects(column, wanted.intervals)
            else:
                start, end = np.searchsorted(rows, [group.first_row, group.first_row + group.rows])
                hit = bool(start < end)
            if hit:
                groups.append(group)
        return groups

    async def ids_of(self, column: str, groups: Sequence[RowGroup]) -> KeySet:
        """Return the ids in some row groups, of this dataset or another, for a look-up here.

        Raises:
            ConfigError, SourceError: As `row_groups`.
        """
        limit = self.limits.lookup_points
        intervals = intervals_of(groups, column)
        index = self._table.index
        few = sum(group.rows for group in groups) <= limit
        if index is None or not few or not index.has(self.dataset.name, column):
            return KeySet(None, intervals, limit)
        batches = list(batch_row_groups(groups, self.limits.read_rows))
        tables = await each(
            batches, lambda batch: batch[0].file.read(batch, [column]), CONCURRENT_FOOTER_READS
        )
        ids = [table.column(column).drop_null() for table in tables]
        return replace(KeySet.of_chunks(ids, (), limit), known=intervals)

    async def _find(self, column: str, wanted: KeySet) -> _Found:
        if wanted.is_empty:
            return _Found(self._ranks[:0], {})
        index = self._table.index
        if index is None or wanted.values is None or not index.has(self.dataset.name, column):
            return _Found(self.intersecting(column, wanted.intervals)._ranks, {})
        held = await index.find(self.dataset.name, column, wanted.values)
        if held is None:
            return _Found(self.intersecting(column, wanted.intervals)._ranks, {})
        sequences, first_rows, rows = (
            self._table.column(name, self._ranks).to_numpy()
            for name in ("sequence", "first_row", "rows")
        )
        covered = index.covers(self.dataset.name, column, sequences, rows)
        others = Catalog(self._table, self._ranks[~covered])
        in_others = others._ranks
        if len(others):
            in_others = others.intersecting(column, wanted.intervals)._ranks
        at = np.flatnonzero(covered & np.isin(sequences, held.sequences))
        of_files: dict[int, Positions] = {}
        starts, ends = (np.searchsorted(held.sequences, sequences[at], side) for side in SIDES)
        for one, start, end in zip(at.tolist(), starts, ends, strict=True):
            mine = held.rows[start:end] - first_rows[one]
            mine = mine[(mine >= 0) & (mine < rows[one])]
            if len(mine):
                of_files[int(self._ranks[one])] = mine
        ranks = np.union1d(np.array(list(of_files), np.int64), in_others)
        return _Found(ranks, of_files)

    async def row_groups(self) -> list[RowGroup]:
        """Return the row groups of the files, in order.

        Raises:
            ConfigError: Rows were cleaned to other types than the contract's.
            SourceError: A file is missing or damaged.
        """
        of_files = await each(self.files, CleanFile.row_groups, CONCURRENT_FOOTER_READS)
        return [group for groups in of_files for group in groups]

    async def row_groups_intersecting(self, column: str, intervals: IntervalSet) -> list[RowGroup]:
        """Return the row groups that may hold a value of some intervals.

        Raises:
            ConfigError, SourceError: As `row_groups`.
        """
        return [
            group
            for group in await self.intersecting(column, intervals).row_groups()
            if group.intersects(column, intervals)
        ]

    async def intervals(self, column: str) -> list[Interval]:
        """Return intervals that hold every value of a column.

        Raises:
            ConfigError, SourceError: As `row_groups`.
        """
        bounds = self._table.bounds(column, self._ranks)
        unknown = Catalog(self._table, self._ranks[~true(bounds.low.is_valid())])
        in_footers = [group.bounds.get(column) for group in await unknown.row_groups()]
        lows, highs = (one.drop_null().to_pylist() for one in (bounds.low, bounds.high))
        in_ledger = [Interval(low=low, high=high) for low, high in zip(lows, highs, strict=True)]
        return [*in_ledger, *(one for one in in_footers if one is not None)]

    def _where(self, mask: Mask) -> Catalog:
        return Catalog(self._table, self._ranks[mask])

    def _sum(self, name: str) -> int:
        return int(pc.sum(self._table.column(name, self._ranks), min_count=0).as_py())
