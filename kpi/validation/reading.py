"""Step 1 of parsing: read the columns of a chunk, typed where every value allows it.

`pyarrow.csv` fails as a whole where one value is bad. Since bad values seldom come alone, all
columns of the chunk are then read as raw bytes, and that column in later chunks of the same source
object too. Which columns are raw changes the time, never a verdict.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from kpi.contract.arrow_types import arrow_type
from kpi.csv.chunk import Chunk
from kpi.csv.header import TEXT_DICTIONARY, Layout, clean_type
from kpi.csv.record_bytes import (
    MAX_ASCII,
    field_counts,
    find_non_utf8,
    max_byte,
    without_records,
)
from kpi.csv.record_index import RecordBounds, RecordIndex
from kpi.kernels.arrays import Positions
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from kpi.kernels.masks import valid
from kpi.kernels.uuids import UUID_TEXT
from kpi.validation.arrow_csv import (
    explain_failure,
    may_have_deep_exponent,
    may_have_hexadecimal,
    may_have_unreal_offset,
    read_csv,
)
from kpi.validation.decimals import within_precision
from kpi.validation.text import RAW_DICTIONARY
from kpi.validation.timestamps import NAIVE

MAX_HANDLED_ROWS = 1000
"""Records of the wrong column count up to which Arrow's handler is called for each; where a chunk
has more, finding them together is faster."""

MAX_CHECKED_ROWS = 1000
"""Timestamps at midnight of a chunk up to which the text of each is looked at; where a chunk has
more, the column is read as raw bytes."""

_DATE_CHARACTERS = len("2025-03-30")

_NO_POSITIONS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class WrongColumnCounts:
    """Records with more or fewer columns than the header.

    Attributes:
        numbers: Their record numbers, ascending.
        counts: Their column counts.
    """

    numbers: Positions
    counts: Positions


@dataclass(frozen=True)
class LeftOut:
    """Records of the wrong column count that were blanked before reading.

    Attributes:
        starts: Offsets of their first bytes, ascending.
        counts: Their column counts.
    """

    starts: Positions = field(default_factory=lambda: _NO_POSITIONS)
    counts: Positions = field(default_factory=lambda: _NO_POSITIONS)


@dataclass(frozen=True)
class ReadColumns:
    """The columns of a chunk as read.

    Attributes:
        columns: One for each field of the layout, a row for each record of the right column count;
            typed, or raw bytes.
        left_out: Records that were blanked.
        skipped: Records that Arrow skipped, numbered among those that were not blanked.
        dates_alone: Column -> rows whose timestamp is a date without a time of day, ascending.
    """

    columns: list[pa.ChunkedArray]
    left_out: LeftOut
    skipped: WrongColumnCounts
    dates_alone: Mapping[str, Positions] = field(default_factory=dict)

    @property
    def wrong_count(self) -> int:
        """Number of records with the wrong column count."""
        return len(self.left_out.starts) + len(self.skipped.numbers)

    @property
    def record_count(self) -> int:
        """Number of well-formed records."""
        return len(self.columns[0]) + self.wrong_count

    def wrong_column_counts(self, index: RecordIndex) -> WrongColumnCounts:
        """Combine all records of the wrong column count, with their record numbers.

        Args:
            index: Index of the chunk with right numbers.
        """
        left_out = index.numbers_at(self.left_out.starts)
        skipped = renumber_after_removal(self.skipped.numbers, left_out)
        numbers = np.concatenate([left_out, skipped])
        counts = np.concatenate([self.left_out.counts, self.skipped.counts])
        order = np.argsort(numbers)
        return WrongColumnCounts(numbers[order], counts[order])


def renumber_after_removal(numbers: Positions, removed: Positions) -> Positions:
    """Map numbers among the remaining records back to numbers among all records.

    Args:
        numbers: Numbers among the remaining records.
        removed: Numbers of the removed ones among all, ascending.
    """
    return numbers + np.searchsorted(removed - np.arange(len(removed)), numbers, side="right")


class _InvalidRows:
    """Collect the records that `pyarrow.csv` skips for their column count, while they are few."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._counts: list[int] = []

    def handle(self, row: pacsv.InvalidRow) -> Literal["skip", "error"]:
        # Arrow numbers rows from 1, without blank lines, where one thread reads.
        self._numbers.append((row.number or 0) - 1)
        self._counts.append(row.actual_columns)
        return "skip" if len(self._numbers) <= MAX_HANDLED_ROWS else "error"

    def found(self) -> WrongColumnCounts:
        return WrongColumnCounts(
            np.array(self._numbers, np.int64), np.array(self._counts, np.int64)
        )


@dataclass(frozen=True)
class _Attempt:
    """One way to read a chunk.

    Attributes:
        chunk: The chunk without the records left out.
        raw: Columns to read as bytes.
        is_utf8: Whether all of its text is known to be UTF-8.
        left_out: Records that are blanked in `chunk`.
        has_all_left_out: Whether these are all records of the wrong column count.
    """

    chunk: Chunk
    raw: frozenset[str]
    is_utf8: bool
    left_out: LeftOut = field(default_factory=LeftOut)
    has_all_left_out: bool = False

    def with_raw(self, names: Iterable[str]) -> _Attempt:
        return replace(self, raw=self.raw.union(names))


class ChunkReader:
    """Read the chunks of one source object; several threads may use it at once.

    Remembers which columns had bad values or zone offsets. Only speed depends on that, so threads
    may race.
    """

    def __init__(self, layout: Layout, raw_columns: Iterable[str] = ()) -> None:
        """Begin a source object.

        Args:
            layout: Layout of the object.
            raw_columns: Columns to read as raw bytes from the start.
        """
        self._layout = layout
        self._raw_columns = set(raw_columns)
        self._zoned_columns: set[str] = set()

    def remember_bad_values(self, name: str) -> None:
        """Read a column as raw bytes from the next chunk on."""
        self._raw_columns.add(name)

    def read(self, chunk: Chunk, index: RecordIndex) -> ReadColumns:
        """Read the columns in header order.

        Each failed attempt makes the next one read more columns as raw bytes or with the other
        kind of timestamp, or leave records out. All three are bounded, so the loop ends.
        """
        attempt = self._first_attempt(chunk, index)
        while True:
            try:
                read = self._try(attempt)
            except pa.ArrowInvalid as error:
                attempt = self._after_failure(attempt, error, chunk, index)
                continue
            doubtful = self._beyond_precision(read.columns)
            midnights = self._midnights(read.columns)
            doubtful += [name for name, rows in midnights.items() if len(rows) > MAX_CHECKED_ROWS]
            doubtful += self._unreal_offsets(attempt.chunk, read.columns)
            if not doubtful:
                dates_alone = self._dates_alone(chunk, index, read, midnights)
                return replace(read, dates_alone=dates_alone)
            attempt = attempt.with_raw(doubtful)

    def _first_attempt(self, chunk: Chunk, index: RecordIndex) -> _Attempt:
        highest = max_byte(chunk)
        raw = frozenset(self._raw_columns)
        integers, decimals = self._columns_of("integer") - raw, self._columns_of("decimal") - raw
        if integers and may_have_hexadecimal(chunk, highest):
            raw |= integers
        if decimals and highest >= ord("E") and may_have_deep_exponent(chunk):
            raw |= decimals
        non_utf8 = find_non_utf8(chunk) if highest > MAX_ASCII else _NO_POSITIONS
        attempt = _Attempt(chunk, raw=raw, is_utf8=len(non_utf8) == 0)
        if attempt.is_utf8:
            return attempt
        # Arrow cannot pass a row to its handler that is not UTF-8.
        suspects = index.bounds(index.numbers_at(non_utf8))
        return self._leave_out(attempt, chunk, suspects)

    def _columns_of(self, kind: str) -> frozenset[str]:
        columns = self._layout.dataset.columns
        return frozenset(name for name, column in columns.items() if column.type == kind)

    def _try(self, attempt: _Attempt) -> ReadColumns:
        """Read the chunk as the attempt says.

        Raises:
            pa.ArrowInvalid: See `explain_failure`.
        """
        names = [f"f{number}" for number in range(len(self._layout.names))]
        types = {
            name: self._read_type(canonical, attempt.raw)
            for name, canonical in zip(names, self._layout.names, strict=True)
        }
        invalid = _InvalidRows()
        table = read_csv(
            attempt.chunk, names, types, self._layout, invalid.handle, is_utf8=attempt.is_utf8
        )
        columns = [table.column(name) for name in names]
        if not self._raw_columns:
            # Without rejects nobody else joins the blocks of a column.
            columns = [
                column if column.type == UUID_TEXT else pa.chunked_array([one_array(column)])
                for column in columns
            ]
        return ReadColumns(columns, attempt.left_out, invalid.found())

    def _after_failure(
        self, attempt: _Attempt, error: pa.ArrowInvalid, chunk: Chunk, index: RecordIndex
    ) -> _Attempt:
        """Choose the next attempt.

        Raises:
            pa.ArrowInvalid: The same error, where nothing is left to try.
        """
        failure = explain_failure(error)
        if failure is None:
            if attempt.has_all_left_out:
                raise error
            attempt = self._leave_out(attempt, chunk, index.records)
            return replace(attempt, has_all_left_out=True)
        name = self._layout.names[failure.column]
        if failure.is_zone_mismatch and name not in self._zoned_columns:
            # Where all values have an offset, the other type takes the whole column.
            self._zoned_columns.add(name)
            return attempt
        self._raw_columns.add(name)
        # Other columns may be as bad, and each would fail an attempt of its own.
        return attempt.with_raw(self._layout.names)

    def _leave_out(self, attempt: _Attempt, chunk: Chunk, suspects: RecordBounds) -> _Attempt:
        """Blank those of some records of the whole chunk that have the wrong column count."""
        counts = field_counts(chunk, suspects, delimiter=self._layout.contract.delimiter)
        is_wrong = counts != len(self._layout.names)
        wrong = suspects[is_wrong]
        return replace(
            attempt,
            chunk=without_records(chunk, wrong),
            left_out=LeftOut(wrong.starts, counts[is_wrong]),
        )

    def _beyond_precision(self, columns: list[pa.ChunkedArray]) -> list[str]:
        """List the decimal columns that may have values of more digits than their type."""
        return [
            name
            for name, column in zip(self._layout.names, columns, strict=True)
            if pa.types.is_decimal(column.type) and not all(map(within_precision, column.chunks))
        ]

    def _unreal_offsets(self, chunk: Chunk, columns: list[pa.ChunkedArray]) -> list[str]:
        """List the typed columns whose timestamps may have offsets that no clock has."""
        zoned = [
            name
            for name, column in zip(self._layout.names, columns, strict=True)
            if pa.types.is_timestamp(column.type) and column.type != NAIVE
        ]
        return zoned if zoned and may_have_unreal_offset(chunk) else []

    def _midnights(self, columns: list[pa.ChunkedArray]) -> dict[str, Positions]:
        """Find the rows of a typed timestamp column that are at midnight, where dates alone matter.

        Arrow reads a date alone as a timestamp, and does not say so.
        """
        contract = self._layout.contract
        zones_differ = contract.source_time_zone != contract.business_time_zone
        found: dict[str, Positions] = {}
        for name, column in zip(self._layout.names, columns, strict=True):
            if column.type == NAIVE and (
                zones_differ or self._layout.dataset.columns[name].rejects
            ):
                rows = [_midnight_rows(block) for block in column.chunks]
                starts = np.cumsum([0, *(len(block) for block in column.chunks)])
                placed = [start + some for start, some in zip(starts, rows, strict=False)]
                found[name] = np.concatenate([_NO_POSITIONS, *placed])
        return found

    def _dates_alone(
        self, chunk: Chunk, index: RecordIndex, read: ReadColumns, midnights: dict[str, Positions]
    ) -> dict[str, Positions]:
        """Find the timestamps at midnight whose text has no time of day."""
        if not any(len(rows) for rows in midnights.values()):
            return {}
        index = index.numbered(read.record_count)
        wrong = read.wrong_column_counts(index)
        found: dict[str, Positions] = {}
        for name, rows in midnights.items():
            records = index.bounds(renumber_after_removal(rows, wrong.numbers))
            field_number = self._layout.names.index(name)
            is_date = [
                len(self._field(chunk, record, field_number)) <= _DATE_CHARACTERS
                for record in records.pairs()
            ]
            found[name] = rows[np.array(is_date, bool)]
        return {name: rows for name, rows in found.items() if len(rows)}

    def _field(self, chunk: Chunk, record: tuple[int, int], number: int) -> str:
        """Return one field of a well-formed record."""
        start, end = record
        text = chunk.buffer[chunk.start + start : chunk.start + end].decode("latin-1")
        fields = next(csv.reader([text], delimiter=self._layout.contract.delimiter))
        return fields[number].strip()

    def _read_type(self, name: str, raw: frozenset[str]) -> pa.DataType:
        column = self._layout.dataset.columns.get(name)
        if column is None:
            return pa.binary()
        if name in raw or column.formats:
            # With formats, since the CSV converter takes 31 February for 3 March.
            return self._raw_type(name)
        if column.type == "timestamp":
            return arrow_type(column) if name in self._zoned_columns else NAIVE
        if column.type == "uuid":
            return UUID_TEXT
        return clean_type(self._layout.dataset, name)

    def _raw_type(self, name: str) -> pa.DataType:
        is_dictionary = clean_type(self._layout.dataset, name) == TEXT_DICTIONARY
        return RAW_DICTIONARY if is_dictionary else pa.binary()


def _midnight_rows(timestamps: pa.Array) -> Positions:
    """Find the rows of `NAIVE` timestamps that are at midnight.

    Midnights are multiples of 2**13 microseconds, which few other whole seconds are (1 in 128): the
    test by mask spares the division.
    """
    microseconds = np.frombuffer(timestamps.buffers()[1] or b"", np.int64)
    microseconds = microseconds[timestamps.offset :][: len(timestamps)]
    rows = np.flatnonzero((microseconds & 0x1FFF) == 0)
    rows = rows[microseconds[rows] % MICROSECONDS_PER_DAY == 0]
    return rows[valid(timestamps)[rows]] if timestamps.null_count else rows


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Join the blocks of a column."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pc.cast(column.combine_chunks(), column.type)
