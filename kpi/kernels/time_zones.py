"""Convert columns between instants and local times of a time zone."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kpi.kernels.arrays import Int64s
from kpi.kernels.instants import EPOCH, MICROSECONDS_PER_DAY
from kpi.kernels.zone_data import zone_data

CACHED_TABLES = 64
"""Tables of a zone and some years that are kept."""


class _Table(NamedTuple):
    """Periods of constant offset, ascending, in microseconds.

    Attributes:
        starts: First instant of each.
        walls: The same instant in the local time of the period before.
        offsets: Local time less UTC.
    """

    starts: Int64s
    walls: Int64s
    offsets: Int64s


def to_local(instants: Int64s, zone: str) -> Int64s:
    """Convert instants to local times; both in microseconds since 1970.

    Args:
        instants: In the years 1 to 9999; beyond these, the next offset counts.
        zone: IANA name.
    """
    if len(instants) == 0:
        return instants
    table = _table_of(instants, zone)
    return instants + table.offsets[_period(table.starts, instants)]


def to_utc(local: Int64s, zone: str) -> Int64s:
    """Convert local times to instants; both in microseconds since 1970.

    A local time that a change of the offset repeats is its first occurrence. One that it skips is
    the instant of the change.

    Args:
        local: In the years 1 to 9999; beyond these, the next offset counts.
        zone: IANA name.
    """
    if len(local) == 0:
        return local
    table = _table_of(local, zone)
    period = _period(table.walls, local)
    instants = local - table.offsets[period]
    # The first period has no change at its start.
    skipped = (instants < table.starts[period]) & (period > 0)
    return np.where(skipped, table.starts[period], instants)


def instants_between(starts: Int64s, ends: Int64s, zone: str) -> tuple[Int64s, Int64s]:
    """Bound the instants whose local time is in some intervals; all in microseconds since 1970.

    At and after the first instant whose local time is an end, clocks that are set back show
    earlier times once more. Offsets differ by less than two days, so no later change matters.

    Args:
        starts: First local time of each interval.
        ends: Local time after the last one of each.
        zone: IANA name.

    Returns:
        The first instant of each interval, and one that is after its last.
    """
    if len(starts) == 0 or zone == "UTC":
        return starts, ends
    lows, highs = to_utc(starts, zone), to_utc(ends, zone)
    table = _table_of(ends, zone)
    set_back = np.cumsum(np.maximum(-np.diff(table.offsets, prepend=table.offsets[:1]), 0))
    first, last = (
        np.searchsorted(table.starts[1:], edges, "right")
        for edges in (highs - 1, highs + 2 * MICROSECONDS_PER_DAY)
    )
    return lows, highs + set_back[last] - set_back[first]


def _period(edges: Int64s, values: Int64s) -> Int64s | np.intp:
    """Return the period of each value, or the only one that there is."""
    first, last = np.searchsorted(edges[1:], [values.min(), values.max()], "right")
    return first if first == last else np.searchsorted(edges[1:], values, "right")


def _table_of(values: Int64s, zone: str) -> _Table:
    """Return a table that covers some values with a year to spare."""
    first, last = (_year(int(value)) for value in (values.min(), values.max()))
    return _table(zone, max(first - 1, 1), min(last + 1, 9999))


@lru_cache(CACHED_TABLES)
def _table(zone: str, first_year: int, last_year: int) -> _Table:
    periods = zone_data(zone).periods(first_year, last_year)
    starts = np.array([period.start for period in periods], np.int64)
    offsets = np.array([period.offset for period in periods], np.int64)
    return _Table(starts, starts + np.concatenate([offsets[:1], offsets[:-1]]), offsets)


def _year(microseconds: int) -> int:
    """Return the year of an instant, or the nearest one that `datetime` has."""
    try:
        return (EPOCH + timedelta(microseconds=microseconds)).year
    except OverflowError:
        return 1 if microseconds < 0 else 9999
