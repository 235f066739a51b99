"""Summarize the rejects of a source object for the reason of its refusal.

The reason ends in the ledger, logs and mails. So it has shapes of values, never values.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.reject_reasons import Reason
from kpi.csv.header import Layout
from kpi.validation.rules import Problem

MAX_SHAPES = 3
"""Shapes shown of the values of one column."""

MAX_SHAPE_CHARACTERS = 24

SHAPES_LEGEND = ", where 9 is a digit and a is a letter"
"""What the characters of shapes are."""

MAX_SAMPLED_ROWS = 200
"""Rejects of one problem that are looked at for shapes, in all chunks together."""

MAX_SAMPLED_BYTES = 64 * 2**10
"""Length up to which a reject is looked at for shapes."""

MAX_COMBINATIONS_PER_CHUNK = 64
"""Combinations of reasons, the most frequent ones, that are counted of one chunk. A hostile file
has as many as rows."""

MAX_PROBLEMS = 3
"""Problems that a reason names."""

DECIMAL_COMMA = re.compile(r"-?[9.]*9,9+")
"""Shape of a number with a decimal comma."""

REMEDIES = {
    Reason.MISSING_VALUE: "`required = false` in the contract lets {place} be empty",
    Reason.WRONG_TYPE: "check the type of {place} in the contract",
    Reason.OUT_OF_RANGE: "check `min` and `max` of {place} in the contract",
    Reason.NOT_ALLOWED: "add these values to `allowed` of {place} in the contract",
    Reason.TOO_LONG: "check `max_bytes` of {place} in the contract",
    Reason.UNDECODABLE: "save the file as UTF-8",
    Reason.WRONG_COLUMN_COUNT: "check the delimiter and the quotes of the file",
    Reason.MALFORMED_QUOTES: "double each quote within a quoted value (RFC 4180)",
    Reason.MALFORMED_JSON: "write each record as one object of JSON (RFC 8259)",
    Reason.RECORD_TOO_LONG: "check `limits.max_record_bytes` in the contract",
}
"""Reason -> what a person can do about it."""


TRAILING = (
    "the extra column is empty in all of them: each ends with a delimiter, and the header does not"
)

_COLUMN_COUNTS = re.compile(r"([0-9]+) columns, got ([0-9]+)")
"""What `kpi.validation.rejects` expects of a record of another number of columns."""


@dataclass
class ProblemSummary:
    """One reason in one column.

    Attributes:
        reason: Code of the reason.
        column: Canonical name; empty where the whole record is wrong.
        expected: Text that completes "expected ...".
        rows: Rejects that have it.
        shapes: Shapes of their values, in the order in which they came.
        sampled: Rejects looked at for shapes.
        trailing: Rejects with one column too many, which is empty: they end with a delimiter.
    """

    reason: str
    column: str
    expected: str
    rows: int = 0
    shapes: dict[str, None] = field(default_factory=dict)
    sampled: int = 0
    trailing: int = 0

    @property
    def wants_samples(self) -> bool:
        """Whether to look at more values."""
        has_values = bool(self.column) and self.reason != Reason.MISSING_VALUE
        return has_values and len(self.shapes) < MAX_SHAPES and self.sampled < MAX_SAMPLED_ROWS


class RejectSummary:
    """Count rejects by reason and column, and sample the shapes of their values."""

    def __init__(
        self,
        fields: Mapping[str, int],
        delimiters: Sequence[str],
        remedy: Callable[[ProblemSummary], str],
    ) -> None:
        """Begin a source object.

        Args:
            fields: Column -> number of its field in a reject that is CSV; empty where `add_shapes`
                tells the shapes.
            delimiters: Those of the object, or those that it may have.
            remedy: Says what a person can do about a problem.
        """
        self._fields = fields
        self._delimiters = delimiters
        self._remedy = remedy
        self._problems: dict[tuple[str, str], ProblemSummary] = {}

    def add(self, rejects: pa.Table) -> None:
        """Add the rejects of a chunk, rows of `kpi.validation.rejects.PARSED_REJECTS`."""
        raws = rejects.column("raw")
        at = 0
        for reasons in rejects.column("reasons").chunks:
            codes = reasons.indices.to_numpy(zero_copy_only=False)
            rows = np.bincount(codes, minlength=len(reasons.dictionary))
            most = np.argsort(rows)[::-1][:MAX_COMBINATIONS_PER_CHUNK]
            for code in most[rows[most] > 0].tolist():
                problems = [self._find(one) for one in reasons.dictionary[code].as_py()]
                for problem in problems:
                    problem.rows += int(rows[code])
                if self._fields and any(problem.wants_samples for problem in problems):
                    found = np.flatnonzero(codes == code)[:MAX_SAMPLED_ROWS] + at
                    self._sample(problems, raws, found.tolist())
                if any(_has_one_more(one) for one in reasons.dictionary[code].as_py()):
                    found = np.flatnonzero(codes == code) + at
                    problems[0].trailing += self._count_trailing(raws.take(pa.array(found)))
            at += len(reasons)

    def describe(self) -> str:
        """Name the most frequent problems, and what to do about the first."""
        listed = sorted(self._problems.values(), key=lambda one: -one.rows)[:MAX_PROBLEMS]
        if not listed:
            return ""
        first = listed[0]
        is_trailing = first.trailing == first.rows
        remedy = (
            f"{TRAILING if is_trailing else self._remedy(first)}; `shopkpi rejects` prints the rows"
        )
        legend = SHAPES_LEGEND if any(one.shapes for one in listed) else ""
        return f"{', '.join(map(_describe, listed))}{legend}; {remedy}"

    def add_shapes(self, problem: Problem) -> None:
        """Add the shapes of a problem's samples; its column is named as in the rejects."""
        found = self._problems.get((problem.reason, problem.column or ""))
        for value in problem.samples:
            if found is None or len(found.shapes) >= MAX_SHAPES:
                return
            found.shapes.setdefault(shape_of(value))

    def _count_trailing(self, raws: pa.ChunkedArray) -> int:
        ends = [pc.sum(pc.ends_with(raws, one.encode())).as_py() or 0 for one in self._delimiters]
        return int(max(ends))

    def _find(self, reason: dict[str, Any]) -> ProblemSummary:
        code, column = reason["reason"], reason["column"] or ""
        return self._problems.setdefault(
            (code, column), ProblemSummary(code, column, reason["expected"])
        )

    def _sample(
        self, problems: list[ProblemSummary], raws: pa.ChunkedArray, rows: list[int]
    ) -> None:
        for row in rows:
            wanting = [problem for problem in problems if problem.wants_samples]
            if not wanting:
                return
            raw = raws[row].as_buffer()
            values = self._split(raw.to_pybytes()) if raw.size <= MAX_SAMPLED_BYTES else []
            for problem in wanting:
                problem.sampled += 1
                field_number = self._fields.get(problem.column, len(values))
                if field_number < len(values):
                    problem.shapes.setdefault(shape_of(values[field_number]))

    def _split(self, raw: bytes) -> list[str]:
        text = raw.decode("utf-8", "replace")
        try:
            return next(csv.reader(io.StringIO(text), delimiter=self._delimiters[0]), [])
        except csv.Error:
            return []


def summary_of(layout: Layout) -> RejectSummary:
    """Begin the summary of an object of language 1."""
    fields = {name: at for at, name in enumerate(layout.names)}
    return RejectSummary(fields, [layout.contract.delimiter], partial(_remedy, layout))


def _remedy(layout: Layout, problem: ProblemSummary) -> str:
    dataset = layout.dataset
    place = f"{dataset.name}.columns.{problem.column}"
    column = dataset.columns.get(problem.column)
    if problem.reason == Reason.WRONG_TYPE and column is not None:
        if column.type == "decimal" and any(map(DECIMAL_COMMA.fullmatch, problem.shapes)):
            return "a decimal comma is not read: write a point"
        if column.type == "timestamp":
            return f"name the format in `formats` of {place} in the contract"
    return REMEDIES[Reason(problem.reason)].format(place=place)


def _has_one_more(reason: dict[str, Any]) -> bool:
    if reason["reason"] != Reason.WRONG_COLUMN_COUNT:
        return False
    found = _COLUMN_COUNTS.fullmatch(str(reason["expected"]))
    return found is not None and int(found[2]) == int(found[1]) + 1


def shape_of(value: str) -> str:
    """Replace letters by `a`, digits by `9` and what else could tell a value by `?`.

    ASCII punctuation and blanks stay: they are what is wrong with most values.
    """
    shape = "".join(map(_class_of, value[: MAX_SHAPE_CHARACTERS + 1]))
    if len(shape) > MAX_SHAPE_CHARACTERS:
        return f"{shape[:MAX_SHAPE_CHARACTERS]}..."
    return shape


def _class_of(character: str) -> str:
    category = unicodedata.category(character)
    if category.startswith(("L", "M")):
        return "a"
    if category.startswith("N"):
        return "9"
    return character if " " <= character <= "~" else "?"


def _describe(problem: ProblemSummary) -> str:
    place = f" in {problem.column}" if problem.column else ""
    shapes = f"; got {', '.join(map(repr, problem.shapes))}" if problem.shapes else ""
    return f"{problem.reason} {problem.rows}{place} (expected {problem.expected}{shapes})"
