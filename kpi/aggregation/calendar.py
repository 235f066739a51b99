"""Represent order dates as day numbers: days since 1970-01-01."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.kernels.instants import EPOCH, MICROSECONDS_PER_DAY
from kpi.kernels.time_zones import to_local

Days = npt.NDArray[np.int32]
"""Days since 1970-01-01."""

NO_DAYS: Days = np.zeros(0, np.int32)

EPOCH_DATE = EPOCH.date()

DAY_BLOCK_ROWS = 1 << 17
"""Days handled at once: their intermediate arrays stay in the cache, in memory that is reused."""


def order_days(created_at: pa.Array, time_zone: str) -> Days:
    """Compute the order_date of each order.

    Args:
        created_at: Instants (`kpi.contract.arrow_types.INSTANT`), without null.
        time_zone: The IANA zone whose calendar counts.
    """
    microseconds = created_at.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if time_zone != "UTC":
        microseconds = to_local(microseconds, time_zone)
    return (microseconds // MICROSECONDS_PER_DAY).astype(np.int32)


def to_date(day: int) -> date:
    """Convert a day number to a date."""
    return EPOCH_DATE + timedelta(days=int(day))


def to_day(when: date) -> int:
    """Convert a date to a day number."""
    return (when - EPOCH_DATE).days


def day_of(microseconds: int | str) -> int:
    """Return the day, in UTC, of an instant in microseconds since 1970."""
    return int(microseconds) // MICROSECONDS_PER_DAY


def distinct_days(days: Days) -> Days:
    """Return the distinct days, ascending."""
    if len(days) == 0:
        return days
    first = int(days.min())
    present = np.zeros(int(days.max()) - first + 1, bool)
    for start in range(0, len(days), DAY_BLOCK_ROWS):
        present[days[start : start + DAY_BLOCK_ROWS] - first] = True
    return (np.flatnonzero(present) + first).astype(np.int32)


def numbered(days: Days, dates: Days) -> Days:
    """Return the position of each day among `dates`, which are ascending and hold every day."""
    if len(days) == 0:
        return days
    first = int(dates[0])
    numbers = np.zeros(int(dates[-1]) - first + 1, np.int32)
    numbers[dates - first] = np.arange(len(dates), dtype=np.int32)
    found = np.empty(len(days), np.int32)
    for start in range(0, len(days), DAY_BLOCK_ROWS):
        block = slice(start, start + DAY_BLOCK_ROWS)
        found[block] = numbers[days[block] - first]
    return found
