"""What the ledger knows of every clean file of a dataset, in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.model import Dataset
from kpi.kernels.arrays import Int64s
from kpi.kernels.masks import true
from worker.index.upload_rows import bound_names
from worker.packs.packs import PACKED_FILE_BYTES, Packs
from worker.transform.clean_files import CleanFile
from worker.transform.file_cache import FileCache
from worker.transform.indexed_files import IndexedFiles
from worker.transform.limits import TransformLimits

Ranks = npt.NDArray[np.int64]
"""Positions of clean files from the earliest version to the latest."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Smallest and largest value of one column, for each file; null where unknown."""

    low: pa.Array
    high: pa.Array


@dataclass(frozen=True, kw_only=True)
class SmallFile:
    """A file that may be packed.

    Attributes:
        sequence: Ledger sequence of its entry.
        key: Its key below the workspace.
        file: The file, where it is in use.
    """

    sequence: int
    key: str
    file: CleanFile | None


class FileTable:
    """One row for each clean file of a dataset: about 0.3 KiB, for as many as were ever committed.

    A `CleanFile` is built only for a file in use. Files of uploads that do not count are kept: they
    say which days their going changes.

    Attributes:
        dataset: The dataset.
        limits: What may be held of its rows at once.
        index: Where keys are, in the files that it covers; None for no index.
    """

    def __init__(
        self,
        dataset: Dataset,
        cache: FileCache,
        limits: TransformLimits,
        rows: pa.Table,
        places: Int64s,
    ) -> None:
        """Take the files of a dataset, from the earliest version to the latest.

        Args:
            dataset: The dataset.
            cache: Opens its files.
            limits: What may be held of its rows at once.
            rows: Clean files of all datasets, of `worker.index.upload_rows`.
            places: Place of each in the order of precedence; -1 where its upload does not count.
        """
        self.dataset = dataset
        self.limits = limits
        self.index: IndexedFiles | None = None
        self._cache = cache
        # Ids are integers or texts (UUIDs as texts), instants microseconds.
        self._types = {
            name: int if dataset.columns[name].type in ("integer", "timestamp") else str
            for name in cache.pruning_columns
            if name in dataset.columns
        }
        of_dataset = pc.equal(rows.column("part_dataset"), dataset.name)
        has_file = pc.and_(of_dataset, rows.column("key").is_valid())
        mine = np.flatnonzero(true(has_file.combine_chunks()))
        # The later version wins a key. The sort is stable: parts of one entry keep their order.
        self._order = mine[np.argsort(places[mine], kind="stable")]
        self._rows = rows
        self._counted = places[self._order] >= 0
        self._files: dict[int, CleanFile] = {}

    def __len__(self) -> int:
        return len(self._order)

    @property
    def counted(self) -> Ranks:
        """Ranks of the files that count."""
        return np.flatnonzero(self._counted)

    def of_ranks(self, of_rows: Int64s) -> Int64s:
        """Select from one value for each clean file of all datasets those of the ranks."""
        return of_rows[self._order]

    def in_order(self, places: Int64s) -> FileTable:
        """Return the same files in another order of precedence; see `__init__`."""
        return FileTable(self.dataset, self._cache, self.limits, self._rows, places)

    def file(self, rank: int) -> CleanFile:
        """Return the file of a rank; the same object at each call."""
        if rank not in self._files:
            names = ("source_id", "url", "key", "sequence", "size_bytes", "rows", "ascending")
            row = int(self._order[rank])
            fields: dict[str, Any] = {name: self._rows.column(name)[row].as_py() for name in names}
            upload = row - self._rows.column("part")[row].as_py()
            self._files[rank] = CleanFile(self._cache, rank=rank, upload=upload, **fields)
        return self._files[rank]

    def uploads(self, ranks: Ranks) -> Int64s:
        """Return the first row of the upload, in `History.rows`, of the files of some ranks."""
        found: Int64s = self._order[ranks] - self.column("part", ranks).to_numpy()
        return found

    @property
    def packs(self) -> Packs | None:
        """Copies of small files; None for none."""
        return self._cache.packs

    @packs.setter
    def packs(self, packs: Packs) -> None:
        self._cache.packs = packs

    def small_files(self, after: int) -> list[SmallFile]:
        """Return the files of packable length of entries after a sequence, ascending by it."""
        ranks = np.arange(len(self))
        sequences, sizes = (
            self.column(name, ranks).to_numpy() for name in ("sequence", "size_bytes")
        )
        found = ranks[(sequences > after) & (sizes <= PACKED_FILE_BYTES)]
        keys = self.column("key", found).to_pylist()
        opened = [self._files.get(rank) for rank in found.tolist()]
        return [
            SmallFile(sequence=int(sequences[rank]), key=key, file=file)
            for rank, key, file in zip(found, keys, opened, strict=True)
        ]

    def column(self, name: str, ranks: Ranks) -> pa.Array:
        """Return one column, for the files of some ranks."""
        found = self._rows.column(name).take(pa.array(self._order[ranks]))
        return found.combine_chunks()

    def bounds(self, column: str, ranks: Ranks) -> Bounds:
        """Return the bounds of a pruning column in the files of some ranks."""
        kind = self._types.get(column, int)
        names = bound_names(column, kind)
        # Those of another type are of another contract: opening the file reports it.
        if column not in self._types or names[0] not in self._rows.column_names:
            unknown = pa.nulls(len(ranks), pa.int64() if kind is int else pa.string())
            return Bounds(low=unknown, high=unknown)
        low, high = (self.column(name, ranks) for name in names)
        return Bounds(low=low, high=high)

    @property
    def bytes_read(self) -> int:
        return sum(file.bytes_read for file in self._files.values())
