"""Ranges of order dates, and the instants that may fall on order dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days, to_day
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from kpi.kernels.time_zones import instants_between
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


def instants(days: Days, time_zone: str) -> IntervalSet:
    """Return the instants that fall on some ascending days, and few others.

    Args:
        days: Days since 1970-01-01.
        time_zone: The IANA zone whose calendar counts.
    """
    breaks = np.flatnonzero(np.diff(days) > 1) + 1
    firsts, lasts = days[np.concatenate([[0], breaks])], days[np.concatenate([breaks, [0]]) - 1]
    starts = firsts.astype(np.int64) * MICROSECONDS_PER_DAY
    ends = (lasts.astype(np.int64) + 1) * MICROSECONDS_PER_DAY
    lows, highs = instants_between(starts, ends, time_zone)
    return IntervalSet(
        Interval(low=low, high=high - 1)
        for low, high in zip(lows.tolist(), highs.tolist(), strict=True)
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
