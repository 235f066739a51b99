"""Chunks of whole records to typed rows and rejects: every record ends in exactly one of them.

The quick way first: `pyarrow.csv` converts all columns of a chunk with their types. Where a value
is bad it fails as a whole. Since dirt seldom comes alone, all columns of the chunk are then read as
bytes and judged value by value (`kpi.validation.slow_path`), and those that had a bad value in
later chunks of the same source object too. Both ways give the same verdicts, so which one a chunk
takes changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from kpi.contract.arrow_types import INSTANT, arrow_type
from kpi.contract.model import Column
from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Chunk
from kpi.csv.header import RESCUED, TEXT_DICTIONARY, Layout, clean_type
from kpi.csv.record_bytes import field_counts, highest, undecodable, without_records
from kpi.csv.record_index import Records
from kpi.kernels.arrays import Positions
from kpi.kernels.uuids import UUID_TEXT, parse_uuid_column
from kpi.validation.arrow_csv import may_have_hexadecimal, read_csv
from kpi.validation.rejects import (
    NONE_WRONG,
    PARSED_REJECTS,
    Parsed,
    WrongWidth,
    nth_left,
    rises,
    set_aside,
)
from kpi.validation.rules import Problem, Values, broken_rules
from kpi.validation.slow_path import NAIVE, RAW_DICTIONARY, convert, to_instants, within_precision

FEW_WRONG = 1000
"""Records of wrong width in a chunk that are told one by one; more are faster found together."""

_ASCII = 0x7F
"""The highest byte of ASCII."""

_FAILED_COLUMN = re.compile(r"In CSV column #(\d+):")
"""What a message begins with that tells of a column; others may repeat it from the file."""


class _Few:
    """Notes records of wrong width as `pyarrow.csv` passes over them, while they are few."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._columns: list[int] = []

    def handle(self, row: pacsv.InvalidRow) -> Literal["skip", "error"]:
        # Numbered from 1 without blank lines, since the chunk is read by one thread.
        self._numbers.append((row.number or 0) - 1)
        self._columns.append(row.actual_columns)
        return "skip" if len(self._numbers) <= FEW_WRONG else "error"

    def wrong(self, taken_out: WrongWidth) -> WrongWidth:
        """With those that were taken out before."""
        seen = nth_left(np.array(self._numbers, np.int64), taken_out.numbers)
        numbers = np.concatenate([taken_out.numbers, seen])
        columns = np.concatenate([taken_out.columns, np.array(self._columns, np.int64)])
        order = np.argsort(numbers)
        return WrongWidth(numbers[order], columns[order])


class ChunkParser:
    """Parses the chunks of one source object; may be used by several threads at once."""

    def __init__(
        self, layout: Layout, in_turn: AbstractContextManager[object] | None = None
    ) -> None:
        """
        Args:
            layout: Of the source object.
            in_turn: Entered for what consists of many short steps; a lock, where several threads
                parse. They would wait for each other at every step.
        """
        self._layout = layout
        self._in_turn = in_turn or nullcontext()
        self._schema = layout.schema
        # Columns that have had a bad value, but for UUIDs of the right length, which are quickly
        # told. Only speed depends on it, so threads may race here.
        self._suspects: set[str] = set()
        self._zoned: set[str] = set()
        self._has_blank_lines = False

    def parse(self, chunk: Chunk) -> Parsed:
        """Every record of `chunk`, as a clean row or as a reject.

        Errors: `BalanceError` where records and results differ in number.
        """
        # Found at most once, and only where something is wrong.
        records = cache(
            lambda: Records(
                chunk, delimiter=self._layout.contract.delimiter, exact=self._has_blank_lines
            )
        )
        columns, wrong = self._read(chunk, records)
        rows = len(columns[0])
        problems: list[Problem] = []
        values: dict[str, Values] = {}
        for name, column in zip(self._layout.names, columns, strict=True):
            if not name.startswith("?"):
                values[name] = self._typed(column, name, problems)
        if rows:
            problems += broken_rules(self._layout.dataset, values, problems)
        if RESCUED in self._schema.names:
            values[RESCUED] = self._rescued(columns, rows, problems)
        clean = pa.table(
            [
                values[field.name] if field.name in values else pa.nulls(rows, field.type)
                for field in self._schema
            ],
            schema=self._schema,
        )
        if not problems and not len(wrong.numbers) and not chunk.malformed:
            clean = clean.combine_chunks()
            return Parsed(
                clean=clean,
                rejects=PARSED_REJECTS.empty_table(),
                rows=rows,
                reasons=Counter(),
                ascending=rises(clean, self._layout),
            )
        if not records().exact and len(records()) != rows + len(wrong.numbers):
            # Blank lines were counted, so that numbers of records are not theirs.
            self._has_blank_lines = True
            return self.parse(chunk)
        return set_aside(chunk, records(), clean, problems, wrong, self._layout)

    def _read(
        self, chunk: Chunk, records: Callable[[], Records]
    ) -> tuple[list[pa.ChunkedArray], WrongWidth]:
        """Columns of the chunk in the order of the header, typed where they can be, in blocks."""
        layout = self._layout
        names = [f"f{number}" for number in range(len(layout.names))]
        integers = {
            name for name, column in layout.dataset.columns.items() if column.type == "integer"
        }
        top = highest(chunk)
        has_hexadecimal = bool(integers - self._suspects) and may_have_hexadecimal(chunk, top)
        careful = {"?"}
        left, taken_out, all_out = chunk, NONE_WRONG, False
        strange = undecodable(chunk) if top > _ASCII else np.zeros(0, np.int64)
        is_utf8 = len(strange) == 0
        if not is_utf8:
            # The handler of invalid rows cannot be told of one that is not UTF-8.
            left, taken_out = self._without_wrong_widths(
                chunk, records(), records().holding(strange)
            )
        while True:
            types = {
                name: self._read_type(canonical, careful, has_hexadecimal)
                for name, canonical in zip(names, layout.names, strict=True)
            }
            few = _Few()
            try:
                table = read_csv(left, names, types, layout, few.handle, is_utf8=is_utf8)
            except pa.ArrowInvalid as error:
                failed = _FAILED_COLUMN.match(str(error))
                if failed is None:
                    if all_out:
                        raise
                    # Not with blank lines, which would be of wrong width.
                    exact = Records(chunk, delimiter=layout.contract.delimiter)
                    every = np.arange(len(exact))
                    left, taken_out = self._without_wrong_widths(chunk, exact, every)
                    all_out = True
                    continue
                number = int(failed.group(1))
                name = layout.names[number]
                zoned = "zone offset" in str(error) and pa.types.is_timestamp(types[names[number]])
                if zoned and name not in self._zoned:
                    # All with offset or all without: the other type may take the whole column.
                    self._zoned.add(name)
                    continue
                # Others may be as bad, and each would end an attempt of its own.
                careful.update(layout.names)
                self._suspects.add(name)
                continue
            columns = [table.column(name) for name in names]
            if not self._suspects:
                # Joined sooner or later, unless rows are left out, which joins what is left.
                columns = [
                    column if column.type == UUID_TEXT else pa.chunked_array([_one_array(column)])
                    for column in columns
                ]
            too_long = [
                canonical
                for canonical, column in zip(layout.names, columns, strict=True)
                if pa.types.is_decimal(column.type)
                and not all(map(within_precision, column.chunks))
            ]
            if not too_long:
                return columns, few.wrong(taken_out)
            careful.update(too_long)

    def _without_wrong_widths(
        self, chunk: Chunk, records: Records, some: Positions
    ) -> tuple[Chunk, WrongWidth]:
        """The chunk without those of some records that are of wrong width; and those."""
        starts, ends = records.spans(some)
        counts = field_counts(chunk, starts, ends, delimiter=self._layout.contract.delimiter)
        wrong = counts != len(self._layout.names)
        left = without_records(chunk, starts[wrong], ends[wrong])
        return left, WrongWidth(some[wrong], counts[wrong])

    def _read_type(self, name: str, careful: set[str], has_hexadecimal: bool) -> pa.DataType:
        column = self._layout.dataset.columns.get(name)
        if column is None:
            return pa.binary()
        if name in careful or name in self._suspects:
            return self._raw_type(name)
        if (column.type == "integer" and has_hexadecimal) or column.formats:
            # The CSV converter reads hexadecimal, and takes 31 February for 3 March.
            return self._raw_type(name)
        if column.type == "timestamp":
            return arrow_type(column) if name in self._zoned else NAIVE
        if column.type == "uuid":
            return UUID_TEXT
        return clean_type(self._layout.dataset, name)

    def _raw_type(self, name: str) -> pa.DataType:
        """What a column is read as whose values are judged one by one."""
        return (
            RAW_DICTIONARY
            if clean_type(self._layout.dataset, name) == TEXT_DICTIONARY
            else pa.binary()
        )

    def _typed(self, read: pa.ChunkedArray, name: str, problems: list[Problem]) -> Values:
        """A column's values; numbers and instants that are typed already may stay in blocks."""
        contract = self._layout.contract
        column = self._layout.dataset.columns[name]
        if read.type == NAIVE:
            return to_instants(read, contract)
        if read.type in (INSTANT, pa.int64()) or pa.types.is_decimal(read.type):
            return read
        is_uuid = read.type == UUID_TEXT
        if is_uuid:
            with self._in_turn:
                values = parse_uuid_column(read)
            if values.null_count == read.null_count:
                return values
            read = read.cast(pa.binary())
        array = _one_array(read)
        if array.type not in (pa.binary(), RAW_DICTIONARY):
            return array
        values, bad, undecodable = convert(array, column, contract)
        if not is_uuid and bad.any():
            self._suspects.add(name)
        if undecodable.any():
            problems.append(Problem(Reason.UNDECODABLE, name, "UTF-8", undecodable))
        wrong_type = bad & ~undecodable
        if wrong_type.any():
            problems.append(Problem(Reason.WRONG_TYPE, name, describe(column), wrong_type))
        return values

    def _rescued(
        self, columns: list[pa.ChunkedArray], rows: int, problems: list[Problem]
    ) -> pa.Array:
        """Map of header -> text of the columns that the contract does not know."""
        texts, headers = [], []
        for name, column in zip(self._layout.names, columns, strict=True):
            if not name.startswith("?"):
                continue
            values, _, undecodable = convert(
                _one_array(column), Column(name=name, type="string"), self._layout.contract
            )
            if undecodable.any():
                problems.append(Problem(Reason.UNDECODABLE, name[1:], "UTF-8", undecodable))
            texts.append(values)
            headers.append(name[1:])
        width = len(texts)
        # Row by row: value 0 of every column, then value 1 of every column, ...
        order = np.arange(rows * width).reshape(width, rows).T.ravel()
        items = pa.concat_arrays(texts).take(pa.array(order))
        keys = pa.array(headers * rows, pa.string())
        offsets = pa.array(np.arange(0, rows * width + 1, width, dtype=np.int32))
        return pa.MapArray.from_arrays(offsets, keys, items)


def describe(column: Column) -> str:
    """What a value of a column must look like, for messages."""
    if column.type == "decimal":
        return f"a decimal of at most {column.precision} digits, {column.scale} behind the point"
    if column.type == "timestamp":
        return f"a timestamp like {' or '.join(column.formats) or '2025-03-30T16:14:26'}"
    if column.type == "uuid":
        return "a UUID like 0190163d-8694-739b-aea5-966c26f8ad91"
    return "a 64-bit integer" if column.type == "integer" else "text"


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0) if column.num_chunks == 1 else pc.cast(column.combine_chunks(), column.type)
    )
