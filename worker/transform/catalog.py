"""Clean files at one ledger sequence, and which of their row groups may hold a value.

The ledger has the bounds of each file, so that only files that may matter are opened. Their footers
have the bounds of their row groups.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kpi.contract.model import Dataset
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.masks import valid
from worker.packs.packs import Packs
from worker.runtime.concurrency import each
from worker.transform.clean_files import CleanFile, RowGroup, batch_row_groups, intervals_of
from worker.transform.file_table import FileTable, Ranks, SmallFile
from worker.transform.history import Places
from worker.transform.indexed_files import IndexedFiles, longest_indexed
from worker.transform.intervals import IntervalSet
from worker.transform.key_sets import KeySet
from worker.transform.limits import TransformLimits

SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
"""Both edges of a stretch of equal values."""

NO_VALUES: Int64s = np.zeros(0, np.int64)

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
        return self._table.files(self._ranks)

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
        return Catalog(self._table, self._table.every)

    def of_sources(self, source_ids: Collection[str]) -> Catalog:
        """Select the files of some source objects."""
        return self._where(self._table.are_of_sources(source_ids, self._ranks))

    def of_files(self, files: Collection[CleanFile]) -> Catalog:
        """Select some files."""
        return Catalog(self._table, np.array(sorted(file.rank for file in files), np.int32))

    def of_numbers(self, ranks: Ranks) -> Catalog:
        """Select files by their ranks, ascending."""
        return Catalog(self._table, ranks)

    @property
    def uploads(self) -> Int64s:
        """The first row of the upload of each file, in `History.rows`."""
        return self._table.uploads(self._ranks)

    def of_uploads(self, rows: Mask) -> Catalog:
        """Select the files of some uploads, by the first row of each in `History.rows`."""
        return self._where(rows[self.uploads])

    def since(self, sequence: int) -> Catalog:
        """Select the files of source objects that were committed after a sequence."""
        return self._where(self._table.are_after(sequence, self._ranks))

    def before(self, sequence: int) -> Catalog:
        """Select the files of source objects that were committed before a sequence."""
        return self._where(~self._table.are_after(sequence - 1, self._ranks))

    def without(self, others: Catalog) -> Catalog:
        """Select the files that are not in another catalog of the dataset."""
        return Catalog(self._table, np.setdiff1d(self._ranks, others._ranks, assume_unique=True))

    def intersecting(self, column: str, intervals: IntervalSet) -> Catalog:
        """Select the files that may hold a value of some intervals, by the ledger's bounds."""
        found = [
            bounds.ranks[intervals.intersects_each(bounds.low, bounds.high)]
            for bounds in self._table.bounds(column, self._ranks)
        ]
        return Catalog(self._table, np.sort(np.concatenate([self._ranks[:0], *found])))

    def of_ranks(self, of_rows: Places) -> Places:
        """Select from one value for each clean file of all datasets that of each rank."""
        return self._table.of_ranks(of_rows)

    def in_order(self, of_rows: Places) -> Catalog:
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
        new = self.since(after)
        sequences, first_rows = (
            self._table.column(name, new._ranks).to_pylist() for name in ("sequence", "first_row")
        )
        yield from zip(sequences, first_rows, new.files, strict=True)

    def first_row(self, file: CleanFile) -> int:
        """Return the number of a file's first row among the rows of the dataset in its entry."""
        found: int = self._table.column("first_row", np.array([file.rank]))[0].as_py()
        return found

    def identify(self, up_to: int, update: Callable[[bytes], None]) -> None:
        """Pass on what identifies all files of the dataset up to a sequence."""
        self._table.identify(up_to, update)

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
        covered = self._covered(index, column)
        others = Catalog(self._table, self._ranks[~covered])
        in_others = others._ranks
        if len(others):
            in_others = others.intersecting(column, wanted.intervals)._ranks
        hit = covered & self._table.are_of_sequences(np.unique(held.sequences), self._ranks)
        ranks = self._ranks[hit]
        sequences, first_rows, rows = (
            self._table.column(name, ranks).to_numpy() for name in ("sequence", "first_row", "rows")
        )
        of_files: dict[int, Positions] = {}
        starts, ends = (np.searchsorted(held.sequences, sequences, side) for side in SIDES)
        for one, start, end in zip(range(len(ranks)), starts, ends, strict=True):
            mine = held.rows[start:end] - first_rows[one]
            mine = mine[(mine >= 0) & (mine < rows[one])]
            if len(mine):
                of_files[int(ranks[one])] = mine
        return _Found(np.union1d(np.array(list(of_files), np.int32), in_others), of_files)

    def _covered(self, index: IndexedFiles, column: str) -> Mask:
        """Return of which files every row has its pointer."""
        covered = ~self._table.are_after(index.index.manifest.up_to, self._ranks)
        longest = longest_indexed(index.tables[self.dataset.name, column])
        if longest is not None:
            covered &= ~self._table.are_longer(longest, self._ranks)
        return covered

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

    async def intervals(self, column: str, unit: int) -> list[tuple[int, int]]:
        """Return intervals that hold every value of a column of integers, in a unit.

        Raises:
            ConfigError, SourceError: As `row_groups`.
        """
        lows, highs, unknown = [NO_VALUES], [NO_VALUES], [self._ranks[:0]]
        for bounds in self._table.bounds(column, self._ranks):
            known = valid(bounds.low)
            unknown.append(bounds.ranks[~known])
            lows.append(bounds.low.drop_null().to_numpy() // unit)
            highs.append(bounds.high.drop_null().to_numpy() // unit)
        for group in await Catalog(self._table, np.concatenate(unknown)).row_groups():
            interval = group.bounds.get(column)
            if interval is not None:
                lows.append(np.array([int(interval.low) // unit], np.int64))
                highs.append(np.array([int(interval.high) // unit], np.int64))
        pairs = np.stack([np.concatenate(lows), np.concatenate(highs)], 1)
        return [(low, high) for low, high in np.unique(pairs, axis=0).tolist()]

    def _where(self, mask: Mask) -> Catalog:
        return Catalog(self._table, self._ranks[mask])

    def _sum(self, name: str) -> int:
        return self._table.sum(name, self._ranks)
