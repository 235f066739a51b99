"""Compute exactly on columns: sums of scaled 64-bit integers, half-even rounding, decimals.

Money is a count of its smallest unit (cents at scale 2). No float ever holds a rounded amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.errors import KpiError
from kpi.kernels.arrays import Int64s, Mask

Integer = TypeVar("Integer", bound=np.integer)

FLOAT_EXACT = 1 << 53
"""A float64 holds every integer of at most this size (IEEE 754 binary64)."""

LIMB_BITS = 21
"""Bits of each of the three limbs into which a wide sum splits its values."""

COUNT_BLOCK_CODES = 1 << 17
"""Codes counted in one call: NumPy widens them to 64 bits first, and these stay in the cache."""

INT32_MAX, INT64_MAX = (1 << 31) - 1, (1 << 63) - 1

_OVERFLOW = f"amounts exceed 64 bits: expected at most {INT64_MAX} of their smallest unit"


def unscaled(decimals: pa.Array) -> Int64s:
    """Return the integers behind a decimal128 column of at most 18 digits; undefined where null."""
    words = np.frombuffer(decimals.buffers()[1], np.int64)
    # 16 bytes a value, little endian: the low word holds the value, the high one its sign.
    return words[2 * decimals.offset : 2 * (decimals.offset + len(decimals)) : 2]


def sums(codes: npt.NDArray[np.integer], values: Int64s, size: int) -> Int64s:
    """Sum `values` by group.

    Args:
        codes: Group of each value, from 0 on.
        values: Integers.
        size: Number of groups.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    if len(values) == 0:
        return np.zeros(size, np.int64)
    largest = max(abs(int(values.min())), abs(int(values.max())))
    if largest * len(values) < FLOAT_EXACT:
        # Partial sums stay below 2**53, so float addition is exact. It is NumPy's fastest grouped
        # sum.
        return np.bincount(codes, weights=values, minlength=size).astype(np.int64)
    mask = (1 << LIMB_BITS) - 1
    limbs = [values & mask, (values >> LIMB_BITS) & mask, values >> (2 * LIMB_BITS)]
    parts = [np.bincount(codes, weights=limb, minlength=size).astype(np.int64) for limb in limbs]
    total = [
        int(low) + (int(middle) << LIMB_BITS) + (int(high) << (2 * LIMB_BITS))
        for low, middle, high in zip(*parts, strict=True)
    ]
    if max(map(abs, total)) > INT64_MAX:
        raise KpiError(_OVERFLOW)
    return np.array(total, np.int64)


def counts(codes: npt.NDArray[np.integer], size: int) -> Int64s:
    """Count how often each code in [0, size) occurs."""
    total = np.zeros(size, np.int64)
    for start in range(0, len(codes), COUNT_BLOCK_CODES):
        total += np.bincount(codes[start : start + COUNT_BLOCK_CODES], minlength=size)
    return total


def distinct(values: npt.NDArray[Integer]) -> npt.NDArray[Integer]:
    """Return the distinct values, ascending. (`np.unique` hashes: several times slower.)"""
    ordered = np.sort(values)
    return ordered[run_starts(ordered)]


def run_starts(values: npt.NDArray[np.integer]) -> Mask:
    """Mark the first value of each run of equal neighbours."""
    mask = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=mask[1:])
    return mask


def add(left: Int64s, right: Int64s) -> Int64s:
    """Add two columns.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    total = left + right
    # Overflow has happened where the sum's sign differs from both signs (Hacker's Delight, 2-13).
    if (((left ^ total) & (right ^ total)) < 0).any():
        raise KpiError(_OVERFLOW)
    return total


def row_sums(matrix: Int64s) -> Int64s:
    """Sum each row of a matrix.

    Raises:
        KpiError: A sum does not fit 64 bits.
    """
    estimates = np.abs(matrix.astype(np.float64)).sum(axis=1)
    if (estimates < INT64_MAX / 2).all():
        return matrix.sum(axis=1)
    return _to_int64([sum(row) for row in matrix.tolist()])


def times(units: Int64s, factor: int | Int64s) -> Int64s:
    """Multiply a column by a factor, or by another column.

    Raises:
        KpiError: A product does not fit 64 bits.
    """
    estimates = np.abs(units.astype(np.float64) * factor)
    if (estimates < INT64_MAX / 2).all():
        return units * factor
    return _to_int64((units.astype(object) * factor).tolist())


def half_even(numerators: Int64s, denominators: Int64s, scale: int = 0) -> Int64s:
    """Divide by `denominators * 10**scale` and round to the nearest integer, ties to even.

    Args:
        numerators: Integers.
        denominators: Positive integers.
        scale: Zero or more.
    """
    if len(denominators) and int(denominators.max()) > INT64_MAX // (4 * 10**scale):
        numerators, denominators = numerators.astype(object), denominators.astype(object)
    divisors = denominators * 10**scale
    quotients = numerators // divisors
    twice = 2 * (numerators - quotients * divisors)
    up = (twice > divisors) | ((twice == divisors) & (quotients % 2 != 0))
    return (quotients + up).astype(np.int64)


def at_scale(units: Int64s, scale: int, wanted: int) -> Int64s:
    """Convert amounts from one decimal scale to another, rounding half-even.

    Args:
        units: Amounts at `scale`.
        scale: Decimal places of `units`.
        wanted: Decimal places of the result.

    Raises:
        KpiError: An amount does not fit 64 bits.
    """
    if scale <= wanted:
        return times(units, 10 ** (wanted - scale))
    return half_even(units, np.ones(len(units), np.int64), scale - wanted)


def to_decimals(units: Int64s, kind: pa.DataType) -> pa.Array:
    """Convert integers at the scale of `kind` to decimal128 values."""
    words = np.empty((len(units), 2), np.int64)
    words[:, 0] = units
    words[:, 1] = units >> 63
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(words)])


def _to_int64(totals: Sequence[int]) -> Int64s:
    """Convert Python's unbounded integers to 64-bit ones.

    Raises:
        KpiError: One does not fit.
    """
    if any(not -INT64_MAX - 1 <= total <= INT64_MAX for total in totals):
        raise KpiError(_OVERFLOW)
    return np.array(totals, np.int64)
