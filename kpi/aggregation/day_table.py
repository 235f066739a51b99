"""Rows of a KPI table of a shop, kept as columns and shown a day at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from kpi.aggregation.calendar import Days, to_date
from kpi.aggregation.shop_values import Show, Value

KpiRow = dict[str, Value]


@dataclass(frozen=True, kw_only=True)
class DayTable:
    """Rows of a KPI table, ascending by day and group; as dictionaries a day at a time.

    Attributes:
        days: Day of each row.
        columns: Attribute -> its values; `order_date` is left out.
    """

    days: Days
    columns: Mapping[str, Show]

    def __len__(self) -> int:
        return len(self.days)

    def dates(self) -> Iterator[date]:
        """Yield the days that have rows, ascending."""
        yield from map(to_date, np.unique(self.days).tolist())

    def rows(self, day: int) -> list[KpiRow]:
        """Return the rows of a day."""
        start, end = np.searchsorted(self.days, [day, day + 1]).tolist()
        if start == end:
            return []
        shown = [show(slice(start, end)) for show in self.columns.values()]
        order_date = to_date(day).isoformat()
        return [
            {"order_date": order_date, **dict(zip(self.columns, values, strict=True))}
            for values in zip(*shown, strict=True)
        ]
