"""Money of order lines, orders and refunds, exact at 4 decimal places (rules 11 to 13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.aggregation.shop_columns import units_of
from kpi.errors import KpiError
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask

ONE_QUANTITY = 10**3
"""One piece at the scale of quantities."""

ONE_FACTOR = 10**10
"""The factor 1 at the scale of rates and shares."""

MONEY_OF_A_LINE = (
    *("unit_price", "before_discount", "unit_discount", "discount", "after_discount"),
)
"""Columns of which a line with money says one at least."""

DISCOUNTS = ("discount", "unit_discount", "discount_rate", "discount_percent")
"""Columns that take something off the price of a line."""

Integers = npt.NDArray[Any]
"""64-bit integers, or Python's where those would overflow."""


@dataclass(frozen=True, kw_only=True)
class LineMoney:
    """Money of order lines at 4 places.

    Attributes:
        money: After discounts.
        before: Before discounts; 0 where it is not known. None where it is `money`.
        unknown: Where it is not known what the line cost before discounts; None where nowhere.
        discount: What was taken off, as far as it is known; None where nothing.
        unpriced: Where no role of money has a value.
    """

    money: Int64s
    before: Int64s | None
    unknown: Mask | None
    discount: Int64s | None
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

    after_discount, else (before_discount, else unit_price x quantity) - discount
    - unit_discount x quantity - its share.

    Args:
        table: Lines.
        divisor: Rate of each line's currency at 10 places; None where all have the contract's.
    """
    rows = table.num_rows
    after, whole, unit = (
        units_of(table, name) for name in ("after_discount", "before_discount", "unit_price")
    )
    says_before = np.zeros(rows, bool)
    for role in (whole, unit):
        if role is not None:
            says_before = says_before | role[1]
    price, scale = _price(table, whole, unit)
    if after is None and not any(name in table.schema.names for name in DISCOUNTS):
        money = _round(price, scale, divisor)
        return LineMoney(
            money=money, before=None, unknown=None, discount=None, unpriced=~says_before
        )
    return _discounted(table, price, scale, after, says_before, divisor)


def _price(
    table: pa.Table, whole: tuple[Int64s, Mask] | None, unit: tuple[Int64s, Mask] | None
) -> tuple[Integers, int]:
    """Return the money of each line before discounts, and the decimal places it has."""
    if unit is None:
        return (np.zeros(table.num_rows, np.int64) if whole is None else whole[0]), 4
    if "quantity" not in table.schema.names:
        price, scale = unit[0], 4
        return (price if whole is None else np.where(whole[1], whole[0], price)), scale
    quantity, _ = quantities(table)
    pieces, remainder = np.divmod(quantity, ONE_QUANTITY)
    if not remainder.any():
        price, scale = _times(unit[0], pieces), 4
    else:
        price, scale = _times(unit[0], quantity), 7
    if whole is None:
        return price, scale
    return np.where(whole[1], _times(whole[0], 10 ** (scale - 4)), price), scale


def _discounted(
    table: pa.Table,
    price: Integers,
    scale: int,
    after: tuple[Int64s, Mask] | None,
    says_before: Mask,
    divisor: Int64s | None,
) -> LineMoney:
    rows = table.num_rows
    none = np.zeros(rows, np.int64), np.zeros(rows, bool)
    after_units, has_after = after or none
    share, has_share = _shares(table) or none
    known = says_before | ~has_after
    before = _round(price, scale, divisor)
    cell, has_cell, cell_scale = _sizes(table)
    if cell_scale > scale:
        price, scale = _times(price, 10 ** (cell_scale - scale)), cell_scale
    of_cell = _round(cell, cell_scale, divisor)
    taken = price - _times(cell, 10 ** (scale - cell_scale))
    if has_share.any():
        taken = _times(taken, ONE_FACTOR) - _times(price, share)
        scale += 10
    money = _round(
        np.where(has_after, _times(after_units, 10 ** (scale - 4)), taken), scale, divisor
    )
    return LineMoney(
        money=money,
        before=np.where(known, before, 0).astype(np.int64),
        unknown=None if known.all() else ~known,
        discount=np.where(known, before - money, of_cell).astype(np.int64),
        unpriced=~(has_after | says_before | has_cell),
    )


def _sizes(table: pa.Table) -> tuple[Integers, Mask, int]:
    """Return the discount of each line in money, where there is one, and its decimal places."""
    none = np.zeros(table.num_rows, np.int64), np.zeros(table.num_rows, bool)
    whole, has_whole = units_of(table, "discount") or none
    unit = units_of(table, "unit_discount")
    if unit is None:
        return whole, has_whole, 4
    of_pieces = _times(unit[0], quantities(table)[0])
    return _times(whole, ONE_QUANTITY) + of_pieces, has_whole | unit[1], 7


def amounts(table: pa.Table, name: str, divisor: Int64s | None) -> Int64s:
    """Amounts of one column at 4 places; 0 where a cell is blank."""
    found = units_of(table, name)
    if found is None:
        return np.zeros(table.num_rows, np.int64)
    return _round(found[0], 4, divisor)


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
    if isinstance(right, int):
        bound = float(abs(right))
    else:
        bound = float(max(abs(int(right.max(initial=0))), abs(int(right.min(initial=0)))))
    if left.dtype != object and isinstance(right, int) and right == 1:
        return left
    most = float(max(abs(int(left.max(initial=0))), abs(int(left.min(initial=0)))))
    is_wide = left.dtype == object or (not isinstance(right, int) and right.dtype == object)
    if is_wide or most * bound >= 2.0**61:
        return left.astype(object) * (right if isinstance(right, int) else right.astype(object))
    return left * right


def _round(units: Integers, scale: int, divisor: Int64s | None) -> Int64s:
    """Round amounts half-even to 4 places, once, after dividing by the rate of their currency.

    Raises:
        KpiError: An amount exceeds 64 bits: a price that was looked up makes one, times a quantity.
    """
    try:
        if divisor is None or (divisor == ONE_FACTOR).all():
            if scale == 4:
                return units.astype(np.int64, copy=False)
            return fixed_point.half_even(units, np.ones(len(units), np.int64), scale - 4)
        return fixed_point.half_even(
            units.astype(object) * ONE_FACTOR, divisor.astype(object), scale - 4
        )
    except OverflowError as error:
        raise KpiError("amounts exceed 64 bits") from error
