"""Days as numbers, and the instants that may fall on them."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from kpi.daily import MICROSECONDS_A_DAY
from worker.state.entry import Range
from worker.transform.catalog import Catalog
from worker.transform.spans import Spans

Days = npt.NDArray[np.int32]
"""Days since 1970-01-01, ascending."""

NO_DAYS: Days = np.zeros(0, np.int32)

EPOCH_DAY = date(1970, 1, 1)


def to_date(day: int) -> date:
    """Days since 1970-01-01 as a date."""
    return EPOCH_DAY + timedelta(days=int(day))


def to_day(when: date) -> int:
    """A date as days since 1970-01-01."""
    return (when - EPOCH_DAY).days


def day_of(microseconds: int | str) -> int:
    """The day, in UTC, of an instant in microseconds since 1970."""
    return int(microseconds) // MICROSECONDS_A_DAY


def instants(days: Days) -> Spans:
    """All that may be on some ascending days: a time zone moves an instant by less than a day."""
    runs = np.split(days, np.flatnonzero(np.diff(days) > 1) + 1)
    return Spans(
        Range(
            low=(int(run[0]) - 1) * MICROSECONDS_A_DAY,
            high=(int(run[-1]) + 2) * MICROSECONDS_A_DAY,
        )
        for run in runs
    )


async def possible_days(orders: Catalog) -> Days:
    """Every day on which an order may stand, with a day to spare for time zones."""
    found = await orders.ranges("created_at")
    spans = Spans(Range(low=day_of(one.low) - 1, high=day_of(one.high) + 1) for one in found)
    days = [np.arange(low, high + 1, dtype=np.int32) for low, high in spans]
    return np.concatenate(days) if days else NO_DAYS
