"""Blank cells as in the row above: of merged cells, or while one column stays the same (rule 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.arrays import Mask, Words
from kpi.kernels.keys import keys_of
from kpi.kernels.masks import true


class ComesBackError(Exception):
    """A value of the column comes back after another one.

    Attributes:
        value: The value.
    """

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


@dataclass
class MergedCells:
    """The cell above the next rows of one column.

    Attributes:
        text: Null where none has a value yet.
        is_bad: Whether its bytes are no text.
    """

    text: str | None = None
    is_bad: bool = False

    def fill(self, texts: pa.Array, bad: Mask) -> tuple[pa.Array, Mask]:
        """Fill the next rows, and tell those whose cell, or the one above, is no text."""
        if not len(texts):
            return texts, bad
        longer = pa.concat_arrays([pa.array([self.text], texts.type), texts])
        longer_bad = np.concatenate([[self.is_bad], bad])
        has = true(longer.is_valid()) | longer_bad
        has[0] = True
        at = np.maximum.accumulate(np.where(has, np.arange(len(longer)), 0))[1:]
        filled, filled_bad = longer.take(pa.array(at)), longer_bad[at]
        self.text, self.is_bad = filled[-1].as_py(), bool(filled_bad[-1])
        return filled, filled_bad


class Filler:
    """Fills the rows of one dataset of a file, piece after piece."""

    def __init__(self) -> None:
        self._last: dict[str, str | None] = {}
        self._group: str | None = None
        self._seen: Words = np.zeros(0, np.uint64)

    def fill(self, group: pa.Array, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """Fill the next rows.

        Args:
            group: Texts of the column that must stay the same; null is a group of its own.
            columns: Columns to fill.

        Raises:
            ComesBackError: Rows of a group do not follow on each other.
        """
        rows = len(group)
        if not rows:
            return columns
        starts = np.ones(rows, bool)
        blank = ~true(group.is_valid())
        filled = group.fill_null("")
        same = true(pc.equal(filled[1:], filled[:-1])) if rows > 1 else np.zeros(0, bool)
        starts[1:] = ~same | blank[1:] | blank[:-1]
        starts[0] = blank[0] or self._group is None or filled[0].as_py() != self._group
        self._check(filled, starts & ~blank)
        found = {name: self._forward(name, texts, starts) for name, texts in columns.items()}
        self._group = None if blank[-1] else filled[rows - 1].as_py()
        self._last = {name: texts[rows - 1].as_py() for name, texts in found.items()}
        return found

    def _check(self, group: pa.Array, starts: Mask) -> None:
        at = np.flatnonzero(starts)
        if not len(at):
            return
        begun = group.take(pa.array(at))
        hashes = keys_of([pa.chunked_array([begun])]).mixed()
        again = np.isin(hashes, self._seen)
        if not again.any():
            _, first = np.unique(hashes, return_index=True)
            again = np.ones(len(hashes), bool)
            again[first] = False
        if again.any():
            raise ComesBackError(begun[int(np.flatnonzero(again)[0])].as_py())
        self._seen = np.concatenate([self._seen, hashes])

    def _forward(self, name: str, texts: pa.Array, starts: Mask) -> pa.Array:
        """Take the last value of the group at or above each row."""
        before = None if starts[0] else self._last.get(name)
        longer = pa.concat_arrays([pa.array([before], texts.type), texts])
        has = true(longer.is_valid())
        at = np.maximum.accumulate(np.where(has, np.arange(len(longer)), -1))[1:]
        # Row i of the piece is i + 1 of the longer array, whose first is the row before the piece.
        first = np.maximum.accumulate(np.where(starts, np.arange(1, len(longer)), 0))
        inside = at >= first
        return longer.take(pa.array(at, mask=~inside))
