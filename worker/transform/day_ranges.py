"""The instants that may fall on some days, and the days that an order may stand on."""

from __future__ import annotations

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days, day_of
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from worker.state.entry import Range
from worker.transform.catalog import Catalog
from worker.transform.intervals import Spans


def instants(days: Days) -> Spans:
    """All that may be on some ascending days: a time zone moves an instant by less than a day."""
    runs = np.split(days, np.flatnonzero(np.diff(days) > 1) + 1)
    return Spans(
        Range(
            low=(int(run[0]) - 1) * MICROSECONDS_PER_DAY,
            high=(int(run[-1]) + 2) * MICROSECONDS_PER_DAY,
        )
        for run in runs
    )


async def possible_days(orders: Catalog) -> Days:
    """Every day on which an order may stand, with a day to spare for time zones."""
    found = await orders.ranges("created_at")
    spans = Spans(Range(low=day_of(one.low) - 1, high=day_of(one.high) + 1) for one in found)
    days = [np.arange(low, high + 1, dtype=np.int32) for low, high in spans]
    return np.concatenate(days) if days else NO_DAYS
