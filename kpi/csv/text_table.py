"""Records of a chunk as columns of texts, and the records that have other numbers of fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from kpi.csv.chunk import Chunk
from kpi.csv.record_bytes import field_counts, find_non_utf8, without_records
from kpi.csv.record_index import RecordIndex
from kpi.kernels.arrays import Positions


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

    columns: list[pa.Array]
    numbers: Positions
    wrong: Positions
    wrong_counts: Positions
    index: RecordIndex


def read_texts(chunk: Chunk, width: int, delimiter: str) -> TextTable:
    """Read the records of a chunk.

    Args:
        chunk: Whole records.
        width: Fields of a record.
        delimiter: Between them.
    """
    index = RecordIndex(chunk, delimiter=delimiter, by_newlines=False)
    wrong, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    left = chunk
    strange = find_non_utf8(chunk)
    if len(strange):
        # pyarrow cannot hand over a record of another width that is not UTF-8.
        some = index.numbers_at(strange)
        bounds = index.bounds(some)
        fields = field_counts(chunk, bounds, delimiter=delimiter)
        other = fields != width
        wrong, counts = some[other], fields[other]
        left = without_records(chunk, bounds[other])
    numbers: list[int] = []
    found: list[int] = []

    def handle(row: pacsv.InvalidRow) -> Literal["skip"]:
        # Numbered from 1 without blank lines, since one thread reads the chunk.
        numbers.append((row.number or 0) - 1)
        found.append(row.actual_columns)
        return "skip"

    names = [str(number) for number in range(width)]
    if not left.size or len(wrong) == len(index):
        columns = [pa.array([], pa.binary()) for _ in names]
    else:
        table = pacsv.read_csv(
            pa.BufferReader(left.data),
            read_options=pacsv.ReadOptions(
                column_names=names, use_threads=False, block_size=left.size + 1
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter,
                quote_char=False if chunk.has_no_quotes else '"',
                newlines_in_values=not chunk.has_no_quotes,
                invalid_row_handler=handle,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False
            ),
        )
        columns = [_one_array(table.column(name)) for name in names]
    every = np.setdiff1d(np.arange(len(index)), wrong, assume_unique=True)
    narrow = every[np.array(numbers, np.int64)]
    order = np.argsort(np.concatenate([wrong, narrow]))
    return TextTable(
        columns=columns,
        numbers=np.setdiff1d(every, narrow, assume_unique=True),
        wrong=np.concatenate([wrong, narrow])[order],
        wrong_counts=np.concatenate([counts, np.array(found, np.int64)])[order],
        index=index,
    )


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
