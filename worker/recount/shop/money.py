"""Money of lines, orders and refunds, computed exactly and rounded once (rules 11 to 13, 20)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from worker.recount.shop.contract import Dataset
from worker.recount.shop.numbers import rounded
from worker.recount.shop.values import Value

DISCOUNTS = ("discount", "unit_discount", "discount_rate", "discount_percent")
MONEY_OF_A_LINE = ("unit_price", "before_discount", *DISCOUNTS[:2], "after_discount")

MONEY_PLACES, SHARE_PLACES = 4, 10

Values = Mapping[str, Value]


def number(values: Values, name: str) -> Decimal | None:
    """Return a number of a row; None where there is none."""
    value = values.get(name)
    return value if isinstance(value, Decimal) else None


@dataclass(frozen=True)
class Rate:
    """What the money of a row is divided by, and whether its currency is another one without it.

    Attributes:
        divisor: 1 where there is no rate.
        is_foreign: Whether nothing of the row is added.
        is_said: Whether there is a rate.
    """

    divisor: Fraction = Fraction(1)
    is_foreign: bool = False
    is_said: bool = False


def rate_of(dataset: Dataset, values: Values, currency: str, order: Rate | None = None) -> Rate:
    """Find the rate of a row.

    Args:
        dataset: Whose row.
        values: Its values.
        currency: Of the contract.
        order: Rate of the row's order, which a row without a column for it has.
    """
    rate = number(values, "rate")
    is_said, divisor = rate is not None and rate > 0, Fraction(1)
    if rate is not None and is_said:
        divisor = Fraction(rate)
    if not dataset.has("rate") and order is not None:
        is_said, divisor = order.is_said, order.divisor
    code = values.get("currency")
    is_other = isinstance(code, str) and code.upper() != currency
    return Rate(divisor, is_other and not is_said, is_said)


def amount(values: Values, name: str, rate: Rate) -> Decimal:
    """Return an amount in the contract's currency; 0 where a cell is blank."""
    return _money(Fraction(number(values, name) or 0), rate)


def pieces(dataset: Dataset, values: Values) -> Decimal:
    """Return the pieces of a row: 1 where no column says it, 0 where the cell is blank."""
    return number(values, "quantity") or Decimal(0) if dataset.has("quantity") else Decimal(1)


@dataclass(frozen=True)
class LineMoney:
    """Money of an order line.

    Attributes:
        paid: After discounts.
        before: Before discounts; None where it is not known.
        discount: What was taken off.
    """

    paid: Decimal
    before: Decimal | None
    discount: Decimal


def line_money(dataset: Dataset, values: Values, rate: Rate) -> LineMoney:
    """Compute the money of a line.

    after_discount; else (before_discount; else unit_price x quantity) less discount,
    unit_discount x quantity and share.
    """
    whole, unit, after = (
        number(values, name) for name in ("before_discount", "unit_price", "after_discount")
    )
    before = (
        Fraction(whole)
        if whole is not None
        else (Fraction(unit or 0) * Fraction(pieces(dataset, values)))
    )
    off = Fraction(number(values, "discount") or 0) + Fraction(
        number(values, "unit_discount") or 0
    ) * Fraction(pieces(dataset, values))
    exact = before - off - before * _share(values) if after is None else Fraction(after)
    paid = _money(exact, rate)
    if after is not None and whole is None and unit is None:
        return LineMoney(paid, None, _money(off, rate))
    shown = _money(before, rate)
    return LineMoney(paid, shown, shown - paid)


def refund_size(dataset: Dataset, values: Values, rate: Rate) -> Decimal:
    """Return the size of a refund row: its amount, else unit_price x quantity."""
    size = number(values, "amount")
    if size is None:
        exact = Fraction(number(values, "unit_price") or 0) * Fraction(pieces(dataset, values))
    else:
        exact = Fraction(size)
    return abs(_money(exact, rate))


def _share(values: Values) -> Fraction:
    """Return the part of its price that is taken off a line."""
    share = number(values, "discount_rate")
    percent = number(values, "discount_percent")
    if share is None and percent is not None:
        share = rounded(Fraction(percent) / 100, SHARE_PLACES)
    return Fraction(share or 0)


def _money(exact: Fraction, rate: Rate) -> Decimal:
    return rounded(exact / rate.divisor, MONEY_PLACES)
