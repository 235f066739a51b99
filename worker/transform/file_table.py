"""What the ledger knows of every clean file of a dataset, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.contract.model import Dataset
from kpi.kernels.arrays import Mask
from worker.state import Entry
from worker.state.entry import Part
from worker.transform.clean_files import CleanFile
from worker.transform.file_cache import FileCache
from worker.transform.indexed_files import IndexedFiles
from worker.transform.limits import TransformLimits

Ranks = npt.NDArray[np.int64]
"""Positions of clean files from the earliest version to the latest."""

_FIELDS = [
    pa.field("source_id", pa.string()),
    pa.field("sequence", pa.int64()),
    pa.field("url", pa.string()),
    pa.field("key", pa.string()),
    pa.field("rows", pa.int64()),
    pa.field("first_row", pa.int64()),
    pa.field("size_bytes", pa.int64()),
    pa.field("ascending", pa.bool_()),
]
"""Columns of every dataset; two more follow for each pruning column."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Smallest and largest value of one column, for each file; null where unknown."""

    low: pa.Array
    high: pa.Array


class FileTable:
    """One row for each clean file of a dataset: about 0.3 KiB, for as many as were ever committed.

    Rows are added in any order; `close` sorts them. A `CleanFile` is built only for a file in use.
    Files of uploads that do not count are kept: they say which days their going changes.

    Attributes:
        dataset: The dataset.
        limits: What may be held of its rows at once.
        index: Where keys are, in the files that it covers; None for no index.
    """

    def __init__(self, dataset: Dataset, cache: FileCache, limits: TransformLimits) -> None:
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
        bounds = [
            pa.field(name, pa.int64() if kind is int else pa.string())
            for column, kind in self._types.items()
            for name in _bound_names(column)
        ]
        self._schema = pa.schema([*_FIELDS, *bounds])
        self._batches: list[pa.RecordBatch] = []
        self._columns: dict[str, pa.Array] = {}
        self._files: dict[int, CleanFile] = {}
        self._counted: Mask = np.zeros(0, bool)

    def add(self, entries: Iterable[Entry]) -> None:
        """Add the files of accepted entries of the dataset."""
        rows = [row for entry in entries for row in self._rows(entry)]
        if rows:
            columns = zip(*rows, strict=True)
            arrays = [
                pa.array(values, field.type)
                for values, field in zip(columns, self._schema, strict=True)
            ]
            self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def close(self, places: Mapping[int, int]) -> None:
        """Sort the files from the earliest version to the latest; nothing is added afterwards.

        Args:
            places: Ledger sequence of each entry that counts -> its place in the order of
                precedence.
        """
        table = pa.Table.from_batches(self._batches, self._schema)
        self._batches.clear()
        place = np.array([places.get(one, -1) for one in table["sequence"].to_pylist()], np.int64)
        # The later version wins a key. The sort is stable: parts of one entry keep their order.
        order = np.argsort(place, kind="stable")
        for name in table.column_names:
            self._columns[name] = table.column(name).take(pa.array(order)).combine_chunks()
            table = table.drop_columns([name])  # gives its memory back
        self._counted = place[order] >= 0

    def __len__(self) -> int:
        return len(self._columns["key"])

    @property
    def counted(self) -> Ranks:
        """Ranks of the files that count."""
        return np.flatnonzero(self._counted)

    def file(self, rank: int) -> CleanFile:
        """Return the file of a rank; the same object at each call."""
        if rank not in self._files:
            names = ("source_id", "url", "key", "rows", "ascending")
            fields: dict[str, Any] = {name: self._columns[name][rank].as_py() for name in names}
            self._files[rank] = CleanFile(self._cache, rank=rank, **fields)
        return self._files[rank]

    def column(self, name: str, ranks: Ranks) -> pa.Array:
        """Return one column, for the files of some ascending ranks."""
        values = self._columns[name]
        return values if len(ranks) == len(values) else values.take(pa.array(ranks))

    def bounds(self, column: str, ranks: Ranks) -> Bounds:
        """Return the bounds of a pruning column in the files of some ranks."""
        if column not in self._types:
            unknown = pa.nulls(len(ranks), pa.int64())
            return Bounds(low=unknown, high=unknown)
        low, high = (self.column(name, ranks) for name in _bound_names(column))
        return Bounds(low=low, high=high)

    @property
    def bytes_read(self) -> int:
        return sum(file.bytes_read for file in self._files.values())

    def _rows(self, entry: Entry) -> Iterator[tuple[object, ...]]:
        """Yield the values of the schema's fields for each file of an entry."""
        first_row = 0
        for part in entry.parts:
            if part.dataset not in ("", self.dataset.name):
                continue
            yield (
                *(entry.source_id, entry.sequence, entry.url),
                *(part.key, part.rows, first_row, part.size_bytes, part.ascending),
                *self._bounds(part),
            )
            first_row += part.rows

    def _bounds(self, part: Part) -> Iterator[int | str | None]:
        for column, kind in self._types.items():
            interval = part.ranges.get(column)
            # Of another type, it is of another contract: opening the file reports it.
            known = interval is not None and isinstance(interval.low, kind)
            yield interval.low if known and interval is not None else None
            yield interval.high if known and interval is not None else None


def _bound_names(column: str) -> tuple[str, str]:
    """Return the names of the two columns that hold a pruning column's bounds."""
    return f"{column}_low", f"{column}_high"
