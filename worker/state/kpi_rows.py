"""Normal form of KPI rows in every store: the table's attributes at their decimal places."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation

from kpi.aggregation.tables import PLACES, Kind, KpiTable
from worker.state import Row, Value

EXACT = Context(prec=76, traps=[Inexact, InvalidOperation])
"""Arithmetic on the decimals of a row, with an error where a digit would be lost."""

_STEPS: Mapping[Kind, Decimal] = {
    kind: Decimal(1).scaleb(-places) for kind, places in PLACES.items()
}


def scaled(value: Value, name: str, kind: Kind) -> Value:
    """Quantize a decimal to the places of its kind; return other values unchanged.

    Raises:
        ValueError: It has more places.
    """
    if not isinstance(value, Decimal) or kind not in _STEPS:
        return value
    try:
        return value.quantize(_STEPS[kind], context=EXACT)
    except (Inexact, InvalidOperation) as error:
        message = f"{name} has {PLACES[kind]} decimal places, not {value}"
        raise ValueError(message) from error


def units(value: Decimal, name: str, kind: Kind) -> int:
    """Return a decimal of a kind as a whole number of its last place: of cents, say.

    Raises:
        ValueError: It has more places.
    """
    moved = value.scaleb(PLACES[kind], context=EXACT)
    whole = int(moved)
    if whole != moved:
        message = f"{name} has {PLACES[kind]} decimal places, not {value}"
        raise ValueError(message)
    return whole


def from_units(value: int, kind: Kind) -> Decimal:
    """Return the decimal that `units` was given."""
    return Decimal(value).scaleb(-PLACES[kind], context=EXACT)


def stored_row(table: KpiTable, row: Row) -> dict[str, Value]:
    """Build the row that stores keep: in the table's order, without `as_of`.

    Raises:
        ValueError: An attribute is missing, or a decimal does not fit its kind.
    """
    check_complete(table, row)
    return {
        name: scaled(row[name], name, kind)
        for name, kind in table.kinds.items()
        if name in table.attributes or row.get(name) is not None
    }


def check_complete(table: KpiTable, row: Row) -> None:
    """Check that a row has every attribute that each row of its table has.

    Raises:
        ValueError: One is missing.
    """
    if not table.attributes.keys() <= row.keys():
        missing = ", ".join(name for name in table.attributes if name not in row)
        message = f"a row of {table.name} has no {missing}"
        raise ValueError(message)


def whole_or_decimal(text: str) -> int | Decimal:
    """Read a count: a whole number, or a quantity with decimals."""
    return Decimal(text) if "." in text else int(text)
