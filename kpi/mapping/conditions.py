"""Conditions of a contract held against columns, a whole column at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.conditions import Conditions, Patterns
from kpi.contract.folding import fold
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.masks import true

Texts = Callable[[str], pa.Array]
"""Column name -> its texts, null where a cell has no value."""

Signs = Callable[[pa.Array], Int64s]
"""Texts -> the sign of each number, `NO_NUMBER` where it is none."""


def holds(conditions: Conditions, texts: Texts, rows: int, signs: Signs | None = None) -> Mask:
    """Find the rows for which one of some conditions holds; none where there is no condition.

    Args:
        conditions: Of a contract.
        texts: Columns by name.
        rows: Number of rows.
        signs: Reads the signs of numbers; None where they are written with a point.
    """
    found = np.zeros(rows, bool)
    for condition in conditions:
        every = np.ones(rows, bool)
        for name, patterns in condition.items():
            every &= matches(patterns, texts(name), signs)
        found |= every
    return found


def matches(patterns: Patterns, texts: pa.Array, signs: Signs | None = None) -> Mask:
    """Compare each text with some patterns."""
    simple = _of_presence(patterns)
    if simple is not None:
        blank = ~true(pc.not_equal(pc.utf8_trim_whitespace(texts), ""))
        return blank if simple else ~blank
    encoded = pc.dictionary_encode(texts)
    names = encoded.dictionary.to_pylist()
    if signs is None or not patterns.asks_for_signs:
        of_text = [patterns.match(text) for text in names]
    else:
        known = signs(encoded.dictionary).tolist()
        of_text = [patterns.match(*one) for one in zip(names, known, strict=True)]
    table = np.array([*of_text, patterns.match(None)], bool)
    at = encoded.indices.fill_null(len(of_text)).to_numpy(zero_copy_only=False)
    return table[at]


def has_signs(conditions: Conditions) -> set[str]:
    """Name the columns whose sign some conditions test."""
    return {
        name
        for condition in conditions
        for name, patterns in condition.items()
        if patterns.asks_for_signs
    }


def _of_presence(patterns: Patterns) -> bool | None:
    """Whether patterns ask for no value (True) or any value (False); None where for others."""
    texts = {fold(text) for text in patterns.texts}
    if texts in ({""}, {"!*"}):
        return True
    return False if texts in ({"*"}, {"!"}) else None
