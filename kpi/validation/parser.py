"""Parse chunks of whole records: every record becomes one clean row or one reject.

Three steps: read the columns (`kpi.validation.reading`), judge their values against the contract,
assemble clean rows and rejects (`kpi.validation.rejects`). A column that Arrow could not type
comes as raw bytes, and each of its values is judged alone (`kpi.validation.slow_path`). Both ways
give the same verdicts, so which one a chunk takes changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.contract.arrow_types import INSTANT
from kpi.contract.date_formats import suggest_formats
from kpi.contract.model import Column
from kpi.contract.receipt_notes import Note
from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Chunk
from kpi.csv.header import RESCUED, Layout
from kpi.csv.record_index import RecordIndex
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.masks import booleans
from kpi.kernels.uuids import UUID_TEXT, parse_uuid_column
from kpi.validation.reading import ChunkReader, ReadColumns, one_array
from kpi.validation.rejects import ParsedChunk, assemble, assemble_clean
from kpi.validation.rescued import rescue
from kpi.validation.rules import Problem, Remark, Values, broken_rules
from kpi.validation.slow_path import convert, decode_text, trim_column, without_values
from kpi.validation.text import RAW_DICTIONARY
from kpi.validation.timestamps import NAIVE, to_instants, with_dates_alone


@dataclass(frozen=True)
class _JudgedRows:
    """The rows of a chunk that have the right column count.

    Attributes:
        table: Rows of the clean zone's schema.
        problems: Problems that reject some of them.
        remarks: What was changed in them.
    """

    table: pa.Table
    problems: list[Problem]
    remarks: list[Remark]


class ChunkParser:
    """Parse the chunks of one source object; several threads may use it at once."""

    def __init__(
        self,
        layout: Layout,
        short_steps: AbstractContextManager[object] | None = None,
        *,
        raw_columns: Iterable[str] = (),
    ) -> None:
        """Begin a source object.

        Args:
            layout: Layout of the object.
            short_steps: Entered around many short numpy calls. Where several threads parse this is
                a lock, since they would contend for the GIL at every call.
            raw_columns: Columns to read as raw bytes from the start, as after a bad value.
        """
        self._layout = layout
        self._short_steps = short_steps or nullcontext()
        self._schema = layout.schema
        self._reader = ChunkReader(layout, raw_columns)

    def parse(self, chunk: Chunk) -> ParsedChunk:
        """Parse every record of a chunk.

        Raises:
            BalanceError: Records and results differ in number.
        """
        index = RecordIndex(chunk, delimiter=self._layout.contract.delimiter)
        read = self._reader.read(chunk, index)
        rows = self._judge(read)
        if not rows.problems and not read.wrong_count and not chunk.malformed:
            return assemble_clean(rows.table, rows.remarks, self._layout)
        index = index.numbered(read.record_count)
        return assemble(
            chunk,
            index,
            rows.table,
            rows.problems,
            rows.remarks,
            read.wrong_column_counts(index),
            self._layout,
        )

    def _judge(self, read: ReadColumns) -> _JudgedRows:
        """Convert what is still raw, and hold all values against the contract's rules."""
        count = len(read.columns[0])
        known: list[Problem] = []
        remarks: list[Remark] = []
        values: dict[str, Values] = {}
        for name, column in zip(self._layout.names, read.columns, strict=True):
            if not name.startswith("?"):
                dates = read.dates_alone.get(name)
                values[name] = self._typed(column, name, known, remarks, dates)
        if count:
            known += broken_rules(self._layout.dataset, values, known)
        problems = self._null_bad_values(values, known, remarks)
        if RESCUED in self._schema.names:
            values[RESCUED] = self._rescued(read.columns, remarks)
        columns = [
            values[field.name] if field.name in values else pa.nulls(count, field.type)
            for field in self._schema
        ]
        return _JudgedRows(pa.table(columns, schema=self._schema), problems, remarks)

    def _null_bad_values(
        self, values: dict[str, Values], known: list[Problem], remarks: list[Remark]
    ) -> list[Problem]:
        """Replace bad values by null in columns whose values reject no row.

        Returns:
            The problems that reject rows.
        """
        problems: list[Problem] = []
        bad: dict[str, Mask] = {}
        for problem in known:
            column = self._layout.dataset.columns[problem.column] if problem.column else None
            if column is None or column.rejects:
                problems.append(problem)
            else:
                bad[column.name] = bad.get(column.name, problem.rows) | problem.rows
        for name, rows in bad.items():
            values[name] = without_values(values[name], rows)
            remarks.append(Remark(Note.NULLED, rows))
        return problems

    def _typed(
        self,
        read: pa.ChunkedArray,
        name: str,
        problems: list[Problem],
        remarks: list[Remark],
        dates_alone: Positions | None,
    ) -> Values:
        """Convert a column to its type; numbers and instants may stay in blocks."""
        contract = self._layout.contract
        column = self._layout.dataset.columns[name]
        if read.type == NAIVE:
            if dates_alone is None:
                return to_instants(read, contract)
            if column.rejects:
                is_date = np.zeros(len(read), bool)
                is_date[dates_alone] = True
                remarks.append(Remark(Note.DATE_ONLY, is_date))
            return with_dates_alone(one_array(read), dates_alone, contract)
        if read.type in (INSTANT, pa.int64()) or pa.types.is_decimal(read.type):
            return read
        is_uuid = read.type == UUID_TEXT
        if is_uuid:
            with self._short_steps:
                values = parse_uuid_column(read)
            if values.null_count == read.null_count:
                return values
            read = read.cast(pa.binary())
        array = one_array(read)
        if array.type in (pa.binary(), RAW_DICTIONARY):
            array = self._converted(array, column, problems, remarks, is_uuid=is_uuid)
        if column.type != "string":
            return array
        texts, trimmed = trim_column(array, column, contract)
        if trimmed.any():
            remarks.append(Remark(Note.TRIMMED, trimmed))
        return texts

    def _converted(
        self,
        raw: pa.Array,
        column: Column,
        problems: list[Problem],
        remarks: list[Remark],
        *,
        is_uuid: bool,
    ) -> pa.Array:
        """Convert a column of raw bytes; texts are not trimmed yet."""
        found = convert(raw, column, self._layout.contract)
        # Bad UUIDs of the right length need no raw column: they are found as fast.
        if not is_uuid and (found.bad.any() or found.has_blanks or found.remarks):
            self._reader.remember_bad_values(column.name)
        if found.undecodable.any():
            problems.append(Problem(Reason.UNDECODABLE, column.name, "UTF-8", found.undecodable))
        wrong_type = found.bad & ~found.undecodable
        for expected, rows in _expectations(raw, column, wrong_type):
            problems.append(Problem(Reason.WRONG_TYPE, column.name, expected, rows))
        remarks += found.remarks
        return found.values

    def _rescued(self, columns: list[pa.ChunkedArray], remarks: list[Remark]) -> pa.Array:
        """Build the map of header -> text of the columns that the contract does not know."""
        texts, headers = [], []
        for name, column in zip(self._layout.names, columns, strict=True):
            if not name.startswith("?"):
                continue
            found = decode_text(one_array(column))
            if found.undecodable.any():
                remarks.append(Remark(Note.NULLED, found.undecodable))
            texts.append(found.values)
            headers.append(name[1:])
        return rescue(headers, texts)


def _expectations(raw: pa.Array, column: Column, bad: Mask) -> list[tuple[str, Mask]]:
    """Describe what was expected of bad values, and the rows that each description is for.

    Where a line of the contract would read a timestamp, it is named.
    """
    expected = describe(column)
    if not bad.any():
        return []
    if column.type != "timestamp" or column.formats:
        return [(expected, bad)]
    encoded = raw.filter(booleans(bad)).dictionary_encode()
    texts = [text.decode("utf-8", "replace").strip() for text in encoded.dictionary.to_pylist()]
    suggestions = np.array([suggest_formats(text) for text in texts])
    by_row = suggestions[encoded.indices.to_numpy()]
    found: list[tuple[str, Mask]] = []
    for suggestion in np.unique(by_row).tolist():
        rows = np.zeros(len(raw), bool)
        rows[np.flatnonzero(bad)[by_row == suggestion]] = True
        found.append((f"{expected}; {suggestion} would read it" if suggestion else expected, rows))
    return found


def describe(column: Column) -> str:
    """Describe the values that a column takes, for messages."""
    if column.type == "decimal":
        whole = column.precision - column.scale
        if column.on_excess_digits == "reject":
            return f"a decimal of at most {whole} digits before and {column.scale} behind the point"
        return f"a decimal of at most {whole} digits before the point"
    if column.type == "timestamp":
        return f"a timestamp like {' or '.join(column.formats) or '2025-03-30T16:14:26'}"
    if column.type == "uuid":
        return "a UUID like 0190163d-8694-739b-aea5-966c26f8ad91"
    return "a 64-bit integer" if column.type == "integer" else "text"
