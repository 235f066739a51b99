"""Step 3 of parsing: assemble clean rows, and rejects with all of their reasons.

Three counts are used here:
- a *row* number counts the rows of `rows`: records of the right column count;
- a *record* number counts all well-formed records of the chunk;
- a *position* counts malformed records too, as the reader of the file does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.reject_reasons import Reason
from kpi.csv.blank_records import find_blank_records
from kpi.csv.chunk import Chunk, Malformed
from kpi.csv.header import Layout
from kpi.csv.record_bytes import copy_records
from kpi.csv.record_index import RecordBounds, RecordIndex
from kpi.errors import BalanceError
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.masks import without
from kpi.validation.reading import WrongColumnCounts, renumber_after_removal
from kpi.validation.rules import Problem, Remark

REJECTS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("byte_offset", pa.int64(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field(
            "reasons",
            pa.list_(
                pa.struct(
                    [
                        pa.field("reason", pa.string()),
                        pa.field("column", pa.string()),
                        pa.field("expected", pa.string()),
                    ]
                )
            ),
            nullable=False,
        ),
    ]
)
"""One row per reject: its row as a spreadsheet counts (the header is row 1), the offset of its
first byte in the decompressed object, its raw bytes without line end, and all of its reasons."""

_REASONS = REJECTS.field("reasons")

PARSED_REJECTS = REJECTS.set(
    REJECTS.get_field_index("reasons"),
    _REASONS.with_type(pa.dictionary(pa.int32(), _REASONS.type)),
)
"""`REJECTS` with dictionary-encoded reasons, since one combination may take a kilobyte."""

ORDER_SAMPLE_ROWS = 100
"""Rows that are compared first, to see whether keys increase: where ids are in random order these
tell."""


@dataclass(frozen=True, kw_only=True)
class ParsedChunk:
    """The results of parsing one chunk.

    Attributes:
        clean: Rows of `Layout.schema`, in the order of the records.
        rejects: Rows of `PARSED_REJECTS`, likewise; `row` counts all records of the chunk from 0.
        rows: Number of rows in the chunk = clean rows + rejects.
        blank_rows: Number of other records: they have no values, and are no rows.
        reasons: Reason -> number of rejects that have it.
        notes: Note -> number of cells of clean rows that have it.
        is_key_increasing: Whether the key increases strictly from clean row to clean row; always
            False for a key of several columns.
    """

    clean: pa.Table
    rejects: pa.Table
    rows: int
    blank_rows: int
    reasons: Counter[str]
    notes: Counter[str]
    is_key_increasing: bool


def assemble_clean(rows: pa.Table, remarks: list[Remark], layout: Layout) -> ParsedChunk:
    """Assemble the results of a chunk in which nothing is wrong."""
    clean = rows.combine_chunks()
    return ParsedChunk(
        clean=clean,
        rejects=PARSED_REJECTS.empty_table(),
        rows=clean.num_rows,
        blank_rows=0,
        reasons=Counter(),
        notes=_count_notes(remarks, np.zeros(0, np.int64)),
        is_key_increasing=is_strictly_increasing(clean, layout),
    )


def assemble(
    chunk: Chunk,
    index: RecordIndex,
    rows: pa.Table,
    problems: list[Problem],
    remarks: list[Remark],
    wrong: WrongColumnCounts,
    layout: Layout,
) -> ParsedChunk:
    """Separate the rows that have problems from the others.

    Args:
        chunk: The chunk.
        index: Its records, with right numbers.
        rows: A row for each record of the right column count.
        problems: The problems of these rows.
        remarks: What was changed in them.
        wrong: The records of the wrong column count.
        layout: Layout of the chunk.

    Raises:
        BalanceError: Records and results differ in number.
    """
    if len(index) != rows.num_rows + len(wrong.numbers):
        raise BalanceError(
            f"chunk at byte {chunk.offset}: found {len(index)} records, parsed "
            f"{rows.num_rows} rows and {len(wrong.numbers)} of wrong width"
        )
    broken = _broken_rows(problems, rows.num_rows)
    numbers = renumber_after_removal(broken, wrong.numbers)
    # A row without values lacks its key, so all of them are among the broken records.
    delimiter = layout.contract.delimiter
    is_blank = _may_be_blank(problems, broken, layout)
    if is_blank.any():
        records = index.bounds(numbers[is_blank])
        is_blank[is_blank] = find_blank_records(chunk, records, delimiter)
    wrong_is_blank = find_blank_records(chunk, index.bounds(wrong.numbers), delimiter)
    rejects, counts = assemble_rejects(
        chunk,
        index,
        Broken(problems, broken[~is_blank], numbers[~is_blank]),
        WrongColumnCounts(wrong.numbers[~wrong_is_blank], wrong.counts[~wrong_is_blank]),
        width=len(layout.names),
    )
    clean = without(rows, broken)
    blank_rows = int(is_blank.sum()) + int(wrong_is_blank.sum())
    total = len(index) + len(chunk.malformed) - blank_rows
    if clean.num_rows + rejects.num_rows != total:
        raise BalanceError(
            f"chunk at byte {chunk.offset}: {total} rows, but {clean.num_rows} clean and "
            f"{rejects.num_rows} rejects"
        )
    return ParsedChunk(
        clean=clean,
        rejects=rejects,
        rows=total,
        blank_rows=blank_rows,
        reasons=counts,
        notes=_count_notes(remarks, broken),
        is_key_increasing=is_strictly_increasing(clean, layout),
    )


@dataclass(frozen=True)
class Broken:
    """Rows that have problems.

    Attributes:
        problems: What is wrong, as masks over all rows.
        rows: Positions of the rows that have some, ascending.
        numbers: Their record numbers.
    """

    problems: list[Problem]
    rows: Positions
    numbers: Positions


def assemble_rejects(
    chunk: Chunk, index: RecordIndex, broken: Broken, wrong: WrongColumnCounts, *, width: int
) -> tuple[pa.Table, Counter[str]]:
    """Assemble the rejects of a chunk, and count them by reason.

    Args:
        chunk: The chunk.
        index: Its records, with right numbers.
        broken: Rows that have problems.
        wrong: The records of the wrong column count.
        width: Column count of a right record.
    """
    reasons = ReasonSets()
    codes = np.concatenate(
        [
            reasons.add_problems(broken.problems, broken.rows),
            reasons.add_column_counts(wrong.counts, expected=width),
        ]
    )
    numbers = np.concatenate([broken.numbers, wrong.numbers])
    order = np.argsort(numbers)
    malformed_codes = reasons.add_malformed(chunk.malformed)
    every = np.concatenate([codes[order], malformed_codes])
    rejects = _reject_table(chunk, index, numbers[order], every, reasons)
    return rejects, reasons.count(every)


def _broken_rows(problems: list[Problem], rows: int) -> Positions:
    good = np.ones(rows, bool)
    for problem in problems:
        good &= ~problem.rows
    return np.flatnonzero(~good)


def _may_be_blank(problems: list[Problem], broken: Positions, layout: Layout) -> Mask:
    """Mark the broken rows that may have no value: those that lack one, where "" is none."""
    if "" not in layout.contract.null_values:
        return np.ones(len(broken), bool)
    lacks_value = np.zeros(len(broken), bool)
    for problem in problems:
        if problem.reason == Reason.MISSING_VALUE:
            lacks_value |= problem.rows[broken]
    return lacks_value


def _count_notes(remarks: list[Remark], broken: Positions) -> Counter[str]:
    """Count the changed cells of the rows that are not broken."""
    notes: Counter[str] = Counter()
    for remark in remarks:
        cells = int(remark.rows.sum()) - int(remark.rows[broken].sum())
        if cells:
            notes[str(remark.note)] += cells
    return notes


class ReasonSets:
    """The distinct combinations of reasons in a chunk, which are few. A code is an index."""

    def __init__(self) -> None:
        self._sets: list[list[dict[str, str | None]]] = []

    def add_problems(self, problems: list[Problem], broken: Positions) -> Positions:
        """Add the combinations of problems that broken rows have; return a code for each row."""
        distinct, which = _distinct_rows([problem.rows[broken] for problem in problems])
        first = len(self._sets)
        for combination in distinct:
            self._sets.append(
                [
                    _reason(problem.reason, problem.column, problem.expected)
                    for problem, has in zip(problems, combination, strict=True)
                    if has
                ]
            )
        return first + which

    def add_column_counts(self, counts: Positions, *, expected: int) -> Positions:
        """Add each distinct wrong column count; return a code for each record."""
        distinct, which = np.unique(counts, return_inverse=True)
        first = len(self._sets)
        for count in distinct.tolist():
            text = f"{expected} columns, got {count}"
            self._sets.append([_reason(Reason.WRONG_COLUMN_COUNT, None, text)])
        return first + which

    def add_malformed(self, malformed: Sequence[Malformed]) -> Positions:
        """Add the kinds of malformed records; return a code for each record."""
        first = len(self._sets)
        quotes, length = "a closing quote before a delimiter or line end", "max_record_bytes"
        self._sets += [
            [_reason(Reason.MALFORMED_QUOTES, None, quotes)],
            [_reason(Reason.RECORD_TOO_LONG, None, f"a record of at most {length}")],
            [_reason(Reason.MALFORMED_JSON, None, "an object of JSON")],
        ]
        which = [Reason.MALFORMED_QUOTES, Reason.RECORD_TOO_LONG, Reason.MALFORMED_JSON]
        return first + np.array([which.index(bad.reason) for bad in malformed], np.int64)

    def encode(self, codes: Positions) -> pa.DictionaryArray:
        """Encode a column of reasons."""
        return pa.DictionaryArray.from_arrays(
            pa.array(codes.astype(np.int32)), pa.array(self._sets, _REASONS.type)
        )

    def count(self, codes: Positions) -> Counter[str]:
        """Count the rejects that have each reason; a reason of two columns counts once."""
        counts: Counter[str] = Counter()
        for code, rejects in enumerate(np.bincount(codes, minlength=len(self._sets)).tolist()):
            if rejects:
                counts.update(dict.fromkeys({str(r["reason"]) for r in self._sets[code]}, rejects))
        return counts


def _reason(reason: Reason, column: str | None, expected: str) -> dict[str, str | None]:
    return {"reason": reason, "column": column, "expected": expected}


def _distinct_rows(masks: list[Mask]) -> tuple[Mask, Positions]:
    """Find the distinct rows of masks side by side, and which of them each row is."""
    if not masks or not len(masks[0]):
        return np.zeros((0, len(masks)), bool), np.zeros(0, np.int64)
    packed = np.packbits(np.column_stack(masks), axis=1)
    as_one = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, which = np.unique(as_one, return_index=True, return_inverse=True)
    return np.column_stack([mask[first] for mask in masks]), which


def _reject_table(
    chunk: Chunk, index: RecordIndex, numbers: Positions, codes: Positions, reasons: ReasonSets
) -> pa.Table:
    """Build `PARSED_REJECTS` in the order of the file.

    Args:
        chunk: The chunk.
        index: Its records.
        numbers: Record numbers of the well-formed rejects, ascending.
        codes: Reason codes: of these, then of the chunk's malformed records.
        reasons: The meaning of the codes.
    """
    records = index.bounds(numbers)
    malformed = np.array([bad.offset for bad in chunk.malformed], np.int64)
    offsets = np.concatenate([chunk.offset + records.starts, malformed])
    positions = np.concatenate(
        [
            numbers + np.searchsorted(malformed, offsets[: len(numbers)]),
            np.arange(len(malformed)) + index.count_before(malformed - chunk.offset),
        ]
    )
    raw = pa.concat_arrays(
        [_raw(chunk, records), pa.array([bad.raw for bad in chunk.malformed], pa.binary())]
    )
    order = np.argsort(offsets)
    return pa.table(
        {
            "row": positions[order],
            "byte_offset": offsets[order],
            "raw": raw.take(pa.array(order)),
            "reasons": reasons.encode(codes[order]),
        },
        schema=PARSED_REJECTS,
    )


def _raw(chunk: Chunk, records: RecordBounds) -> pa.Array:
    """Copy records of a chunk to a `pa.binary()` array."""
    data = copy_records(chunk, records)
    offsets = np.zeros(len(records) + 1, np.int32)
    np.cumsum(records.lengths, out=offsets[1:])
    return pa.Array.from_buffers(
        pa.binary(), len(records), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def expand_reasons(rejects: pa.Table) -> pa.Table:
    """Convert rows of `PARSED_REJECTS` to rows of `REJECTS`."""
    at = rejects.schema.get_field_index("reasons")
    reasons = [chunk.dictionary.take(chunk.indices) for chunk in rejects.column(at).chunks]
    return rejects.set_column(at, _REASONS, pa.chunked_array(reasons, _REASONS.type))


def is_strictly_increasing(clean: pa.Table, layout: Layout) -> bool:
    """Check whether the key increases from row to row; False for a key of several columns."""
    if len(layout.dataset.key) > 1:
        return False
    keys = clean.column(layout.dataset.key[0])
    if pa.types.is_integer(keys.type):
        values = keys.to_numpy()
        return bool((values[1:] > values[:-1]).all())
    parts = (keys[:ORDER_SAMPLE_ROWS], keys[ORDER_SAMPLE_ROWS - 1 :])
    return all(pc.all(pc.greater(part[1:], part[:-1]), min_count=0).as_py() for part in parts)
