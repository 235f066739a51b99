"""Choose the days of an audit, and the ranges whose published rows are read with them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days, to_date, to_day
from worker.transform.day_ranges import DateRange


def with_ranges(
    batches: Sequence[Days], gaps: DateRange | None
) -> Iterator[tuple[Days, list[DateRange]]]:
    """Yield the batches, with the ranges of days whose published rows are read beside each."""
    if gaps is None:
        for batch in batches:
            yield batch, [DateRange(first=day, last=day) for day in map(to_date, batch.tolist())]
        return
    first = gaps.first
    for batch in batches[:-1]:
        yield batch, [DateRange(first=first, last=to_date(batch[-1]))]
        first = to_date(batch[-1] + 1)
    yield batches[-1] if batches else NO_DAYS, [DateRange(first=first, last=gaps.last)]


def day_numbers(days: Iterable[date]) -> Days:
    """Return some days as numbers, ascending."""
    return np.array(sorted(map(to_day, days)), np.int32)


def sample_days(days: Days, size: int) -> Days:
    """Choose at most `size` days at random, ascending."""
    if len(days) <= size:
        return days
    return days[sorted(random.sample(range(len(days)), size))]
