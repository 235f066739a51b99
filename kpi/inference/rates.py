"""Exchange rates of rows: a number that is 1 for one currency, and something else for others."""

from __future__ import annotations

from dataclasses import dataclass

from kpi.inference.tables import Table
from kpi.inference.values import Column


@dataclass(frozen=True)
class Rate:
    """Rates of some currencies.

    Attributes:
        column: With the rates.
        base: The currency whose rate is 1.
    """

    column: Column
    base: str


def find_rate(table: Table, currency: Column) -> Rate | None:
    """Find the rates of a table's rows; None where no column has them."""
    for column in table.columns:
        if not column.is_number or column is currency or column.meaning.has("quantity", "percent"):
            continue
        rates: dict[str, set[float]] = {}
        for code, rate in zip(currency.cells, column.amounts.tolist(), strict=True):
            if code:
                rates.setdefault(code.upper(), set()).add(rate)
        bases = [code for code, found in rates.items() if found == {1.0}]
        others = [one for code, found in rates.items() if code not in bases for one in found]
        if len(rates) > 1 and len(bases) == 1 and others and min(others) > 0:
            return Rate(column, bases[0])
    return None
