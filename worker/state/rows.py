"""KPI rows as every store keeps and returns them: the schema's attributes, at its scale."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import cache

import pyarrow as pa

from kpi.tables import KpiTable
from worker.state import Row

EXACT = Context(prec=76, traps=[Inexact, InvalidOperation])
"""Arithmetic on decimal128 values, with an error where a digit would be lost."""


def scaled(value: str | int | Decimal, field: pa.Field) -> str | int | Decimal:
    """`value` with as many decimal places as the type of `field` has; others as they are.

    Raises:
        ValueError: A decimal has more places than its type.
    """
    if not isinstance(value, Decimal) or not pa.types.is_decimal(field.type):
        return value
    try:
        return value.quantize(_step(field.type.scale), context=EXACT)
    except (Inexact, InvalidOperation) as error:
        message = f"{field.name} is {field.type}, not {value}"
        raise ValueError(message) from error


@cache
def _step(scale: int) -> Decimal:
    return Decimal(1).scaleb(-scale)


@cache
def _fields(schema: pa.Schema) -> tuple[pa.Field, ...]:
    """Its fields, which Arrow makes anew each time that it is asked for them."""
    return tuple(schema)


def stored_row(table: KpiTable, row: Row, as_of: int) -> dict[str, str | int | Decimal]:
    """The row as `KpiStore.rows` returns it, in the schema's order, `as_of` last.

    Raises:
        ValueError: An attribute is missing, or a decimal has more places than its type.
    """
    fields = _fields(table.schema)
    missing = [field.name for field in fields if field.name not in row]
    if missing:
        message = f"a row of {table.name} has no {', '.join(missing)}"
        raise ValueError(message)
    values: Mapping[str, str | int | Decimal] = {
        field.name: scaled(row[field.name], field) for field in fields
    }
    return {**values, "as_of": as_of}
