"""Parquet as records, row group by row group."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kpi.contract.model import header_form
from kpi.contract.shop import FileLayout
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.mapping.headers import CURRENCY_HEADERS, FileRefusedError, wanted_headers
from kpi.mapping.typed_cells import flat_columns, texts_of
from kpi.validation.row_rejects import NO_OFFSET, PlacedRow, assemble_row_rejects
from kpi.validation.rules import Problem
from worker.runtime.memory_budget import MIB
from worker.validate.formats import (
    NO_LEVELS,
    UNKNOWN_HEADER,
    Candidate,
    FormatContext,
    Opened,
    ReadRecords,
)
from worker.validate.formats.json_records import IS_A_ROW, numeric_forms
from worker.validate.formats.parquet_pages import ColumnChunk, PageGuard
from worker.validate.formats.ranged_file import MAX_READ_BYTES, RangedFile
from worker.validate.verdict import INFLATION_FREE_BYTES, Unreadable

BATCH_ROWS = 65_536
"""Rows that are mapped together."""

READ_BUFFER_BYTES = MIB
"""Bytes of a column chunk that are read at once."""

MAX_FOOTER_BYTES = 8 * MIB
"""A footer of 20 columns and 1,000 row groups has 2 MB; Arrow holds up to 50 times that."""

MAX_BATCH_BYTES = 32 * MIB
"""Texts of the rows that are mapped together."""

TEXTS = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string, pa.types.is_large_binary)

MAX_FIXED_BYTES = 64
"""Of a value of fixed length; the longest that mean something, decimals, have 32."""

UNBOUNDED = "DELTA_BYTE_ARRAY"
"""Encoding in which a value of any length takes a byte."""


class ParquetRecords:
    """Rows of one batch; see `Records`."""

    broken = 0
    blank = 0
    has_level: Sequence[Mask] = ()

    def __init__(self, batch: pa.RecordBatch, reader: ParquetReader) -> None:
        self._headers = reader.headers[:-1]
        columns = dict(flat_columns(batch))
        self.columns: Sequence[pa.Array] = [
            _checked(texts_of(columns[header], reader.decimal_of(header)))
            for header in self._headers
        ]
        self.columns.append(pa.array(["1"] * batch.num_rows, pa.string()))
        self.count = batch.num_rows

    def rejects(
        self, problems: list[Problem], rejected: Positions, kept: Positions
    ) -> tuple[pa.Table, Counter[str]]:
        def place(at: int) -> PlacedRow:
            row = int(kept[at])
            cells = {
                header: shown(column[row].as_py())
                for header, column in zip(self._headers, self.columns, strict=False)
            }
            return PlacedRow(row=row, offset=NO_OFFSET, raw=orjson.dumps(cells))

        return assemble_row_rejects(problems, rejected, place)


def _checked(texts: pa.Array) -> pa.Array:
    """Take texts that are not UTF-8 for bytes: Arrow decodes none, whatever their type says."""
    if not pa.types.is_string(texts.type):
        return texts
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return texts.view(pa.binary())
    return texts


def shown(cell: str | bytes | None) -> str | None:
    """Write a cell as a text for a reject."""
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell


class ParquetReader:
    """Reads a Parquet file; see `RecordReader`."""

    levels: Mapping[str, int] = NO_LEVELS
    first_record = 0
    extra_dates = True

    def __init__(
        self,
        file: pq.ParquetFile,
        raw: RangedFile,
        headers: Sequence[str],
        numeric: set[str],
        layout: FileLayout,
        executor: Executor,
        max_inflation: int,
    ) -> None:
        self._file = file
        self._raw = raw
        self._numeric = numeric
        self._layout = layout
        self._executor = executor
        self._max_inflation = max_inflation
        self.headers = (*headers, IS_A_ROW)

    def decimal_of(self, header: str) -> str:
        """Tell the mark before the decimals that a column gets."""
        is_number = header_form(header) in self._numeric
        return self._layout.numbers.decimal if is_number else "."

    async def read(self) -> AsyncGenerator[ReadRecords, None]:
        names = list(self.headers[:-1])
        loop = asyncio.get_running_loop()
        size = 0
        batches = self._file.iter_batches(BATCH_ROWS, columns=names, use_threads=False)
        while True:
            batch, lengths = await loop.run_in_executor(self._executor, _next, batches)
            if batch is None:
                return
            size += int(lengths.sum())
            allowed = self._max_inflation * max(self._raw.bytes_read, 1) + INFLATION_FREE_BYTES
            if size > allowed:
                raise Unreadable(
                    f"expected at most {self._max_inflation} bytes out per byte in, got {size} "
                    f"bytes from {self._raw.bytes_read} (limits.max_inflation)"
                )
            for start, stop in _slices(lengths):
                yield self._task(batch.slice(start, stop - start))

    def _task(self, batch: pa.RecordBatch) -> ReadRecords:
        return lambda: ParquetRecords(batch, self)


@contextmanager
def decoding() -> Iterator[None]:
    """Turn errors of decoding into a verdict.

    Raises:
        Unreadable: The block could not decode the file.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        cause = (str(error).splitlines() or [""])[0][:200]
        raise Unreadable(f"expected a Parquet file, got damaged bytes: {cause}") from error


def _lengths_of(batch: pa.RecordBatch) -> Int64s:
    """Count the bytes of each row, texts of dictionaries as often as they stand there."""
    lengths = np.zeros(batch.num_rows, np.int64)
    for _, column in flat_columns(batch):
        if pa.types.is_dictionary(column.type):
            of_value = pc.binary_length(column.dictionary)
            found = of_value.take(column.indices)
        elif any(is_kind(column.type) for is_kind in TEXTS):
            found = pc.binary_length(column)
        else:
            lengths += 8
            continue
        lengths += pc.fill_null(found, 0).to_numpy(zero_copy_only=False)
    return lengths


def _slices(lengths: Int64s) -> Iterator[tuple[int, int]]:
    """Divide rows so that each part has at most `MAX_BATCH_BYTES`, or one row."""
    ends = np.cumsum(lengths)
    start, before = 0, 0
    while start < len(lengths):
        stop = int(np.searchsorted(ends, before + MAX_BATCH_BYTES, side="right"))
        stop = max(stop, start + 1)
        yield start, stop
        start, before = stop, int(ends[stop - 1])


def _guard(file: pq.ParquetFile, headers: Sequence[str]) -> PageGuard:
    """Guard the pages of some columns.

    Raises:
        Unreadable: One of them may take any memory.
    """
    wanted = set(headers)
    schema = file.schema
    numbers = [at for at in range(len(schema)) if schema.column(at).path in wanted]
    for at in numbers:
        column = schema.column(at)
        if column.max_repetition_level:
            raise Unreadable(f"expected single values in {column.path}, got lists")
        if column.physical_type == "FIXED_LEN_BYTE_ARRAY" and column.length > MAX_FIXED_BYTES:
            raise Unreadable(f"expected values of at most {MAX_FIXED_BYTES} bytes in {column.path}")
    chunks = []
    for group in range(file.metadata.num_row_groups):
        of_group = file.metadata.row_group(group)
        for at in numbers:
            about = of_group.column(at)
            if UNBOUNDED in about.encodings:
                raise Unreadable(
                    f"expected other encodings than {UNBOUNDED}, got it in {about.path_in_schema}"
                )
            start = about.data_page_offset
            if about.has_dictionary_page and 0 < about.dictionary_page_offset < start:
                start = about.dictionary_page_offset
            chunks.append(
                ColumnChunk(
                    column=at,
                    start=start,
                    end=start + about.total_compressed_size,
                    has_dictionary=about.has_dictionary_page,
                )
            )
    return PageGuard(chunks)


def _texts_in_dictionaries(file: pq.ParquetFile, headers: Sequence[str]) -> list[str]:
    """Name the columns of texts that have dictionaries, whose values may stand there often."""
    schema, metadata = file.schema, file.metadata
    return [
        schema.column(at).path
        for at in range(len(schema))
        if schema.column(at).path in headers
        and schema.column(at).physical_type == "BYTE_ARRAY"
        and schema.column(at).logical_type.type != "DECIMAL"
        and any(
            metadata.row_group(group).column(at).has_dictionary_page
            for group in range(metadata.num_row_groups)
        )
    ]


def _next(batches: Iterator[pa.RecordBatch]) -> tuple[pa.RecordBatch | None, Int64s]:
    """Decode a batch, and count the bytes of its rows."""
    with decoding():
        batch = next(batches, None)
        return batch, np.zeros(0, np.int64) if batch is None else _lengths_of(batch)


def parquet_headers(raw: RangedFile) -> list[str]:
    """Name the columns of a Parquet file; to be called in a thread.

    Raises:
        Unreadable: It is damaged.
    """
    return _headers(_open(raw))


def read_parquet_batches(raw: RangedFile, rows: int) -> Iterator[pa.Table]:
    """Read all rows of a Parquet file in parts, at least one; to be called in a thread.

    Raises:
        Unreadable: It is damaged.
    """
    file = _open(raw)
    headers = [
        name
        for name, column in flat_columns(file.schema_arrow.empty_table())
        if not pa.types.is_nested(column.type)
    ]
    file = _open_columns(raw, file, headers)
    with decoding():
        batches = file.iter_batches(rows, columns=headers, use_threads=False)
        first = next(batches, None)
        yield pa.Table.from_batches([] if first is None else [first], file.schema_arrow)
        for batch in batches:
            yield pa.Table.from_batches([batch])


def _open(
    raw: RangedFile, metadata: pq.FileMetaData | None = None, dictionaries: Sequence[str] = ()
) -> pq.ParquetFile:
    raw.max_read_bytes = MAX_FOOTER_BYTES
    try:
        with decoding():
            return pq.ParquetFile(
                pa.PythonFile(raw, mode="r"),
                metadata=metadata,
                read_dictionary=list(dictionaries),
                pre_buffer=False,
                buffer_size=READ_BUFFER_BYTES,
                thrift_string_size_limit=MAX_FOOTER_BYTES,
                thrift_container_size_limit=MAX_FOOTER_BYTES // 8,
            )
    finally:
        raw.max_read_bytes = MAX_READ_BYTES


def _open_columns(raw: RangedFile, file: pq.ParquetFile, headers: Sequence[str]) -> pq.ParquetFile:
    """Open a file again to read some columns in bounded memory."""
    with decoding():
        raw.look = _guard(file, headers).look
        return _open(raw, file.metadata, _texts_in_dictionaries(file, headers))


def _headers(file: pq.ParquetFile) -> list[str]:
    with decoding():
        return [name for name, _ in flat_columns(file.schema_arrow.empty_table())]


def open_parquet(
    candidates: Sequence[Candidate], context: FormatContext, raw: RangedFile, executor: Executor
) -> Opened:
    """Find the entry whose columns a Parquet file has; to be called in a thread.

    Raises:
        FileRefusedError: No entry takes it.
        Unreadable: It is damaged.
    """
    file = _open(raw)
    headers = _headers(file)
    if len(headers) > context.max_columns:
        raise FileRefusedError(
            f"expected at most {context.max_columns} columns, got {len(headers)}"
        )
    forms = {header_form(header): header for header in headers}
    for candidate in candidates:
        layout = candidate.layout
        if layout.each:
            raise FileRefusedError("expected JSON, whose lists `each` names, got a Parquet file")
        if not layout.is_known_by(forms):
            continue
        asked = {form for some in wanted_headers(context.shop, layout) for form in some}
        asked |= {form for form in forms if form.rpartition(".")[2] in CURRENCY_HEADERS}
        # Without the columns asked for, the mapper names what is missing.
        read = [header for form, header in forms.items() if form in asked] or headers
        reader = ParquetReader(
            _open_columns(raw, file, read),
            raw,
            read,
            numeric_forms(context.shop, layout),
            layout,
            executor,
            context.max_inflation,
        )
        return Opened(candidate=candidate, reader=reader)
    raise FileRefusedError(UNKNOWN_HEADER)
