"""Money of order lines, orders and refunds, exact at 4 decimal places (rules 11 to 13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.aggregation.shop_columns import units_of
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask

ONE_QUANTITY = 10**3
"""One piece at the scale of quantities."""

ONE_FACTOR = 10**10
"""The factor 1 at the scale of rates and shares."""

Integers = npt.NDArray[Any]
"""64-bit integers, or Python's where those would overflow."""


@dataclass(frozen=True, kw_only=True)
class LineMoney:
    """Money of order lines at 4 places.

    Attributes:
        money: After discounts.
        before: Before discounts; 0 where it is not known.
        knows_before: Where it is known.
        discount: What was taken off, as far as it is known.
        unpriced: Where no role of money has a value.
    """

    money: Int64s
    before: Int64s
    knows_before: Mask
    discount: Int64s
    unpriced: Mask


def quantities(table: pa.Table) -> tuple[Int64s, Mask]:
    """Quantities at 3 places, and where a blank one counts as 0; 1 where there is no column."""
    found = units_of(table, "quantity")
    if found is None:
        return np.full(table.num_rows, ONE_QUANTITY, np.int64), np.zeros(table.num_rows, bool)
    units, has = found
    return units, ~has


def line_money(table: pa.Table, divisor: Int64s | None) -> LineMoney:
    """Compute the money of order lines.

    after_discount, else (before_discount, else unit_price x quantity) - discount - its share.

    Args:
        table: Lines.
        divisor: Rate of each line's currency at 10 places; None where all have the contract's.
    """
    rows = table.num_rows
    quantity, _ = quantities(table)
    none = np.zeros(rows, np.int64), np.zeros(rows, bool)
    after, has_after = units_of(table, "after_discount") or none
    whole, has_whole = units_of(table, "before_discount") or none
    unit, has_unit = units_of(table, "unit_price") or none
    cell, has_cell = units_of(table, "discount") or none
    share, has_share = _shares(table) or none
    knows_before = has_whole | has_unit | ~has_after
    # At 7 places: money has 4, quantities 3.
    before = np.where(has_whole, _times(whole, ONE_QUANTITY), _times(unit, quantity))
    taken = before - _times(cell, ONE_QUANTITY)
    scale = 7
    if has_share.any():
        taken = _times(taken, ONE_FACTOR) - _times(before, share)
        scale += 10
    money = np.where(has_after, _times(after, 10 ** (scale - 4)), taken)
    unpriced = ~(has_after | has_whole | has_unit | has_cell)
    of_line = _round(money, scale, divisor)
    of_before = np.where(knows_before, _round(before, 7, divisor), 0).astype(np.int64)
    of_cell = _round(_times(cell, ONE_QUANTITY), 7, divisor)
    return LineMoney(
        money=of_line,
        before=of_before,
        knows_before=knows_before,
        discount=np.where(knows_before, of_before - of_line, of_cell).astype(np.int64),
        unpriced=unpriced,
    )


def amounts(table: pa.Table, name: str, divisor: Int64s | None) -> Int64s:
    """Amounts of one column at 4 places; 0 where a cell is blank."""
    found = units_of(table, name)
    if found is None:
        return np.zeros(table.num_rows, np.int64)
    return _round(_times(found[0], ONE_QUANTITY), 7, divisor)


def refund_amounts(table: pa.Table, divisor: Int64s | None) -> Int64s:
    """Sizes of refund rows at 4 places: the amount, else unit_price x quantity."""
    rows = table.num_rows
    none = np.zeros(rows, np.int64), np.zeros(rows, bool)
    amount, has_amount = units_of(table, "amount") or none
    unit, _ = units_of(table, "unit_price") or none
    quantity, _ = quantities(table)
    size = np.where(has_amount, _times(amount, ONE_QUANTITY), _times(unit, quantity))
    return np.abs(_round(size, 7, divisor))


def _shares(table: pa.Table) -> tuple[Int64s, Mask] | None:
    """Part of a line's price that is taken off, at 10 places."""
    rate = units_of(table, "discount_rate")
    if rate is not None:
        return rate
    percent = units_of(table, "discount_percent")
    if percent is None:
        return None
    units, has = percent
    return fixed_point.half_even(units, np.full(len(units), 100, np.int64)), has


def _times(left: Integers, right: int | Integers) -> Integers:
    """Multiply exactly; in Python's integers where 64 bits might not do."""
    estimate = np.abs(left.astype(np.float64)) * np.abs(np.asarray(right, dtype=np.float64))
    if left.dtype == object or (estimate >= 2**61).any():
        return left.astype(object) * (right if isinstance(right, int) else right.astype(object))
    return left * right


def _round(units: Integers, scale: int, divisor: Int64s | None) -> Int64s:
    """Round amounts half-even to 4 places, once, after dividing by the rate of their currency."""
    if divisor is None:
        return fixed_point.half_even(units, np.ones(len(units), np.int64), scale - 4)
    if (divisor == ONE_FACTOR).all():
        return _round(units, scale, None)
    return fixed_point.half_even(
        units.astype(object) * ONE_FACTOR, divisor.astype(object), scale - 4
    )
