"""Ranges of order dates, and the instants that may fall on order dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days, to_day
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from worker.state.entry import Interval
from worker.transform.catalog import Catalog
from worker.transform.intervals import IntervalSet


@dataclass(frozen=True, kw_only=True)
class DateRange:
    """Inclusive range of days; None for no bound."""

    first: date | None = None
    last: date | None = None

    @property
    def is_bounded(self) -> bool:
        return self.first is not None or self.last is not None

    def select(self, days: Days) -> Days:
        """Select the days in the range."""
        first = to_day(self.first or date.min)
        last = to_day(self.last or date.max)
        return days[(days >= first) & (days <= last)]


ALL_DAYS = DateRange()


def instants(days: Days) -> IntervalSet:
    """Return the instants that may fall on some ascending days in any time zone.

    A time zone moves an instant by less than a day.
    """
    runs = np.split(days, np.flatnonzero(np.diff(days) > 1) + 1)
    return IntervalSet(
        Interval(
            low=(int(run[0]) - 1) * MICROSECONDS_PER_DAY,
            high=(int(run[-1]) + 2) * MICROSECONDS_PER_DAY,
        )
        for run in runs
    )


async def possible_days(orders: Catalog) -> Days:
    """Return every day that may have an order, ascending, with a day to spare for time zones.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    created = await orders.intervals("created_at", MICROSECONDS_PER_DAY)
    days = IntervalSet(Interval(low=low - 1, high=high + 1) for low, high in created)
    runs = [np.arange(low, high + 1, dtype=np.int32) for low, high in days]
    return np.concatenate(runs) if runs else NO_DAYS
