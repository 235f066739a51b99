"""What the ledger knows of every clean file of a dataset, in columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.contract.model import Dataset
from kpi.kernels.arrays import Int64s, Mask
from worker.index.upload_rows import bound_names
from worker.index.upload_table import UploadTable
from worker.packs.packs import PACKED_FILE_BYTES, Packs
from worker.transform.clean_files import CleanFile
from worker.transform.file_cache import FileCache
from worker.transform.history import Places
from worker.transform.indexed_files import IndexedFiles
from worker.transform.limits import TransformLimits

Ranks = npt.NDArray[np.int32]
"""Positions of clean files from the earliest version to the latest."""

FILE_COLUMNS = (
    *("source_id", "url", "key", "sequence", "size_bytes", "rows", "ascending", "part"),
)
"""What is read of a file in use."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Smallest and largest value of one column, for each of some files; null where unknown.

    Attributes:
        ranks: The files.
        low: Smallest values.
        high: Largest values.
    """

    ranks: Ranks
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
    """The clean files of a dataset that were ever committed: 5 bytes in memory for each.

    What else the ledger knows of one is read on demand. A `CleanFile` is built only for one in use.
    Files of uploads that do not count are kept: they say which days their going changes.

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
        rows: UploadTable,
        places: Places,
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
        # The later version wins a key. The sort is stable: parts of one entry keep their order.
        mine = self._mine(rows)
        self._order = mine[np.argsort(places[mine], kind="stable")]
        self._rows = rows
        self._counted = places[self._order] >= 0
        self._files: dict[int, CleanFile] = {}

    def _mine(self, rows: UploadTable) -> npt.NDArray[np.int32]:
        """Return the rows with a file of the dataset, ascending."""
        coded = rows.codes("part_dataset")
        if self.dataset.name not in coded.texts:
            return np.zeros(0, np.int32)
        of_dataset = coded.codes == coded.texts.index(self.dataset.name)
        return np.flatnonzero(of_dataset).astype(np.int32)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def counted(self) -> Ranks:
        """Ranks of the files that count."""
        return np.flatnonzero(self._counted).astype(np.int32)

    @property
    def every(self) -> Ranks:
        """Ranks of all files."""
        return np.arange(len(self), dtype=np.int32)

    def of_ranks(self, of_rows: Places) -> Places:
        """Select from one value for each clean file of all datasets those of the ranks."""
        return of_rows[self._order]

    def in_order(self, places: Places) -> FileTable:
        """Return the same files in another order of precedence; see `__init__`."""
        found = FileTable(self.dataset, self._cache, self.limits, self._rows, places)
        found.index = self.index
        return found

    def files(self, ranks: Ranks) -> list[CleanFile]:
        """Return the files of some ranks; the same objects at each call."""
        wanted = ranks.tolist()
        missing = [rank for rank in wanted if rank not in self._files]
        rows = self._order[np.array(missing, np.int32)]
        table = self._rows.take(FILE_COLUMNS, rows)
        for rank, row, fields in zip(missing, rows.tolist(), table.to_pylist(), strict=True):
            upload = row - fields.pop("part")
            self._files[rank] = CleanFile(self._cache, rank=rank, upload=upload, **fields)
        return [self._files[rank] for rank in wanted]

    def uploads(self, ranks: Ranks) -> Int64s:
        """Return the first row of the upload, in `History.rows`, of the files of some ranks."""
        rows = self._order[ranks].astype(np.int64)
        if self._rows.is_first.all():
            return rows
        found: Int64s = rows - self.column("part", ranks).to_numpy()
        return found

    def are_after(self, sequence: int, ranks: Ranks) -> Mask:
        """Return which files of some ranks are of entries after a sequence."""
        found: Mask = self._order[ranks] >= self._rows.first_after(sequence)
        return found

    def are_of_sources(self, source_ids: Collection[str], ranks: Ranks) -> Mask:
        """Return which files of some ranks are of some source objects."""
        return self._are_among(self._rows.rows_with("source_id", source_ids), ranks)

    def are_of_sequences(self, sequences: Int64s, ranks: Ranks) -> Mask:
        """Return which files of some ranks are of entries of some ascending sequences."""
        return self._are_among(self._rows.rows_of(sequences), ranks)

    def are_longer(self, rows: int, ranks: Ranks) -> Mask:
        """Return which files of some ranks have more than some rows."""
        return self._are_among(self._rows.rows_above("rows", rows), ranks)

    def _are_among(self, rows: Int64s, ranks: Ranks) -> Mask:
        if not len(rows):
            return np.zeros(len(ranks), bool)
        wanted = np.zeros(len(self._rows), bool)
        wanted[rows] = True
        return wanted[self._order[ranks]]

    def sum(self, name: str, ranks: Ranks) -> int:
        """Return the sum of a column of integers, for the files of some ranks."""
        wanted = np.zeros(len(self._rows), bool)
        wanted[self._order[ranks]] = True
        return sum(
            int(column.to_numpy()[wanted[first : first + len(column)]].sum())
            for first, (column,) in self._rows.scan(name)
        )

    def identify(self, up_to: int, update: Callable[[bytes], None]) -> None:
        """Pass on what identifies all files of entries up to a sequence: these, and their keys."""
        update(self.dataset.name.encode())
        wanted = np.zeros(len(self._rows), bool)
        wanted[self._order] = True
        wanted[self._rows.first_after(up_to) :] = False
        for first, columns in self._rows.scan("sequence", "key_crc"):
            mine = wanted[first : first + len(columns[0])]
            pairs = np.stack([column.to_numpy()[mine] for column in columns], 1, dtype=np.int64)
            update(pairs.tobytes())

    @property
    def packs(self) -> Packs | None:
        """Copies of small files; None for none."""
        return self._cache.packs

    @packs.setter
    def packs(self, packs: Packs) -> None:
        self._cache.packs = packs

    def small_files(self, after: int) -> list[SmallFile]:
        """Return the files of packable length of entries after a sequence, ascending by it."""
        ranks = self.every[self.are_after(after, self.every)]
        table = self._rows.take(["sequence", "size_bytes", "key"], self._order[ranks])
        places = zip(ranks.tolist(), *(one.to_pylist() for one in table.columns), strict=True)
        found = [
            SmallFile(sequence=sequence, key=key, file=self._files.get(rank))
            for rank, sequence, size, key in places
            if size <= PACKED_FILE_BYTES
        ]
        return sorted(found, key=lambda file: file.sequence)

    def column(self, name: str, ranks: Ranks) -> pa.Array:
        """Return one column, for the files of some ranks."""
        return self._rows.take([name], self._order[ranks]).column(name).combine_chunks()

    def bounds(self, column: str, ranks: Ranks) -> Iterator[Bounds]:
        """Yield the bounds of a pruning column in the files of some ranks, some at a time."""
        kind = self._types.get(column, int)
        names = bound_names(column, kind)
        # Those of another type are of another contract: opening the file reports it.
        if column not in self._types or names[0] not in self._rows.column_names:
            unknown = pa.nulls(len(ranks), pa.int64() if kind is int else pa.string())
            yield Bounds(ranks=ranks, low=unknown, high=unknown)
            return
        rows = self._order[ranks]
        by_row = np.argsort(rows, kind="stable")
        ascending = rows[by_row]
        for first, (low, high) in self._rows.scan(*names):
            start, end = np.searchsorted(ascending, [first, first + len(low)])
            if start < end:
                at = pa.array(ascending[start:end] - first)
                of_chunk = ranks[by_row[start:end]]
                yield Bounds(ranks=of_chunk, low=low.take(at), high=high.take(at))

    @property
    def bytes_read(self) -> int:
        return sum(file.bytes_read for file in self._files.values())
