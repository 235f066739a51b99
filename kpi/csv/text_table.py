"""Records of a chunk as columns of texts, and the records that have other numbers of fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from kpi.csv.chunk import Chunk
from kpi.csv.record_bytes import field_counts, find_non_utf8, without_records
from kpi.csv.record_index import RecordIndex
from kpi.kernels.arrays import Positions


class Columns(Sequence[pa.Array]):
    """Columns of the records of a chunk; those that nobody needs are read when they are asked for.

    Args:
        read: Reads some columns by their positions.
        width: Number of the columns.
        needed: Positions of those that are read at once.
    """

    def __init__(
        self, read: Callable[[Sequence[int]], list[pa.Array]], width: int, needed: Sequence[int]
    ) -> None:
        self._read = read
        self._width = width
        self._columns = dict(zip(needed, read(needed), strict=True))

    def __len__(self) -> int:
        return self._width

    @overload
    def __getitem__(self, at: int) -> pa.Array: ...
    @overload
    def __getitem__(self, at: slice) -> list[pa.Array]: ...
    def __getitem__(self, at: int | slice) -> pa.Array | list[pa.Array]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(self._width))]
        if not 0 <= at < self._width:
            raise IndexError(at)
        if at not in self._columns:
            others = [one for one in range(self._width) if one not in self._columns]
            self._columns.update(zip(others, self._read(others), strict=True))
        return self._columns[at]


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """Columns of the records of a chunk.

    Attributes:
        columns: Cells as bytes, in the order of the header.
        numbers: Number in the chunk of each record that the columns hold.
        wrong: Numbers of the records of other numbers of fields.
        wrong_counts: Fields that these have.
        index: Where the records of the chunk lie.
    """

    columns: Sequence[pa.Array]
    numbers: Positions
    wrong: Positions
    wrong_counts: Positions
    index: RecordIndex


class _Reader:
    """Reads some columns of a chunk with `pyarrow.csv`.

    Attributes:
        narrow: Numbers of the records of other numbers of fields.
        narrow_counts: Fields that these have.
    """

    def __init__(self, chunk: Chunk, width: int, delimiter: str) -> None:
        self._chunk = chunk
        self._names = [str(number) for number in range(width)]
        self._delimiter = delimiter
        self.narrow: list[int] = []
        self.narrow_counts: list[int] = []

    def read(self, positions: Sequence[int]) -> list[pa.Array]:
        """Read some columns, as bytes."""
        names = [self._names[at] for at in positions]
        if not self._chunk.size:
            return [pa.array([], pa.binary()) for _ in names]
        self.narrow, self.narrow_counts = [], []
        has_no_quotes = self._chunk.has_no_quotes
        table = pacsv.read_csv(
            pa.BufferReader(self._chunk.data),
            read_options=pacsv.ReadOptions(
                column_names=self._names, use_threads=False, block_size=self._chunk.size + 1
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self._delimiter,
                quote_char=False if has_no_quotes else '"',
                newlines_in_values=not has_no_quotes,
                invalid_row_handler=self._handle,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()),
                include_columns=names,
                strings_can_be_null=False,
            ),
        )
        return [_one_array(table.column(name)) for name in names]

    def _handle(self, row: pacsv.InvalidRow) -> Literal["skip"]:
        # Numbered from 1 without blank lines, since one thread reads the chunk.
        self.narrow.append((row.number or 0) - 1)
        self.narrow_counts.append(row.actual_columns)
        return "skip"


def read_texts(
    chunk: Chunk, width: int, delimiter: str, needed: Sequence[int] | None = None
) -> TextTable:
    """Read the records of a chunk.

    Args:
        chunk: Whole records.
        width: Fields of a record.
        delimiter: Between them.
        needed: Positions of the columns that are surely wanted, at least one; None for all.
    """
    index = RecordIndex(chunk, delimiter=delimiter)
    starts, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    left = chunk
    strange = find_non_utf8(chunk)
    if len(strange):
        # pyarrow cannot hand over a record of another width that is not UTF-8.
        bounds = index.bounds(index.numbers_at(strange))
        fields = field_counts(chunk, bounds, delimiter=delimiter)
        other = fields != width
        starts, counts = bounds[other].starts, fields[other]
        left = without_records(chunk, bounds[other])
    positions = range(width) if needed is None else needed
    reader = _Reader(left, width, delimiter)
    columns = Columns(reader.read, width, positions)
    rows = len(columns[positions[0]])
    records = rows + len(reader.narrow) + len(starts)
    index = index.numbered(records)
    wrong = index.numbers_at(starts)
    every = np.arange(records)
    if records == rows:
        return TextTable(
            columns=columns, numbers=every, wrong=wrong, wrong_counts=counts, index=index
        )
    every = np.setdiff1d(every, wrong, assume_unique=True)
    narrow = every[np.array(reader.narrow, np.int64)]
    order = np.argsort(np.concatenate([wrong, narrow]))
    return TextTable(
        columns=columns,
        numbers=np.setdiff1d(every, narrow, assume_unique=True),
        wrong=np.concatenate([wrong, narrow])[order],
        wrong_counts=np.concatenate([counts, np.array(reader.narrow_counts, np.int64)])[order],
        index=index,
    )


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
