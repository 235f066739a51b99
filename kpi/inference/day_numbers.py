"""Numbers of orders that begin anew each day: a day and its number are one identifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kpi.inference.roles import date_fit, order_fit
from kpi.inference.tables import Table
from kpi.inference.values import Column

MIN_FIT = 0.5
"""Fit of a column for an order's identifier, below which it is not joined with a day."""

AGAIN_SHARE = 0.5
"""Numbers that come again on other days, above which they begin anew."""


def numbers_of_days(table: Table) -> Iterator[Column]:
    """Join the numbers of orders with the days that they begin anew on."""
    days = [one for one in table.columns if one.is_of_name or _is_of_days(one)]
    days.sort(key=lambda one: -date_fit(one))
    times = [one for one in table.columns if _is_of_orders(one)]
    times.sort(key=lambda one: -date_fit(one))
    for column in table.columns:
        if not _may_be_order(column, table):
            continue
        known = [*days[:1], *([table.named] if table.named else [])]
        # Of times, those will do that all lines of an order have.
        known += [one for one in times[:1] if one.dates is not None and _tells_apart(column, one)]
        for day in known:
            if same_day(column, day) < 1 - AGAIN_SHARE:
                yield _joined(day, column)
                break


def _may_be_order(column: Column, table: Table) -> bool:
    """Whether a column is an order's; the first one where there are no headers."""
    is_first = column.index == 0 and column.kind in ("integer", "text")
    return order_fit(column, table) >= MIN_FIT or (is_first and not column.has_headers)


def _is_of_days(column: Column) -> bool:
    """Whether a column has the days of orders, without times."""
    return _is_of_orders(column) and _has_no_times(column)


def _is_of_orders(column: Column) -> bool:
    return column.kind == "date" and date_fit(column) >= MIN_FIT


def _tells_apart(number: Column, time: Column) -> bool:
    """Whether a number has one time on each of its days."""
    if time.dates is None:
        return False
    times = set(zip(number.cells, time.cells, strict=True))
    return len(times) == len(set(zip(number.cells, time.dates.days.tolist(), strict=True)))


def _has_no_times(column: Column) -> bool:
    return not any(":" in cell for cell in column.distinct)


def _joined(day: Column, number: Column) -> Column:
    cells = tuple(
        f"{one} {other}" if one and other else ""
        for one, other in zip(day.cells, number.cells, strict=True)
    )
    return Column(
        table=number.table,
        index=number.index,
        header=number.header,
        cells=cells,
        kind="text",
        has_headers=number.has_headers,
        meaning=number.meaning,
        joined=(day, number),
    )


def same_day(order_id: Column, date: Column) -> float:
    """Share of the orders whose rows have one time, or one day where numbers are joined with it."""
    if date.table != order_id.table:
        return 1.0
    known: dict[str, set[object]] = {}
    cells: Sequence[object] = date.cells
    if order_id.joined and date.dates is not None:
        cells = [day if cell else "" for day, cell in zip(date.dates.days, cells, strict=True)]
    for key, cell in zip(order_id.cells, cells, strict=True):
        if key and cell:
            known.setdefault(key, set()).add(cell)
    return sum(len(one) == 1 for one in known.values()) / max(len(known), 1)
