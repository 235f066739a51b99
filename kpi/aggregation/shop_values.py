"""Show the numbers of KPI columns as values of rows, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from kpi.aggregation.shop_money import ONE_QUANTITY
from kpi.kernels import fixed_point
from kpi.kernels.arrays import Int64s, Mask

Value = str | int | Decimal | None

Show = Callable[[slice], list[Value]]
"""Returns the values of some rows of a column."""

MONEY_SCALE, PUBLISHED_SCALE, RATE_SCALE = 4, 2, 4


def show_nothing(rows: slice) -> list[Value]:
    """Show that the contract does not say it."""
    return [None] * (rows.stop - rows.start)


def show_integers(values: Int64s | None) -> Show:
    """Show counts; None where the contract has none."""
    if values is None:
        return show_nothing
    return lambda rows: values[rows].tolist()


def show_money(units: Int64s | None) -> Show:
    """Show amounts, rounded once to the places that are published."""
    if units is None:
        return show_nothing
    shown = fixed_point.at_scale(units, MONEY_SCALE, PUBLISHED_SCALE)
    return lambda rows: _decimals(shown[rows], PUBLISHED_SCALE)


def show_averages(units: Int64s | None, count: Int64s) -> Show:
    """Show amounts divided by counts; nothing where a count is 0."""
    if units is None:
        return show_nothing
    shown = fixed_point.half_even(units, np.maximum(count, 1), MONEY_SCALE - PUBLISHED_SCALE)
    return show_where(count > 0, lambda rows: _decimals(shown[rows], PUBLISHED_SCALE))


def show_rates(part: Int64s, whole: Int64s) -> Show:
    """Show parts as fractions of 1; nothing where the whole is 0."""
    shown = fixed_point.half_even(part * 10**RATE_SCALE, np.maximum(whole, 1))
    return show_where(whole > 0, lambda rows: _decimals(shown[rows], RATE_SCALE))


def show_where(which: Mask, show: Show) -> Show:
    """Show values of some rows, and nothing of the others."""
    return lambda rows: [
        value if has else None for has, value in zip(which[rows].tolist(), show(rows), strict=True)
    ]


def _decimals(units: Int64s, scale: int) -> list[Value]:
    return [Decimal(unit).scaleb(-scale) for unit in units.tolist()]


def show_quantities(units: Int64s | None) -> Show:
    """Quantities at 3 places: whole numbers as such, others with the places that they have."""
    if units is None:
        return show_nothing
    return lambda rows: [
        unit // ONE_QUANTITY if unit % ONE_QUANTITY == 0 else Decimal(unit).scaleb(-3).normalize()
        for unit in units[rows].tolist()
    ]
