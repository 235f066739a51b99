"""Values of columns: read from a file's texts, and shown to conditions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from worker.recount.shop.conditions import Shown
from worker.recount.shop.contract import Column
from worker.recount.shop.dates import EPOCH, Clock, Moment
from worker.recount.shop.numbers import PLACES, fits, read_number, rounded
from worker.recount.values import fold

Value = str | int | Decimal | Moment | None
"""A text, a version, a number, a time; None for no value."""

_MINOR_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Currency -> digits of its minor unit where they are not 2 (ISO 4217)."""


class Bad:
    """A text that cannot be read."""


BAD = Bad()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file writes values.

    Attributes:
        numbers: Example of 1234.5.
        dates: Examples of the last day of 2025.
        clock: Zones.
        currency: Of amounts in minor units; None where they are in major ones.
    """

    numbers: str
    dates: Sequence[str]
    clock: Clock
    currency: str | None = None


def read_value(
    text: str | None, column: Column, reading: Reading, currency: str | None
) -> Value | Bad:
    """Read the value of a column as it is before look-ups.

    Args:
        text: Without outer blanks; None for no value.
        column: What it is.
        reading: How the file writes it.
        currency: Of the record, where amounts are in minor units.
    """
    if text is None or column.steps or column.kind == "text":
        return None if text is None else str(text)
    if column.kind in PLACES:
        return _read_number(text, column, reading, currency)
    if column.kind == "integer":
        found = re.fullmatch(r"\+?(-?)0*(\d+)(?:\.0*)?", text, re.ASCII)
        return BAD if found is None else found[1] + found[2]
    if column.kind == "version" and re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        return int(text)
    moment = reading.clock.read(text, reading.dates)
    if moment is not None and column.kind == "version":
        return moment.microseconds
    return moment or BAD


def _read_number(
    text: str, column: Column, reading: Reading, currency: str | None
) -> Decimal | Bad:
    number, places = read_number(text, reading.numbers), PLACES[column.kind]
    if number is None or not fits(number, places):
        return BAD
    number = rounded(number, places)
    if column.kind != "money" or reading.currency is None:
        return number
    digits = _MINOR_DIGITS.get((currency or reading.currency).upper(), 2)
    return rounded(Fraction(number) / 10**digits, places)


def shown(value: Value) -> Shown:
    """Show a value to conditions: numbers without trailing zeros, a text with its number."""
    if value is None:
        return Shown("")
    if isinstance(value, Moment):
        instant = (EPOCH + timedelta(microseconds=value.microseconds)).astimezone(UTC)
        return Shown(f"{instant:%Y-%m-%d %H:%M:%S.%f}z")
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return Shown(text, value)
    text = str(value)
    try:
        number = Decimal(text)
    except InvalidOperation:
        return Shown(fold(text))
    return Shown(fold(text), number if number.is_finite() else None)
