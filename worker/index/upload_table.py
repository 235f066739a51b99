"""Rows of uploads in chunks, read a few columns at a time: they do not fit in memory all at once.

A chunk is a row group of a file, or a table in memory. Checksums and the smallest and largest
values of a chunk say which of them may hold what is looked up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.masks import true
from worker.index.upload_rows import CHECKSUMS, FIELDS, checksum, type_of

HELD_BYTES = 4 << 20
"""Columns of chunks that are held for further look-ups."""

Codes = npt.NDArray[np.int32]
"""Row numbers, or numbers of texts of a few."""


class Chunk(Protocol):
    """Some consecutive rows of uploads."""

    @property
    def rows(self) -> int:
        """Number of rows, one at least."""

    @property
    def names(self) -> Sequence[str]:
        """Columns that it has."""

    def column(self, name: str) -> pa.Array:
        """Return a column that it has."""

    def extremes(self, name: str) -> tuple[Any, Any] | None:
        """Return the smallest and the largest value of a column; None where they are unknown."""


class TableChunk:
    """Rows in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()

    @property
    def rows(self) -> int:
        return len(self._table)

    @property
    def names(self) -> Sequence[str]:
        names: list[str] = self._table.column_names
        return names

    def column(self, name: str) -> pa.Array:
        return self._table.column(name).combine_chunks()

    def extremes(self, name: str) -> tuple[Any, Any] | None:
        column = self._table.column(name)
        if column.null_count:
            return None
        found = pc.min_max(column)
        return found["min"].as_py(), found["max"].as_py()


class FileChunk:
    """A row group of a Parquet file."""

    def __init__(self, file: pq.ParquetFile, number: int) -> None:
        self._file = file
        self._number = number

    @cached_property
    def _metadata(self) -> pq.RowGroupMetaData:
        return self._file.metadata.row_group(self._number)

    @property
    def rows(self) -> int:
        return int(self._metadata.num_rows)

    @property
    def names(self) -> Sequence[str]:
        names: list[str] = self._file.schema_arrow.names
        return names

    def column(self, name: str) -> pa.Array:
        table = self._file.read_row_group(self._number, columns=[name], use_threads=False)
        return table.column(name).combine_chunks()

    def extremes(self, name: str) -> tuple[Any, Any] | None:
        statistics = self._metadata.column(list(self.names).index(name)).statistics
        if statistics is None or not statistics.has_min_max or statistics.null_count:
            return None
        return statistics.min, statistics.max


@dataclass(frozen=True)
class Coded:
    """A column of few different texts.

    Attributes:
        texts: The texts.
        codes: Position among them of the text of each row.
    """

    texts: Sequence[str]
    codes: Codes


class UploadTable:
    """Rows of `worker.index.upload_rows`, ascending by sequence."""

    def __init__(self, chunks: Sequence[Chunk] = ()) -> None:
        self.chunks = tuple(chunks)
        self._edges = np.cumsum([0, *(chunk.rows for chunk in self.chunks)], dtype=np.int64)
        self._held: OrderedDict[tuple[int, str], pa.Array] = OrderedDict()
        self._held_bytes = 0

    def __len__(self) -> int:
        return int(self._edges[-1])

    @cached_property
    def column_names(self) -> list[str]:
        """Columns that any chunk has: those of `FIELDS`, then bounds."""
        names = (*FIELDS.names, *(name for chunk in self.chunks for name in chunk.names))
        return list(dict.fromkeys(names))

    def scan(self, *names: str, start: int = 0) -> Iterator[tuple[int, list[pa.Array]]]:
        """Yield columns chunk by chunk, each with the number of its first row.

        Args:
            *names: The columns.
            start: First row that is wanted.
        """
        for number in range(self._chunk_of(start), len(self.chunks)):
            first = int(self._edges[number])
            skipped = max(start - first, 0)
            columns = [self._column(number, name).slice(skipped) for name in names]
            yield first + skipped, columns

    def scan_back(self, name: str, end: int) -> Iterator[tuple[int, pa.Array]]:
        """Yield a column before a row chunk by chunk, from the last one to the first."""
        for number in range(len(self.chunks) - 1, -1, -1):
            first = int(self._edges[number])
            if first < end:
                yield first, self._column(number, name).slice(0, end - first)

    def numbers(self, name: str) -> Int64s:
        """Return a column of integers."""
        found = np.empty(len(self), np.int64)
        for first, (column,) in self.scan(name):
            found[first : first + len(column)] = column.to_numpy()
        return found

    def codes(self, name: str) -> Coded:
        """Return a column of few different texts."""
        numbers: dict[str, int] = {}
        codes = np.empty(len(self), np.int32)
        for first, (column,) in self.scan(name):
            encoded = column.dictionary_encode()
            of_chunk = [
                numbers.setdefault(text, len(numbers)) for text in encoded.dictionary.to_pylist()
            ]
            at = encoded.indices.to_numpy()
            codes[first : first + len(column)] = np.array(of_chunk, np.int32)[at]
        return Coded(list(numbers), codes)

    @cached_property
    def is_first(self) -> Mask:
        """Which rows are the first of their upload."""
        found = np.ones(len(self), bool)
        for number, chunk in enumerate(self.chunks):
            if chunk.extremes("part") != (0, 0):
                start, end = self._edges[number : number + 2]
                found[start:end] = self._column(number, "part").to_numpy() == 0
        return found

    def take(self, names: Sequence[str], rows: Int64s | Codes) -> pa.Table:
        """Return some columns of some rows, in the order of these."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        wanted = np.unique(np.searchsorted(self._edges, ascending, "right") - 1).tolist()
        parts = []
        for number in wanted:
            start, end = np.searchsorted(ascending, self._edges[number : number + 2])
            at = pa.array(ascending[start:end] - self._edges[number])
            parts.append(pa.table([self._column(number, name).take(at) for name in names], names))
        empty = pa.schema([(name, type_of(name)) for name in names]).empty_table()
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables([empty, *parts]).combine_chunks().take(pa.array(back))

    def rows_with(self, name: str, texts: Collection[str]) -> Int64s:
        """Return the rows that have one of some texts, ascending.

        Args:
            name: A column of `CHECKSUMS`.
            texts: The texts.
        """
        values = pa.array(list(texts), pa.string())
        checksums = np.unique(np.array([checksum(text) for text in texts], np.uint32))
        found = [np.zeros(0, np.int64)]
        for number in range(len(self.chunks) if len(texts) else 0):
            of_chunk = self._column(number, CHECKSUMS[name]).to_numpy()
            at = np.flatnonzero(np.isin(of_chunk, checksums))
            if len(at):
                column = self._column(number, name).take(pa.array(at))
                found.append(at[true(pc.is_in(column, values))] + self._edges[number])
        return np.concatenate(found)

    def rows_with_text(self, name: str) -> Int64s:
        """Return the rows whose text in a column is not empty, ascending."""
        found = [np.zeros(0, np.int64)]
        for number, chunk in enumerate(self.chunks):
            if chunk.extremes(name) != ("", ""):
                at = np.flatnonzero(true(pc.not_equal(self._column(number, name), "")))
                found.append(at + self._edges[number])
        return np.concatenate(found)

    def rows_above(self, name: str, value: int) -> Int64s:
        """Return the rows whose integer in a column is larger than another one, ascending."""
        found = [np.zeros(0, np.int64)]
        for number, chunk in enumerate(self.chunks):
            extremes = chunk.extremes(name)
            if extremes is None or extremes[1] > value:
                of_chunk = self._column(number, name).to_numpy()
                found.append(np.flatnonzero(of_chunk > value) + self._edges[number])
        return np.concatenate(found)

    def rows_of(self, sequences: Int64s) -> Int64s:
        """Return the rows of the uploads of some ascending sequences, ascending."""
        found = [np.zeros(0, np.int64)]
        for number, chunk in enumerate(self.chunks):
            low, high = chunk.extremes("sequence") or (0, 2**62)
            start, end = np.searchsorted(sequences, [low, high + 1])
            if start < end:
                of_chunk = self._column(number, "sequence").to_numpy()
                hit = np.isin(of_chunk, sequences[start:end])
                found.append(np.flatnonzero(hit) + self._edges[number])
        return np.concatenate(found)

    def first_after(self, sequence: int) -> int:
        """Return the first row of an upload after a sequence; the number of rows where none is."""
        for number in range(len(self.chunks) - 1, -1, -1):
            of_chunk = self._column(number, "sequence").to_numpy()
            at = int(np.searchsorted(of_chunk, sequence, "right"))
            if at or not number:
                return int(self._edges[number]) + at
        return 0

    def _chunk_of(self, row: int) -> int:
        return int(np.searchsorted(self._edges, row, "right")) - 1 if row < len(self) else 2**31

    def _column(self, number: int, name: str) -> pa.Array:
        """Return a column of a chunk; all null where the chunk does not have it."""
        place = (number, name)
        found = self._held.pop(place, None)
        if found is None:
            chunk = self.chunks[number]
            if name not in chunk.names:
                return pa.nulls(chunk.rows, type_of(name))
            found = chunk.column(name)
            self._held_bytes += found.nbytes
        self._held[place] = found
        while self._held_bytes > HELD_BYTES and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self._held_bytes -= oldest.nbytes
        return found
