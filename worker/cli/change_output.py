"""Print what would change, or has changed, in the KPI tables: each value before and after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from worker.cli.row_output import print_rows

if TYPE_CHECKING:
    from worker.transform.preview import RowChange


def print_changes(changes: Iterable[RowChange], output_format: str) -> None:
    """Print one line for each value that differs."""
    with print_rows(output_format) as output:
        for change in changes:
            for attribute, before, after in change.values():
                output.add(
                    {
                        "table": change.table,
                        "order_date": change.order_date.isoformat(),
                        "group": change.group,
                        "attribute": attribute,
                        "before": before,
                        "after": after,
                    }
                )
