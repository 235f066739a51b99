"""Which expected files are not there: a function of contract, arrivals and the time.

A *delivery* is the files of one dataset that an expectation wants on one day. Its time is that day
and those after it until the day of the next delivery: a file that was uploaded then is of it. Files
beyond the number that a delivery wants make up for the latest one before it that lacks some: a late
file that came with the next one is not missed for ever. Where a delivery lacks a file, the orders
of its days may be incomplete; before its hour it is awaited, from then on it is late.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from kpi.contract.expectation import Expectation
from kpi.kernels.zone_data import zone_data

MAX_AGE_DAYS = 100
"""Days after which nobody asks for a delivery any more: so far back arrivals are known."""

DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingDelivery:
    """A delivery that is not complete.

    Attributes:
        dataset: What its files feed.
        due: When they were to be there.
        first_day: First day whose orders may be incomplete for it.
        last_day: The last one.
        expected_files: Files that it has.
        missing_files: Those of them that are not there.
        is_late: Whether it is past due.
    """

    dataset: str
    due: datetime
    first_day: date
    last_day: date
    expected_files: int
    missing_files: int
    is_late: bool


def find_missing(
    expectations: Sequence[Expectation],
    arrivals: Mapping[str, Mapping[datetime, int]],
    *,
    since: datetime,
    now: datetime,
) -> list[MissingDelivery]:
    """Return the deliveries that are not complete, ascending by the time at which they are due.

    Args:
        expectations: Of the contract in force.
        arrivals: Dataset -> instant -> files uploaded at that time, accepted ones.
        since: Since when the contract has the expectations: deliveries due before are not asked
            for.
        now: The present time. Of what is due later, what has the orders of today is asked for.
    """
    since = max(since, now - MAX_AGE_DAYS * DAY)
    found = [
        missing
        for expectation in expectations
        for dataset in expectation.datasets
        for missing in _missing(expectation, dataset, arrivals.get(dataset, {}), since, now)
    ]
    return sorted(found, key=lambda one: (one.due, one.dataset))


def _missing(
    expectation: Expectation,
    dataset: str,
    arrivals: Mapping[datetime, int],
    since: datetime,
    now: datetime,
) -> Iterator[MissingDelivery]:
    days = _delivery_days(expectation, since, now)
    files = [0] * len(days)
    for at, count in arrivals.items():
        day = _local(at, expectation.time_zone).date()
        place = bisect_right(days, day) - 1
        if place >= 0 and at <= now:
            files[place] += count
    lacking = _make_up([expectation.files - count for count in files])
    for place in range(1, len(days)):
        due = _instant(days[place], expectation)
        if lacking[place] <= 0 or due <= since:
            continue
        shift = DAY if expectation.until == "yesterday" else timedelta(0)
        first = days[place - 1] - shift + DAY
        yield MissingDelivery(
            dataset=dataset,
            due=due,
            first_day=first,
            last_day=days[place] - shift,
            expected_files=expectation.files,
            missing_files=lacking[place],
            is_late=due <= now,
        )


def _make_up(lacking: list[int]) -> list[int]:
    """Let surplus files of deliveries, below 0, make up for the latest ones before that lack some.

    Args:
        lacking: Files that each delivery lacks, ascending by time.
    """
    left, open_places = list(lacking), list[int]()
    for place, count in enumerate(lacking):
        if count > 0:
            open_places.append(place)
        while left[place] < 0 and open_places:
            filled = min(-left[place], left[open_places[-1]])
            left[place] += filled
            left[open_places[-1]] -= filled
            if not left[open_places[-1]]:
                open_places.pop()
    return left


def _delivery_days(expectation: Expectation, since: datetime, now: datetime) -> list[date]:
    """Return the days of deliveries: from before `since` to that with the orders of today."""
    today = _local(now, expectation.time_zone).date()
    last = today + DAY if expectation.until == "yesterday" else today
    day = _local(since, expectation.time_zone).date() - 8 * DAY
    found: list[date] = []
    while not found or found[-1] < last or _instant(found[-1], expectation) <= now:
        if day.weekday() in expectation.weekdays:
            found.append(day)
        day += DAY
    return found


def _local(at: datetime, time_zone: str) -> datetime:
    """Return the time on the wall of a zone, without an offset."""
    offset = zone_data(time_zone).offset(at)
    return at.replace(tzinfo=None) - (at.utcoffset() or timedelta(0)) + offset


def _instant(day: date, expectation: Expectation) -> datetime:
    """Return when a delivery of a day is due; a time that the clock skips is an hour later."""
    wall = datetime.combine(day, expectation.by, UTC)
    zone = zone_data(expectation.time_zone)
    return wall - zone.offset(wall - zone.offset(wall))
