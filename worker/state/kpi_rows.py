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


def stored_row(table: KpiTable, row: Row, as_of: int) -> dict[str, Value]:
    """Build the row that `KpiStore.rows` returns: in the table's order, `as_of` last.

    Raises:
        ValueError: An attribute is missing, or a decimal has more places than its kind.
    """
    missing = [name for name in table.attributes if name not in row]
    if missing:
        message = f"a row of {table.name} has no {', '.join(missing)}"
        raise ValueError(message)
    values: Mapping[str, Value] = {
        name: scaled(row[name], name, kind)
        for name, kind in table.kinds.items()
        if name in table.attributes or row.get(name) is not None
    }
    return {**values, "as_of": as_of}


def whole_or_decimal(text: str) -> int | Decimal:
    """Read a count: a whole number, or a quantity with decimals."""
    return Decimal(text) if "." in text else int(text)
