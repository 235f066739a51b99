"""Rules of a contract held against typed columns, a whole column at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract import Column, Dataset
from kpi.convert import Mask
from kpi.reasons import Reason

# A day's margin on each side: every time zone shows these instants in the years 1 to 9999.
EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)


class Problem(NamedTuple):
    """Rows of a chunk that share a reason: `rows` is a mask over its rows."""

    reason: Reason
    column: str | None
    expected: str
    rows: Mask


def broken_rules(
    dataset: Dataset, values: Mapping[str, pa.Array], found: list[Problem]
) -> list[Problem]:
    """The rules that rows break.

    Args:
        dataset: Whose rules.
        values: Canonical column -> its typed values, one or more.
        found: What is wrong with the rows already; a bad value is not reported as missing too.
    """
    problems = []
    for name, array in values.items():
        column = dataset.columns[name]
        if column.required and array.null_count:
            missing = _mask(array.is_null())
            for problem in found:
                if problem.column == name:
                    missing &= ~problem.rows
            if missing.any():
                problems.append(Problem(Reason.MISSING_VALUE, name, "a value", missing))
        if column.type == "string":
            problems += _text_problems(column, array)
        else:
            problems += _range_problems(column, array)
    return problems


def _range_problems(column: Column, array: pa.Array) -> list[Problem]:
    low, high = column.minimum, column.maximum
    limits: tuple[object, object] = (low, high)
    if column.type == "timestamp":
        limits = (EARLIEST, LATEST)
    if limits == (None, None):
        return []
    extremes = pc.min_max(array)
    broken = np.zeros(len(array), bool)
    smallest, largest = extremes["min"].as_py(), extremes["max"].as_py()
    if smallest is None:
        return []
    if limits[0] is not None and smallest < limits[0]:
        broken |= _mask(pc.less(array, _scalar(limits[0], array.type)))
    if limits[1] is not None and largest > limits[1]:
        broken |= _mask(pc.greater(array, _scalar(limits[1], array.type)))
    if not broken.any():
        return []
    expected = " and ".join(
        text
        for text, limit in (
            (f"at least {limits[0]}", limits[0]),
            (f"at most {limits[1]}", limits[1]),
        )
        if limit is not None
    )
    return [Problem(Reason.OUT_OF_RANGE, column.name, expected, broken)]


def _text_problems(column: Column, array: pa.Array) -> list[Problem]:
    """On the dictionary where there is one: its values are few."""
    texts = array.dictionary if isinstance(array, pa.DictionaryArray) else array
    problems = []
    if column.max_bytes is not None:
        long = _mask(pc.greater(pc.binary_length(texts), column.max_bytes))
        if long.any():
            expected = f"at most {column.max_bytes} bytes"
            problems.append(
                Problem(Reason.TOO_LONG, column.name, expected, _rows_with(array, long))
            )
    if column.allowed:
        known = _mask(pc.is_in(texts, pa.array(column.allowed))) | ~_mask(texts.is_valid())
        if not known.all():
            expected = f"one of {', '.join(column.allowed)}"
            problems.append(
                Problem(Reason.NOT_ALLOWED, column.name, expected, _rows_with(array, ~known))
            )
    return [problem for problem in problems if problem.rows.any()]


def _rows_with(array: pa.Array, texts: Mask) -> Mask:
    if not isinstance(array, pa.DictionaryArray):
        return texts
    return _mask(pa.array(texts).take(array.indices))


def _scalar(limit: object, kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_timestamp(kind):
        return pa.scalar(limit, kind)
    # A limit may have more digits than the column: compare as decimals of any scale.
    return pa.scalar(limit)


def _mask(array: pa.Array) -> Mask:
    return cast(Mask, array.fill_null(False).to_numpy(zero_copy_only=False))
