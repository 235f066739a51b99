"""Rows of a file as texts by header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.conditions import NO_NUMBER
from kpi.contract.folding import fold
from kpi.contract.model import header_form
from kpi.contract.reject_reasons import Reason
from kpi.contract.shop import FileLayout, ShopColumn, ShopDataset
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.masks import bitmap, valid
from kpi.mapping.fill import MergedCells
from kpi.mapping.numbers import read_numbers
from kpi.validation.rules import Problem
from kpi.validation.text import decode, trim

SMALL_PLACES = 15
"""Decimal places that tell the sign of a number that is 0 at 4 places."""


class FileRows:
    """Rows of a file: the texts of its columns by header, each made when it is asked for."""

    def __init__(
        self,
        cells: Sequence[pa.Array],
        headers: Sequence[str],
        positions: Mapping[str, int],
        names: Mapping[str, str],
        layout: FileLayout,
        rows: int,
        merged: Mapping[str, MergedCells],
    ) -> None:
        self._cells = cells
        self._headers = headers
        self._positions = positions
        self._names = names
        self._layout = layout
        self._texts: dict[str, pa.Array] = {}
        self._bad: dict[str, Mask] = {}
        self._trimmed: dict[str, Mask] = {}
        self._rows = rows
        self._merged = merged
        # Of each piece, as the cells above are those of the piece before.
        for header in layout.merged:
            self.texts(header)

    def __len__(self) -> int:
        return self._rows

    def texts(self, header: str) -> pa.Array:
        """Texts without outer blanks; null where a cell has no value."""
        form = header_form(header)
        if header in self._names:
            return pa.array([self._names[header]] * len(self), pa.string())
        if form not in self._texts:
            decoded, bad = _decode(self._cells[self._positions[form]])
            trimmed = trim(decoded, ())
            texts = without_empty(trimmed.values)
            texts = without_words(texts, self._layout.blanks)
            if form in self._merged:
                texts, bad = self._merged[form].fill(texts, bad)
            self._texts[form] = texts
            self._bad[form] = bad
            self._trimmed[form] = trimmed.changed
        return self._texts[form]

    def trimmed(self, column: ShopColumn) -> Mask:
        """Rows in which a cell of a column, read before, lost outer blanks."""
        found = np.zeros(len(self), bool)
        for header in (*column.headers, *column.join):
            found |= self._trimmed.get(header_form(header), False)
        return found

    def signs(self, texts: pa.Array) -> Int64s:
        """Read the signs of numbers as the file writes them; see `Signs`."""
        numbers = read_numbers(texts, self._layout.numbers, 4)
        small = read_numbers(texts, self._layout.numbers, SMALL_PLACES)
        found = np.sign(np.where(numbers.units == 0, small.units, numbers.units))
        return np.where(numbers.valid, found, NO_NUMBER)

    def undecodable(self, dataset: ShopDataset, inside: Mask) -> list[Problem]:
        """Rows whose bytes are no text in a column that a dataset reads."""
        found = []
        for column in dataset.columns.values():
            for header in (*column.headers, *column.join):
                bad = self._bad.get(header_form(header))
                if bad is not None and (bad & inside).any():
                    found.append(Problem(Reason.UNDECODABLE, column.name, "text", bad & inside))
        return found


def without_words(texts: pa.Array, words: Sequence[str]) -> pa.Array:
    """Null where a text is one of some words."""
    if not words:
        return texts
    encoded = texts.dictionary_encode()
    is_word = pa.array([fold(text) in words for text in encoded.dictionary.to_pylist()], pa.bool_())
    return pc.if_else(is_word.take(encoded.indices), pa.scalar(None, pa.string()), texts)


def without_empty(texts: pa.Array) -> pa.Array:
    """Null where a text is empty; the bytes of the others are not copied."""
    if not len(texts):
        return texts
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset :][: len(texts) + 1]
    filled = offsets[1:] > offsets[:-1]
    if filled.all():
        return texts
    if texts.null_count:
        filled &= valid(texts)
    buffers = [bitmap(filled), pa.py_buffer(offsets), data]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


def _decode(cells: pa.Array) -> tuple[pa.Array, Mask]:
    """Decode bytes as texts, and find those that are none."""
    if pa.types.is_string(cells.type) or not len(cells):
        return cells.cast(pa.string()), np.zeros(len(cells), bool)
    return decode(cells)
