"""Exact arithmetic on columns: sums of scaled 64-bit integers, half-even rounding, decimals.

Money is a count of its smallest unit (cents at scale 2); no float ever holds a rounded amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.errors import KpiError
from kpi.kernels.arrays import Int64s

Integer = TypeVar("Integer", bound=np.integer)

FLOAT_EXACT = 1 << 53
"""A float64 holds every integer of at most this size (IEEE 754 binary64)."""

LIMB_BITS = 21

_AT_ONCE = 1 << 17
"""Codes counted at once: numpy makes 64-bit numbers of them first, which stay in the cache so."""

INT32_MAX, INT64_MAX = (1 << 31) - 1, (1 << 63) - 1

_TOO_LARGE = f"amounts exceed 64 bits: expected at most {INT64_MAX} of their smallest unit"


def unscaled(decimals: pa.Array) -> Int64s:
    """The integers behind a decimal128 column of at most 18 digits; undefined where null."""
    words = np.frombuffer(decimals.buffers()[1], np.int64)
    # 16 bytes a value, little endian: the low word holds the value, the high one its sign.
    return words[2 * decimals.offset : 2 * (decimals.offset + len(decimals)) : 2]


def sums(codes: npt.NDArray[np.integer], values: Int64s, size: int) -> Int64s:
    """Sum of `values` for each code in [0, size).

    Args:
        codes: Group of each value.
        values: Integers.
        size: Number of groups.

    Errors: `KpiError` where a sum does not fit 64 bits.
    """
    if len(values) == 0:
        return np.zeros(size, np.int64)
    largest = max(abs(int(values.min())), abs(int(values.max())))
    if largest * len(values) < FLOAT_EXACT:
        # Partial sums stay below 2**53, so adding them as floats loses nothing; it is the fastest
        # grouped sum that numpy has.
        return np.bincount(codes, weights=values, minlength=size).astype(np.int64)
    mask = (1 << LIMB_BITS) - 1
    limbs = [values & mask, (values >> LIMB_BITS) & mask, values >> (2 * LIMB_BITS)]
    parts = [np.bincount(codes, weights=limb, minlength=size).astype(np.int64) for limb in limbs]
    total = [
        int(low) + (int(middle) << LIMB_BITS) + (int(high) << (2 * LIMB_BITS))
        for low, middle, high in zip(*parts, strict=True)
    ]
    if max(map(abs, total)) > INT64_MAX:
        raise KpiError(_TOO_LARGE)
    return np.array(total, np.int64)


def counts(codes: npt.NDArray[np.integer], size: int) -> Int64s:
    """How often each code in [0, size) stands there."""
    total = np.zeros(size, np.int64)
    for start in range(0, len(codes), _AT_ONCE):
        total += np.bincount(codes[start : start + _AT_ONCE], minlength=size)
    return total


def distinct(values: npt.NDArray[Integer]) -> npt.NDArray[Integer]:
    """The distinct values, ascending. (`np.unique` hashes, which is several times slower.)"""
    ordered = np.sort(values)
    return ordered[firsts(ordered)]


def firsts(ordered: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """The first of each run of equal values; of values in order, the first of those equal."""
    mask = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=mask[1:])
    return mask


def add(left: Int64s, right: Int64s) -> Int64s:
    """left + right.

    Errors: `KpiError` where a sum does not fit 64 bits.
    """
    total = left + right
    # Overflow has happened where the sum's sign differs from both signs (Hacker's Delight, 2-13).
    if (((left ^ total) & (right ^ total)) < 0).any():
        raise KpiError(_TOO_LARGE)
    return total


def row_sums(matrix: Int64s) -> Int64s:
    """Sum of each row.

    Errors: `KpiError` where a sum does not fit 64 bits.
    """
    estimates = np.abs(matrix.astype(np.float64)).sum(axis=1)
    if (estimates < INT64_MAX / 2).all():
        return matrix.sum(axis=1)
    return _checked([sum(row) for row in matrix.tolist()])


def times(units: Int64s, factor: int | Int64s) -> Int64s:
    """units * factor.

    Errors: `KpiError` where a product does not fit 64 bits.
    """
    estimates = np.abs(units.astype(np.float64) * factor)
    if (estimates < INT64_MAX / 2).all():
        return units * factor
    return _checked((units.astype(object) * factor).tolist())


def half_even(numerators: Int64s, denominators: Int64s, scale: int = 0) -> Int64s:
    """numerators / (denominators * 10**scale), rounded to the nearest integer, ties to the even.

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
    """Amounts at `scale` as amounts at scale `wanted`, rounded half-even.

    Errors: `KpiError` where an amount does not fit 64 bits.
    """
    if scale <= wanted:
        return times(units, 10 ** (wanted - scale))
    return half_even(units, np.ones(len(units), np.int64), scale - wanted)


def _checked(totals: Sequence[int]) -> Int64s:
    """Python's integers, which have no end, as 64-bit ones."""
    if any(not -INT64_MAX - 1 <= total <= INT64_MAX for total in totals):
        raise KpiError(_TOO_LARGE)
    return np.array(totals, np.int64)


def to_decimals(units: Int64s, kind: pa.DataType) -> pa.Array:
    """Integers at the scale of `kind` as decimal128 values."""
    words = np.empty((len(units), 2), np.int64)
    words[:, 0] = units
    words[:, 1] = units >> 63
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(words)])
