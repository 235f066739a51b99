"""Rows of a file as texts by header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.folding import fold
from kpi.contract.model import header_form
from kpi.contract.reject_reasons import Reason
from kpi.contract.shop import FileLayout, ShopColumn, ShopDataset
from kpi.kernels.arrays import Mask
from kpi.mapping.conditions import Texts
from kpi.mapping.numbers import read_numbers
from kpi.validation.rules import Problem
from kpi.validation.text import trim


class FileRows:
    """Rows of a file: the texts of its columns by header, each made when it is asked for."""

    def __init__(
        self,
        cells: Sequence[pa.Array],
        headers: Sequence[str],
        positions: Mapping[str, int],
        names: Mapping[str, str],
        layout: FileLayout,
    ) -> None:
        self._cells = cells
        self._headers = headers
        self._positions = positions
        self._names = names
        self._layout = layout
        self._texts: dict[str, pa.Array] = {}
        self._bad: dict[str, Mask] = {}
        self._trimmed: dict[str, Mask] = {}

    def __len__(self) -> int:
        return len(self._cells[0])

    def texts(self, header: str) -> pa.Array:
        """Texts without outer blanks; null where a cell has no value."""
        form = header_form(header)
        if header in self._names:
            return pa.array([self._names[header]] * len(self), pa.string())
        if form not in self._texts:
            decoded, bad = _decode(self._cells[self._positions[form]])
            trimmed = trim(decoded, ())
            texts = pc.if_else(
                pc.equal(trimmed.values, ""), pa.scalar(None, pa.string()), trimmed.values
            )
            self._texts[form] = without_words(texts, self._layout.blanks)
            self._bad[form] = bad
            self._trimmed[form] = trimmed.changed
        return self._texts[form]

    def trimmed(self, column: ShopColumn) -> Mask:
        """Rows in which a cell of a column, read before, lost outer blanks."""
        found = np.zeros(len(self), bool)
        for header in (*column.headers, *column.join):
            found |= self._trimmed.get(header_form(header), False)
        return found

    def texts_for(self, signed: set[str]) -> Texts:
        """Columns for conditions; those whose sign is tested are written with a point."""

        def texts(header: str) -> pa.Array:
            found = self.texts(header)
            if header not in signed:
                return found
            numbers = read_numbers(found, self._layout.numbers, 4)
            digits = pa.array(numbers.units).cast(pa.string())
            return pc.if_else(pa.array(numbers.valid), digits, found)

        return texts

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


def _decode(cells: pa.Array) -> tuple[pa.Array, Mask]:
    """Bytes as texts, and where they are none."""
    none_bad = np.zeros(len(cells), bool)
    if pa.types.is_string(cells.type):
        return cells, none_bad
    try:
        return cells.cast(pa.string()), none_bad
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for at, cell in enumerate(cells.to_pylist()):
            try:
                texts.append(None if cell is None else cell.decode())
            except UnicodeDecodeError:
                texts.append(None)
                none_bad[at] = True
        return pa.array(texts, pa.string()), none_bad
