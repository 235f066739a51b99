"""Print what would change, or has changed, in the KPI tables: each value before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from worker.cli.row_output import print_rows

if TYPE_CHECKING:
    from worker.state import Value
    from worker.transform.preview import RowChange


def print_changes(changes: Iterable[RowChange], output_format: str) -> None:
    """Print one line for each value that differs."""
    with print_rows(output_format) as output:
        for change in changes:
            for row in change_rows(change):
                output.add(row)


def change_rows(change: RowChange) -> Iterator[dict[str, object]]:
    """Yield a row to print for each value that differs."""
    for attribute, before, after in change.values():
        yield {
            "table": change.table,
            "order_date": change.order_date.isoformat(),
            "group": change.group,
            "attribute": attribute,
            "before": before,
            "after": after,
            "percent": percent(before, after),
        }


def percent(before: Value, after: Value) -> Decimal | None:
    """Compute by how much of itself a number changes, in per cent to one place.

    None where there is no number before or after, or where it was 0.
    """
    numbers = [_number(one) for one in (before, after)]
    if numbers[0] is None or numbers[1] is None or not numbers[0]:
        return None
    return ((numbers[1] - numbers[0]) * 100 / abs(numbers[0])).quantize(Decimal("0.1"))


def _number(value: Value) -> Decimal | None:
    return Decimal(value) if isinstance(value, int | Decimal) else None
