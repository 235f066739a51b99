"""Expected files that are not there: by hand, and against a plain count of days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.deliveries import MissingDelivery, find_missing
from kpi.contract.expectation import Expectation

DAILY = Expectation(weekdays=tuple(range(7)), by=time(9), datasets=("orders",))
SINCE = datetime(2025, 3, 1, 9, tzinfo=UTC)  # a Saturday


def at(text: str) -> datetime:
    """An instant of March 2025, such as `4 08:00`."""
    day, hour = text.split()
    return datetime.fromisoformat(f"2025-03-{int(day):02d}T{hour}").replace(tzinfo=UTC)


def missing(
    expectation: Expectation, now: str, *came: str, since: datetime = SINCE
) -> list[MissingDelivery]:
    arrivals: dict[datetime, int] = {}
    for one in came:
        arrivals[at(one)] = arrivals.get(at(one), 0) + 1
    return find_missing([expectation], {"orders": arrivals}, since=since, now=at(now))


def shown(found: list[MissingDelivery]) -> list[str]:
    return [
        f"{one.due:%d %H:%M} of {one.first_day:%d}-{one.last_day:%d}"
        f"{' late' if one.is_late else ''} {one.missing_files}"
        for one in found
    ]


def test_a_file_is_awaited_until_its_hour_and_late_from_then_on() -> None:
    assert shown(missing(DAILY, "2 08:59")) == ["02 09:00 of 01-01 1", "03 09:00 of 02-02 1"]
    assert shown(missing(DAILY, "2 09:00")) == ["02 09:00 of 01-01 late 1", "03 09:00 of 02-02 1"]
    assert shown(missing(DAILY, "2 12:00", "2 08:00")) == ["03 09:00 of 02-02 1"]
    assert shown(missing(DAILY, "2 12:00", "2 11:00")) == ["03 09:00 of 02-02 1"]
    assert shown(missing(DAILY, "2 12:00", "1 23:59"))[0] == "02 09:00 of 01-01 late 1"


def test_a_missing_file_stays_missing_though_the_next_one_comes() -> None:
    came = ["3 08:00", "4 08:00"]
    both = ["02 09:00 of 01-01 late 1", "05 09:00 of 04-04 1"]
    assert shown(missing(DAILY, "4 08:30", *came)) == both
    assert shown(missing(DAILY, "4 10:00", *came)) == both


def test_a_surplus_file_makes_up_for_the_latest_that_is_missing() -> None:
    assert shown(missing(DAILY, "5 08:30", "4 08:00", "4 08:15", "5 08:00")) == [
        "02 09:00 of 01-01 late 1",
        "06 09:00 of 05-05 1",
    ]
    assert shown(missing(DAILY, "3 08:30", "2 08:00", "2 08:15")) == [
        "03 09:00 of 02-02 1",
        "04 09:00 of 03-03 1",
    ]


def test_a_delivery_has_the_days_since_the_one_before() -> None:
    workdays = Expectation(weekdays=(0, 1, 2, 3, 4), by=time(9), datasets=("orders",))
    assert shown(missing(workdays, "3 10:00")) == [
        "03 09:00 of 28-02 late 1",
        "04 09:00 of 03-03 1",
    ]
    tonight = Expectation(weekdays=(0, 4), by=time(23), datasets=("orders",), until="today")
    assert shown(missing(tonight, "4 10:00")) == [
        "03 23:00 of 01-03 late 1",
        "07 23:00 of 04-07 1",
    ]


def test_several_files_are_counted() -> None:
    hourly = Expectation(weekdays=tuple(range(7)), by=time(9), datasets=("orders",), files=3)
    assert shown(missing(hourly, "2 10:00", "2 03:00", "2 03:00"))[0] == "02 09:00 of 01-01 late 1"
    assert shown(missing(hourly, "2 10:00", *["2 03:00"] * 3)) == ["03 09:00 of 02-02 3"]


def test_days_are_those_of_the_zone() -> None:
    kolkata = Expectation(
        weekdays=tuple(range(7)), by=time(9), datasets=("orders",), time_zone="Asia/Kolkata"
    )
    # 03:30 in UTC; the day begins at 18:30 in UTC.
    assert shown(missing(kolkata, "2 03:29"))[0] == "02 03:30 of 01-01 1"
    assert shown(missing(kolkata, "2 03:31"))[0] == "02 03:30 of 01-01 late 1"
    assert shown(missing(kolkata, "2 03:31", "1 18:30")) == ["03 03:30 of 02-02 1"]
    assert shown(missing(kolkata, "2 03:31", "1 18:29"))[0] == "02 03:30 of 01-01 late 1"
    berlin = Expectation(
        weekdays=tuple(range(7)), by=time(9), datasets=("orders",), time_zone="Europe/Berlin"
    )
    found = missing(berlin, "30 12:00", since=at("29 08:00"))
    assert [one.due.hour for one in found] == [7, 7]  # summer time began on the 30th
    found = missing(berlin, "29 12:00", since=at("28 12:00"))
    assert [(one.due.day, one.due.hour) for one in found] == [(29, 8), (30, 7)]


def test_nothing_is_asked_for_from_before_the_expectation_and_100_days() -> None:
    assert shown(missing(DAILY, "6 10:00", since=at("5 08:00"))) == [
        "05 09:00 of 04-04 late 1",
        "06 09:00 of 05-05 late 1",
        "07 09:00 of 06-06 1",
    ]
    old = missing(DAILY, "6 10:00", since=datetime(2020, 1, 1, tzinfo=UTC))
    assert len(old) == 101


@given(
    st.dictionaries(st.integers(0, 9), st.integers(1, 3), max_size=10),
    st.sets(st.integers(0, 6), min_size=1),
    st.sampled_from(["UTC", "America/Los_Angeles", "Pacific/Auckland"]),
    st.integers(0, 23),
)
def test_missing_files_are_those_that_a_plain_count_of_days_misses(
    came: Mapping[int, int], weekdays: set[int], zone: str, hour: int
) -> None:
    """The oracle goes from the last day to the first, with a purse of surplus files."""
    expectation = Expectation(
        weekdays=tuple(sorted(weekdays)), by=time(9), datasets=("orders",), time_zone=zone
    )
    begin = date(2025, 3, 4)
    days = [begin + timedelta(days=one) for one in range(10)]
    wall = {datetime.combine(days[day], time(hour), ZoneInfo(zone)): n for day, n in came.items()}
    arrivals = {one.astimezone(UTC): n for one, n in wall.items()}
    since = datetime.combine(begin, time(0), ZoneInfo(zone)).astimezone(UTC)
    now = since + timedelta(days=10, hours=2)
    found = find_missing([expectation], {"orders": arrivals}, since=since, now=now)

    lacking, purse, of_period = {}, 0, 0
    for day in reversed(days):
        of_period += came.get((day - begin).days, 0)
        if day.weekday() in weekdays:
            if of_period:
                purse += of_period - 1
            elif purse:
                purse -= 1
            else:
                lacking[day] = 1
            of_period = 0
    late = {one.due.astimezone(ZoneInfo(zone)).date(): one.missing_files for one in found}
    assert {day: count for day, count in late.items() if day in days} == lacking
