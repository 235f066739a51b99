"""Rows of a long file that say what its beginning does not: a row of each new kind of value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.arrays import Mask
from kpi.kernels.key_checks import check_rows

MAX_VALUES = 200
"""Distinct values of a column that are told apart one by one, as statuses are."""

MAX_KINDS = 200
"""Shapes, or further values, of a column: one with more is free text, which decides nothing."""

MAX_TOKENS = 24
"""Runs of digits or letters of a value; a longer one is free text."""

MAX_KEYS = 2_000_000
"""Hashes of a key that are held, some 16 MB: of more rows a share is taken, by the hash."""

WITNESSES_OF_A_KIND = 20
"""Rows that are kept of each new kind: shares of rows are judged by more than one."""

_TOKENS = re.compile(r"\d+|[^\W\d_]+|.", re.DOTALL)


def shape_of(text: str) -> str | None:
    """Write what a value looks like as a regular expression of RE2; None for free text.

    Runs of letters are one; runs of digits differ by their length, and two of them by whether they
    may be a month: `13/01/2025` and `01/13/2025` are of two shapes.
    """
    tokens = _TOKENS.findall(text)
    if len(tokens) > MAX_TOKENS:
        return None
    return "".join(map(_shape_of_token, tokens))


def _shape_of_token(token: str) -> str:
    if token.isdecimal() and token.isascii():
        return _shape_of_digits(token)
    if token[0].isalpha():
        return r"\p{L}+"
    return re.escape(token)


def _shape_of_digits(token: str) -> str:
    if len(token) <= 2 and int(token) <= 12:
        return "(?:0?[0-9]|1[0-2])"
    if len(token) == 2:
        return "(?:1[3-9]|[2-9][0-9])"
    first = "0" if token[0] == "0" else "[1-9]"
    return f"{first}[0-9]{{{len(token) - 1}}}" if len(token) <= 4 else f"{first}[0-9]{{4,}}"


class _Kinds:
    """Kinds of values of one column that are known."""

    def __init__(self, cells: Iterable[str]) -> None:
        filled = [cell for cell in cells if cell]
        distinct = set(filled)
        self._values: set[str] | None = None
        if len(distinct) <= MAX_VALUES and len(distinct) <= len(filled) / 2:
            self._values = distinct
        self._shapes: set[str] | None = set()
        self._seen: dict[str, int] = {}
        for value in distinct:
            self._add_shape(value)
        self._pattern = ""
        self._compile()

    def new_rows(self, cells: pa.StringArray) -> Mask | None:
        """Find the rows with a value of no known kind; None where there are none."""
        if self._shapes is None and self._values is None:
            return None
        if self._values is not None:
            known = pc.is_in(cells, pa.array([*self._values, ""], pa.string()))
        else:
            known = pc.match_substring_regex(cells, self._pattern)
        unknown = np.asarray(pc.invert(pc.fill_null(known, True)))
        return unknown if unknown.any() else None

    def admit(self, value: str) -> bool:
        """Tell whether a row with a value is to be kept, and know its kind from then on."""
        shape = shape_of(value)
        kind = value if self._values is not None else shape
        if kind is None or (shape is None and self._values is None):
            self._shapes = None
            return False
        self._seen[kind] = self._seen.get(kind, 0) + 1
        if self._seen[kind] > WITNESSES_OF_A_KIND:
            return False
        if self._seen[kind] >= WITNESSES_OF_A_KIND or self._values is not None:
            self._learn(value)
        if len(self._seen) > MAX_KINDS:
            self._values = None
            self._shapes = None if len(self._seen) > 2 * MAX_KINDS else self._shapes
        return True

    def _learn(self, value: str) -> None:
        if self._values is not None:
            self._values.add(value)
        self._add_shape(value)
        self._compile()

    def _add_shape(self, value: str) -> None:
        if self._shapes is None:
            return
        shape = shape_of(value)
        if shape is None or len(self._shapes) >= MAX_KINDS:
            self._shapes = None
        else:
            self._shapes.add(shape)

    def _compile(self) -> None:
        if self._shapes is not None:
            self._pattern = rf"^\s*(?:{'|'.join(sorted(self._shapes))})?\s*$"


class _KeySketch:
    """Hashes of a column whose values are each there once so far; of many rows, of a share."""

    def __init__(self) -> None:
        self._held: list[np.ndarray] = []
        self._count = 0
        self._mask = np.uint64(0)

    def add(self, cells: pa.StringArray) -> None:
        hashes = check_rows([pa.chunked_array([cells])])
        self._hold(hashes[(hashes & self._mask) == 0])
        while self._count > MAX_KEYS:
            self._mask = self._mask << np.uint64(1) | np.uint64(1)
            held, self._held, self._count = self._held, [], 0
            for one in held:
                self._hold(one[(one & self._mask) == 0])

    def _hold(self, hashes: np.ndarray) -> None:
        self._held.append(hashes)
        self._count += len(hashes)

    def repeats(self) -> bool:
        """Whether a value comes again."""
        if not self._held:
            return False
        hashes = np.concatenate(self._held)
        return len(np.unique(hashes)) < len(hashes)


class Witnesses:
    """Looks through the rows of a file for what its first ones do not show.

    Attributes:
        rows: Rows that were kept.
        rows_seen: Rows that were looked through.
    """

    def __init__(self, columns: Sequence[Sequence[str]]) -> None:
        """Begin with the first rows of a file, by column."""
        self._kinds = [_Kinds(cells) for cells in columns]
        self._keys = {
            at: _KeySketch()
            for at, cells in enumerate(columns)
            if all(cells) and len(set(cells)) == len(cells)
        }
        self.rows: list[tuple[str, ...]] = []
        self.rows_seen = 0

    def see(self, columns: Sequence[pa.StringArray], *, first: int = 0) -> None:
        """Look through further rows.

        Args:
            columns: Their cells.
            first: Rows at the beginning that are known already, but for their keys.
        """
        for at, sketch in self._keys.items():
            sketch.add(columns[at])
        rows = len(columns[0])
        self.rows_seen += rows
        later = [column.slice(first) for column in columns]
        kept: set[int] = set()
        for kinds, cells in zip(self._kinds, later, strict=True):
            unknown = kinds.new_rows(cells)
            if unknown is None:
                continue
            for row in np.flatnonzero(unknown)[: 10 * MAX_KINDS].tolist():
                if kinds.admit((cells[row].as_py() or "").strip()):
                    kept.add(row)
        for row in sorted(kept):
            self.rows.append(tuple((cells[row].as_py() or "").strip() for cells in later))

    def repeated(self) -> frozenset[int]:
        """Columns that have each value once in the first rows, but not in all."""
        return frozenset(at for at, sketch in self._keys.items() if sketch.repeats())
