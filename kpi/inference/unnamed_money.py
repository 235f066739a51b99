"""Amounts of a line that no word names, by their relation to those that have one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kpi.inference.money_evidence import CENT, SOME_SHARE, SURE_SHARE, agree
from kpi.inference.values import Column, Floats
from kpi.kernels.arrays import Mask

MIN_ROWS = 5
"""Rows that say something, below which nothing is concluded."""

GIVEN_SHARES = (0.02, 0.8)
"""Rows with a discount: shops give some, and not on all lines."""


def _unnamed(columns: Iterable[Column], taken: set[int]) -> list[Column]:
    return [
        one
        for one in columns
        if one.has_headers
        and one.is_number
        and one.numbers is not None
        and id(one) not in taken
        and one.meaning.concepts <= {"line", "product", "order"}
    ]


def amounts_by_relation(
    columns: Sequence[Column], amounts: Sequence[Column], quantity: Floats, taken: set[int]
) -> list[Column]:
    """Find numbers that are a known price x quantity in most rows, and never more.

    Those that differ are of lines with a discount.
    """
    found = []
    telling = quantity != 1
    for column in _unnamed(columns, taken):
        for known in amounts:
            before = known.amounts * quantity
            if _share(before, column.amounts, telling) < SOME_SHARE:
                continue
            if (column.amounts <= before + CENT).mean() >= SURE_SHARE:
                found.append(column)
                break
    return found


def discounts_by_relation(
    columns: Sequence[Column], amounts: Sequence[Column], quantity: Floats, taken: set[int]
) -> list[Column]:
    """Find numbers by which one known amount is less than another: in amount, share or per cent."""
    return [
        one
        for one in _unnamed(columns, taken)
        if _looks_given(one) and any(_closes(one, amounts, quantity, base) for base in amounts)
    ]


def open_discounts(
    columns: Sequence[Column], prices: Sequence[Column], quantity: Floats, taken: set[int]
) -> list[Column]:
    """Find numbers that may be discounts, where no other amount of a line tells."""
    return [
        one
        for one in _unnamed(columns, taken)
        if not one.meaning.concepts
        and _looks_given(one)
        and (_are_per_cent(one) or _are_less(one, prices, quantity))
    ]


def _are_less(column: Column, prices: Sequence[Column], quantity: Floats) -> bool:
    """Whether numbers are amounts that are never more than some price x quantity."""
    sizes = np.abs(column.amounts)
    is_decimal = column.kind == "decimal"
    return is_decimal and any(bool((sizes <= np.abs(p.amounts * quantity)).all()) for p in prices)


def _are_per_cent(column: Column) -> bool:
    """Whether whole numbers are multiples of 5 below 100, as discounts in per cent are."""
    given = {size for size in np.abs(column.amounts).tolist() if size}
    return len(given) > 1 and all(size % 5 == 0 and size < 100 for size in given)


def _looks_given(column: Column) -> bool:
    sizes = np.abs(column.amounts)
    least, most = GIVEN_SHARES
    return bool(least <= (sizes > 0).mean() <= most)


def _closes(discount: Column, amounts: Sequence[Column], quantity: Floats, base: Column) -> bool:
    sizes = np.abs(discount.amounts)
    given = sizes > 0
    for before in (base.amounts * quantity, base.amounts):
        for after in (before - sizes, before * (1 - sizes), before * (1 - sizes / 100)):
            for other in amounts:
                if other is not base and _share(after, other.amounts, given) >= SURE_SHARE:
                    return True
    return False


def _share(one: Floats, other: Floats, rows: Mask) -> float:
    rows = rows & ((one != 0) | (other != 0))
    return float(agree(one[rows], other[rows]).mean()) if rows.sum() >= MIN_ROWS else 0.0
