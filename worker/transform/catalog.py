"""Clean files at one ledger sequence, and which of their row groups may hold a value.

The ledger has the bounds of each file, so that only files that may matter are opened. Their footers
have the bounds of their row groups.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.model import Dataset
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import true
from worker.runtime.concurrency import each
from worker.state.entry import Interval
from worker.transform.clean_files import CleanFile, RowGroup
from worker.transform.file_table import FileTable, Ranks
from worker.transform.intervals import IntervalSet
from worker.transform.limits import TransformLimits

CONCURRENT_FOOTER_READS = 32
"""Footers read at once."""


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

    def since(self, sequence: int) -> Catalog:
        """Select the files of source objects that were committed after a sequence."""
        return self._where(true(pc.greater(self._table.column("sequence", self._ranks), sequence)))

    def without(self, others: Catalog) -> Catalog:
        """Select the files that are not in another catalog of the dataset."""
        return Catalog(self._table, np.setdiff1d(self._ranks, others._ranks, assume_unique=True))

    def intersecting(self, column: str, intervals: IntervalSet) -> Catalog:
        """Select the files that may hold a value of some intervals, by the ledger's bounds."""
        bounds = self._table.bounds(column, self._ranks)
        return self._where(intervals.intersects_each(bounds.low, bounds.high))

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
            if any(intervals.intersects(one) for one in group.intervals(column))
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
