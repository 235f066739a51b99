"""Parquet as records, row group by row group."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from kpi.contract.model import header_form
from kpi.contract.shop import FileLayout
from kpi.kernels.arrays import Mask, Positions
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
from worker.validate.formats.ranged_file import RangedFile
from worker.validate.verdict import INFLATION_FREE_BYTES, Unreadable

BATCH_ROWS = 65_536
"""Rows that are mapped together."""

READ_BUFFER_BYTES = MIB
"""Bytes of a column chunk that are read at once."""

MAX_FOOTER_BYTES = 16 * MIB
"""Strings of a footer; a footer of 10,000 columns and 100 row groups has 10 MB."""


class ParquetRecords:
    """Rows of one batch; see `Records`."""

    broken = 0
    has_level: Sequence[Mask] = ()

    def __init__(self, batch: pa.RecordBatch, reader: ParquetReader) -> None:
        self._headers = reader.headers[:-1]
        columns = dict(flat_columns(batch))
        self.columns: list[pa.Array] = [
            texts_of(columns[header], reader.decimal_of(header)) for header in self._headers
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
        names = list(dict.fromkeys(one.split(".")[0] for one in self.headers[:-1]))
        loop = asyncio.get_running_loop()
        size = 0
        batches = self._file.iter_batches(BATCH_ROWS, columns=names, use_threads=False)
        while True:
            batch = await loop.run_in_executor(self._executor, _next, batches)
            if batch is None:
                return
            size += batch.nbytes
            allowed = self._max_inflation * max(self._raw.bytes_read, 1) + INFLATION_FREE_BYTES
            if size > allowed:
                raise Unreadable(
                    f"expected at most {self._max_inflation} bytes out per byte in, got {size} "
                    f"bytes from {self._raw.bytes_read} (limits.max_inflation)"
                )
            yield self._task(batch)

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


def _next(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    with decoding():
        return next(batches, None)


def parquet_headers(raw: RangedFile) -> list[str]:
    """Name the columns of a Parquet file; to be called in a thread.

    Raises:
        Unreadable: It is damaged.
    """
    return _headers(_open(raw))


def read_parquet_sample(raw: RangedFile, rows: int) -> pa.Table:
    """Read the first rows of a Parquet file; to be called in a thread.

    Raises:
        Unreadable: It is damaged.
    """
    file = _open(raw)
    with decoding():
        batches = file.iter_batches(rows, use_threads=False)
        first = next(batches, None)
        return pa.Table.from_batches([] if first is None else [first], file.schema_arrow)


def _open(raw: RangedFile) -> pq.ParquetFile:
    with decoding():
        return pq.ParquetFile(
            pa.PythonFile(raw, mode="r"),
            pre_buffer=False,
            buffer_size=READ_BUFFER_BYTES,
            thrift_string_size_limit=MAX_FOOTER_BYTES,
            thrift_container_size_limit=MAX_FOOTER_BYTES,
        )


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
            file,
            raw,
            read,
            numeric_forms(context.shop, layout),
            layout,
            executor,
            context.max_inflation,
        )
        return Opened(candidate=candidate, reader=reader)
    raise FileRefusedError(UNKNOWN_HEADER)
