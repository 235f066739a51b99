"""What becomes of the records of a chunk: clean rows, and rejects with all of their reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Chunk
from kpi.csv.header import Layout
from kpi.csv.record_bytes import records_of
from kpi.csv.record_index import Records
from kpi.errors import BalanceError
from kpi.kernels.arrays import Mask, Positions
from kpi.kernels.masks import without
from kpi.validation.rules import Problem

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
first byte in the (inflated) object, its raw bytes without line end, and all of its reasons."""

_REASONS = REJECTS.field("reasons")

PARSED_REJECTS = REJECTS.set(
    REJECTS.get_field_index("reasons"),
    _REASONS.with_type(pa.dictionary(pa.int32(), _REASONS.type)),
)
"""The same with each combination of reasons once, since it may take a kilobyte."""


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What became of one chunk.

    Attributes:
        clean: Rows of `Layout.schema`, in the order of the records.
        rejects: Rows of `PARSED_REJECTS`, likewise; `row` counts from 0 within the chunk.
        rows: Records in the chunk = clean rows + rejects.
        reasons: Reason -> rejects that have it.
        ascending: Whether the key rises strictly from clean row to clean row; never of a key of
            several columns.
    """

    clean: pa.Table
    rejects: pa.Table
    rows: int
    reasons: Counter[str]
    ascending: bool


@dataclass(frozen=True)
class WrongWidth:
    """Records with more or fewer fields than the header: their numbers, and how many they have."""

    numbers: Positions
    columns: Positions


_SEEN = 100
"""Rows looked at first, to see whether keys rise."""

NONE_WRONG = WrongWidth(np.zeros(0, np.int64), np.zeros(0, np.int64))


def nth_left(numbers: Positions, gone: Positions) -> Positions:
    """Which records have some numbers among those that are left without some others, ascending."""
    return numbers + np.searchsorted(gone - np.arange(len(gone)), numbers, side="right")


def set_aside(
    chunk: Chunk,
    records: Records,
    clean: pa.Table,
    problems: list[Problem],
    wrong: WrongWidth,
    layout: Layout,
) -> Parsed:
    """Part the rows that have problems from the others.

    Args:
        chunk: The chunk.
        records: Its records.
        clean: A row for each record of the right width.
        problems: What is wrong with them.
        wrong: The records of wrong width.
        layout: Of the chunk.

    Errors: `BalanceError` where records and results differ in number.
    """
    if len(records) != clean.num_rows + len(wrong.numbers):
        raise BalanceError(
            f"chunk at byte {chunk.offset}: found {len(records)} records, parsed "
            f"{clean.num_rows} rows and {len(wrong.numbers)} of wrong width"
        )
    good = np.ones(clean.num_rows, bool)
    for problem in problems:
        good &= ~problem.rows
    # Many rejects have few combinations of reasons: each is written out once.
    broken = np.flatnonzero(~good)
    masks = [problem.rows[broken] for problem in problems]
    kinds, which = _combinations(masks, len(broken))
    reasons = [
        [_reason(problem) for problem, has in zip(problems, kind, strict=True) if has]
        for kind in kinds
    ]
    widths, of_width = np.unique(wrong.columns, return_inverse=True)
    expected = f"{len(layout.names)} columns"
    of_width = of_width + len(reasons)
    reasons += [
        [
            {
                "reason": Reason.WRONG_COLUMN_COUNT,
                "column": None,
                "expected": f"{expected}, got {got}",
            }
        ]
        for got in widths.tolist()
    ]
    of_malformed = np.array(
        [len(reasons) + (bad.reason == Reason.RECORD_TOO_LONG) for bad in chunk.malformed],
        np.int64,
    )
    reasons += [[_malformed(Reason.MALFORMED_QUOTES)], [_malformed(Reason.RECORD_TOO_LONG)]]
    numbers = np.concatenate([nth_left(broken, wrong.numbers), wrong.numbers])
    ascending = np.argsort(numbers)
    numbers = numbers[ascending]
    # The malformed records, which are blanked in the chunk, come last; then all in their order.
    why = np.concatenate([np.concatenate([which, of_width])[ascending], of_malformed])
    starts, ends = records.spans(numbers)
    bad_offsets = np.array([bad.offset for bad in chunk.malformed], np.int64)
    places = np.concatenate([chunk.offset + starts, bad_offsets])
    raws = pa.concat_arrays(
        [
            _raw(chunk, starts, ends),
            pa.array([bad.raw for bad in chunk.malformed], pa.binary()),
        ]
    )
    # A record comes behind those of its kind that precede it, and those of the other.
    rows_before = np.concatenate(
        [
            numbers + np.searchsorted(bad_offsets, places[: len(numbers)]),
            np.arange(len(bad_offsets)) + records.starting_before(bad_offsets - chunk.offset),
        ]
    )
    order = np.argsort(places)
    rejects = pa.table(
        {
            "row": rows_before[order],
            "byte_offset": places[order],
            "raw": raws.take(pa.array(order)),
            "reasons": pa.DictionaryArray.from_arrays(
                pa.array(why[order].astype(np.int32)), pa.array(reasons, _REASONS.type)
            ),
        },
        schema=PARSED_REJECTS,
    )
    counts: Counter[str] = Counter()
    for kind, count in enumerate(np.bincount(why, minlength=len(reasons)).tolist()):
        counts.update(
            {str(code): count for code in {one["reason"] for one in reasons[kind]} if count}
        )
    clean = without(clean, broken)
    rows = len(records) + len(bad_offsets)
    if clean.num_rows + rejects.num_rows != rows:
        raise BalanceError(
            f"chunk at byte {chunk.offset}: {rows} records, but {clean.num_rows} clean and "
            f"{rejects.num_rows} rejects"
        )
    return Parsed(
        clean=clean,
        rejects=rejects,
        rows=rows,
        reasons=counts,
        ascending=rises(clean, layout),
    )


def written_out(rejects: pa.Table) -> pa.Table:
    """Rows of `PARSED_REJECTS` as rows of `REJECTS`."""
    at = rejects.schema.get_field_index("reasons")
    reasons = [chunk.dictionary.take(chunk.indices) for chunk in rejects.column(at).chunks]
    return rejects.set_column(at, _REASONS, pa.chunked_array(reasons, _REASONS.type))


def rises(clean: pa.Table, layout: Layout) -> bool:
    """Whether the key rises strictly from row to row; never one of several columns."""
    if len(layout.dataset.key) > 1:
        return False
    keys = clean.column(layout.dataset.key[0])
    if pa.types.is_integer(keys.type):
        values = keys.to_numpy()
        return bool((values[1:] > values[:-1]).all())
    # Where ids are in random order, a few of them tell.
    return all(
        pc.all(pc.greater(some[1:], some[:-1]), min_count=0).as_py()
        for some in (keys[:_SEEN], keys[_SEEN - 1 :])
    )


def _combinations(masks: list[Mask], rows: int) -> tuple[npt.NDArray[np.bool_], Positions]:
    """The different rows of some masks side by side, and which of them each row is."""
    if not rows:
        return np.zeros((0, len(masks)), bool), np.zeros(0, np.int64)
    packed = np.packbits(np.column_stack(masks), axis=1)
    as_one = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, which = np.unique(as_one, return_index=True, return_inverse=True)
    return np.column_stack([mask[first] for mask in masks]), which


def _raw(chunk: Chunk, starts: Positions, ends: Positions) -> pa.Array:
    """Records of a chunk, ascending, as `pa.binary()`."""
    data, lengths = records_of(chunk, starts, ends)
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(
        pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _reason(problem: Problem) -> dict[str, str | None]:
    return {"reason": problem.reason, "column": problem.column, "expected": problem.expected}


def _malformed(reason: Reason) -> dict[str, str | None]:
    expected = {
        Reason.MALFORMED_QUOTES: "a closing quote before a delimiter or line end",
        Reason.RECORD_TOO_LONG: "a record of at most max_record_bytes",
    }
    return {"reason": reason, "column": None, "expected": expected[reason]}
