"""Check typed columns against the rules of a contract, a whole column at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.model import KPI_KEYS, Column, Dataset
from kpi.contract.receipt_notes import Note
from kpi.contract.reject_reasons import Reason
from kpi.kernels.arrays import Mask
from kpi.kernels.fixed_point import unscaled
from kpi.kernels.instants import microseconds_since_epoch
from kpi.kernels.masks import booleans, true, valid

# With a margin of a day: every time zone shows these instants in the years 1 to 9999.
EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)

FIRST_INSTANT = datetime(1, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Instants that readers of the clean zone can show in UTC."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

MAX_QUANTITY = 10**9
MAX_LINE_UNITS = 10**17
"""Limits of one line. Beyond them a row could overflow a day's 64-bit sums, and so cost every other
row of the day. Units are those of the price's scale."""

Values: TypeAlias = pa.Array | pa.ChunkedArray
"""Values of one column; numbers and instants may come in blocks."""


@dataclass(frozen=True)
class Remark:
    """Cells of a column that validation changed.

    Attributes:
        note: What changed.
        rows: Mask over the rows.
    """

    note: Note
    rows: Mask


@dataclass(frozen=True)
class Problem:
    """Rows of a chunk that share a reason.

    Attributes:
        reason: The reason.
        column: Canonical name of the column; None for a whole record.
        expected: Text that completes "expected ...".
        rows: Mask over the rows.
        samples: Some of their values, whose shapes a refusal shows.
    """

    reason: Reason
    column: str | None
    expected: str
    rows: Mask
    samples: tuple[str, ...] = ()


def broken_rules(
    dataset: Dataset, values: Mapping[str, Values], found: list[Problem]
) -> list[Problem]:
    """Find the rules that rows break.

    Args:
        dataset: The dataset of the rows.
        values: Canonical column -> its typed values, at least one.
        found: Problems known before; a bad value is not reported as missing too.
    """
    problems = []
    for name, array in values.items():
        column = dataset.columns[name]
        if column.required and array.null_count:
            missing = ~_valid(array)
            for problem in found:
                if problem.column == name:
                    missing &= ~problem.rows
            if missing.any():
                problems.append(Problem(Reason.MISSING_VALUE, name, "a value", missing))
        if column.type == "string":
            problems += _text_problems(column, array, is_key=KPI_KEYS.get(dataset.name) == name)
        else:
            problems += _range_problems(column, array)
    return problems + _amount_problems(dataset, values)


def _blocks(values: Values) -> list[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]


def _valid(values: Values) -> Mask:
    return np.concatenate([valid(block) for block in _blocks(values)])


def _all_numbers(values: Values) -> npt.NDArray[np.int64]:
    return np.concatenate([_numbers(block) for block in _blocks(values)])


def _amount_problems(dataset: Dataset, values: Mapping[str, Values]) -> list[Problem]:
    """Check quantities, and prices times quantities, against the limits of one line."""
    if dataset.name != "order_items" or "quantity" not in values:
        return []
    quantity = values["quantity"].fill_null(1).to_numpy(zero_copy_only=False)
    problems = []
    broken = (quantity > MAX_QUANTITY) | (quantity < -MAX_QUANTITY)
    if broken.any():
        expected = f"at least {-MAX_QUANTITY} and at most {MAX_QUANTITY}"
        problems.append(Problem(Reason.OUT_OF_RANGE, "quantity", expected, broken))
    if dataset.unit_price and "sale_price" in values:
        price = values["sale_price"]
        known = _valid(price)
        units = np.where(known, _all_numbers(price), 0).astype(np.float64) * quantity
        broken = (np.abs(units) > MAX_LINE_UNITS) & ~broken
        if broken.any():
            most = Decimal(MAX_LINE_UNITS).scaleb(-price.type.scale)
            expected = f"a price that is at most {most:f} when multiplied by quantity"
            problems.append(Problem(Reason.OUT_OF_RANGE, "sale_price", expected, broken))
    return problems


def _range_problems(column: Column, values: Values) -> list[Problem]:
    low: Decimal | datetime | None = column.minimum
    high: Decimal | datetime | None = column.maximum
    if column.type == "timestamp":
        # Only an instant that a KPI reads is ever shown in another time zone.
        low, high = (EARLIEST, LATEST) if column.rejects else (FIRST_INSTANT, LAST_INSTANT)
    if (low is None and high is None) or len(values) == 0:
        return []
    scale = values.type.scale if pa.types.is_decimal(values.type) else 0
    least = _INT64_MIN if low is None else math.ceil(_units(low, scale))
    most = _INT64_MAX if high is None else math.floor(_units(high, scale))
    # The values behind nulls are compared too; masking them first would cost every clean chunk.
    numbers = [_numbers(block) for block in _blocks(values)]
    if all(int(some.min()) >= least and int(some.max()) <= most for some in numbers if len(some)):
        return []
    broken = np.concatenate([(some < least) | (some > most) for some in numbers])
    broken &= _valid(values)
    if not broken.any():
        return []
    limits = (("at least", low), ("at most", high))
    expected = " and ".join(f"{words} {limit}" for words, limit in limits if limit is not None)
    return [Problem(Reason.OUT_OF_RANGE, column.name, expected, broken)]


def _numbers(array: pa.Array) -> npt.NDArray[np.int64]:
    """View decimals, integers or timestamps as integers; those behind nulls are arbitrary."""
    if pa.types.is_decimal(array.type):
        return unscaled(array)
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset :][: len(array)]


def _units(limit: Decimal | datetime, scale: int) -> Decimal | int:
    if isinstance(limit, datetime):
        return microseconds_since_epoch(limit)
    return limit.scaleb(scale)


def _text_problems(column: Column, array: pa.Array, *, is_key: bool) -> list[Problem]:
    """Check texts, on the dictionary where there is one.

    Args:
        column: Their column.
        array: The texts.
        is_key: Whether they become keys of KPI rows, which no store lets be empty.
    """
    texts = array.dictionary if isinstance(array, pa.DictionaryArray) else array
    problems = []
    if is_key:
        empty = true(pc.equal(pc.binary_length(texts), 0))
        if empty.any():
            expected = "a text that is not empty"
            problems.append(
                Problem(Reason.MISSING_VALUE, column.name, expected, _rows_with(array, empty))
            )
    if column.max_bytes is not None:
        long = true(pc.greater(pc.binary_length(texts), column.max_bytes))
        if long.any():
            expected = f"at most {column.max_bytes} bytes"
            problems.append(
                Problem(Reason.TOO_LONG, column.name, expected, _rows_with(array, long))
            )
    if column.allowed:
        known = true(pc.is_in(texts, pa.array(column.allowed))) | ~valid(texts)
        if not known.all():
            expected = f"one of {', '.join(column.allowed)}"
            problems.append(
                Problem(Reason.NOT_ALLOWED, column.name, expected, _rows_with(array, ~known))
            )
    return [problem for problem in problems if problem.rows.any()]


def _rows_with(array: pa.Array, texts: Mask) -> Mask:
    if not isinstance(array, pa.DictionaryArray):
        return texts
    return true(booleans(texts).take(array.indices))
