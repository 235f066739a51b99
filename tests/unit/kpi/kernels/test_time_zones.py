"""Local times of every time zone, years 1 to 9999, held against `zoneinfo`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.errors import KpiError
from kpi.kernels import zone_data as module
from kpi.kernels.arrays import Int64s
from kpi.kernels.instants import EPOCH, MICROSECONDS_PER_DAY, microseconds_since_epoch
from kpi.kernels.time_zones import instants_between, to_local, to_utc
from kpi.kernels.zone_data import MAX_INSTANT, MIN_INSTANT, ZoneData, zone_data, zone_names


def _tzif(name: str) -> bytes:
    return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


NAMES = sorted(zone_names())
DISTINCT = sorted({_tzif(name): name for name in NAMES}.values())
"""One name of each zone; others are links to the same table."""

INSTANTS = st.datetimes(
    MIN_INSTANT.replace(tzinfo=None), MAX_INSTANT.replace(tzinfo=None), timezones=st.just(UTC)
)


@cache
def zone(name: str) -> ZoneInfo:
    return ZoneInfo.from_file(BytesIO(_tzif(name)), name)


def int64s(instants: list[datetime]) -> Int64s:
    return np.array([microseconds_since_epoch(one) for one in instants], np.int64)


def local_by_zoneinfo(instant: datetime, there: ZoneInfo) -> int:
    return microseconds_since_epoch(instant.astimezone(there).replace(tzinfo=UTC))


def utc_by_zoneinfo(local: datetime, there: ZoneInfo) -> int:
    """Find the first instant with a local time; where there is none, the change that skips it.

    By the way from UTC alone: where the table of a zone ends, `zoneinfo` takes some local times for
    repeated ones that are not (America/Godthab, 2023-10-28T23:00).
    """
    around = [local.replace(tzinfo=UTC) + timedelta(hours=hours) for hours in (-26, 26)]
    offsets = {one.astimezone(there).utcoffset() or timedelta(0) for one in around}
    here = [local.replace(tzinfo=there, fold=fold) for fold in (0, 1)]
    offsets |= {one.utcoffset() or timedelta(0) for one in here}
    found = sorted(local.replace(tzinfo=UTC) - offset for offset in offsets)
    for one in found:
        if one.astimezone(there).replace(tzinfo=None) == local:
            return microseconds_since_epoch(one)
    low, high = found[0], found[-1]
    before = low.astimezone(there).utcoffset()
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(there).utcoffset() == before:
            low = middle
        else:
            high = middle
    return microseconds_since_epoch(high)


@given(st.sampled_from(NAMES), st.lists(INSTANTS, min_size=1, max_size=20))
@example("Europe/Berlin", [datetime(2038, 7, 1, 22, 30, tzinfo=UTC)])
@example("Africa/Casablanca", [datetime(2087, 5, 11, 2, tzinfo=UTC)])
def test_instants_of_any_year_become_local_times(name: str, instants: list[datetime]) -> None:
    expected = [local_by_zoneinfo(one, zone(name)) for one in instants]
    assert to_local(int64s(instants), name).tolist() == expected


@given(st.sampled_from(NAMES), st.lists(INSTANTS, min_size=1, max_size=20))
@example("Europe/Berlin", [datetime(2038, 3, 28, 2, 30, tzinfo=UTC)])
@example("America/St_Johns", [datetime(2038, 11, 7, 1, 30, tzinfo=UTC)])
def test_local_times_of_any_year_become_instants(name: str, local: list[datetime]) -> None:
    inside = [one for one in local if 2 < one.year < 9998]
    expected = [utc_by_zoneinfo(one.replace(tzinfo=None), zone(name)) for one in inside]
    assert to_utc(int64s(inside), name).tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTINCT)
def test_every_change_of_every_zone_in_both_directions(name: str) -> None:
    """A second and an hour before and after each, also by rule in years to come."""
    there = zone(name)
    years = [(1, 2050), (9998, 9999)]
    changes = [one for span in years for one in zone_data(name).periods(*span)]
    near = [
        EPOCH + timedelta(microseconds=change.start, seconds=seconds)
        for change in changes
        for seconds in (-3600, -1, 0, 3599)
    ]
    instants = [one for one in near if MIN_INSTANT <= one <= MAX_INSTANT]
    locals_ = [local_by_zoneinfo(one, there) for one in instants]
    assert to_local(int64s(instants), name).tolist() == locals_
    naive = [EPOCH.replace(tzinfo=None) + timedelta(microseconds=one) for one in locals_]
    inside = [one for one in naive if 2 < one.year < 9998]
    found = to_utc(int64s([one.replace(tzinfo=UTC) for one in inside]), name)
    assert found.tolist() == [utc_by_zoneinfo(one, there) for one in inside]
    at = int64s(instants)
    midnights = to_local(at, name) // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY
    lows, highs = instants_between(midnights, midnights + MICROSECONDS_PER_DAY, name)
    assert ((lows <= at) & (at < highs)).all()


HOUR = MICROSECONDS_PER_DAY // 24


@pytest.mark.parametrize(
    ("name", "day", "low", "high"),
    [
        ("UTC", "2025-03-30", 0, 24),
        ("Europe/Berlin", "2025-03-29", -1, 23),
        ("Europe/Berlin", "2025-03-30", -1, 22),  # clocks are set forward
        ("Europe/Berlin", "2025-10-26", -2, 23),  # and back
        ("Europe/Berlin", "2025-10-25", -2, 23),  # for an hour after its end they might be
        ("America/Sao_Paulo", "2018-02-17", 2, 27),  # set back at midnight, to the day before
        ("America/Sao_Paulo", "2018-02-16", 2, 27),
    ],
)
def test_a_day_has_few_instants_of_others(name: str, day: str, low: int, high: int) -> None:
    (start,) = int64s([datetime.fromisoformat(f"{day}T00:00Z")])
    local = np.array([start], np.int64)
    lows, highs = instants_between(local, local + MICROSECONDS_PER_DAY, name)
    assert ((lows - start) / HOUR).tolist() == [low]
    assert ((highs - start) / HOUR).tolist() == [high]


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("2038-03-28T01:59:59", "2038-03-28T00:59:59"),
        ("2038-03-28T02:00:00", "2038-03-28T01:00:00"),  # skipped: the change
        ("2038-03-28T02:59:59", "2038-03-28T01:00:00"),
        ("2038-03-28T03:00:00", "2038-03-28T01:00:00"),
        ("2038-10-31T02:30:00", "2038-10-31T00:30:00"),  # repeated: the first one
        ("2038-10-31T03:00:00", "2038-10-31T02:00:00"),
    ],
)
def test_skipped_and_repeated_hours_in_berlin(local: str, instant: str) -> None:
    values = int64s([datetime.fromisoformat(f"{local}Z")])
    assert (
        to_utc(values, "Europe/Berlin").tolist()
        == int64s([datetime.fromisoformat(f"{instant}Z")]).tolist()
    )


def test_no_values_no_results() -> None:
    nothing = np.zeros(0, np.int64)
    assert len(to_local(nothing, "Europe/Berlin")) == len(to_utc(nothing, "Europe/Berlin")) == 0


def test_values_of_no_year_do_not_fail() -> None:
    """They are rejected by their range afterwards."""
    ends = np.array([-(2**62), 2**62], np.int64)
    assert len(to_local(ends, "Europe/Berlin")) == len(to_utc(ends, "Europe/Berlin")) == 2


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "localtime", "../zones", "europe/berlin"])
def test_a_name_of_no_zone_is_refused(name: str) -> None:
    with pytest.raises(KpiError, match="an IANA time zone"):
        zone_data(name)


def test_a_database_without_summer_time_by_rule_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one that reads the table of a zone alone, or that is out of date."""
    zone_data.cache_clear()
    module._check_known_offsets.cache_clear()
    load = module._load
    data = files("tzdata").joinpath("zoneinfo", "Europe", "Berlin").read_bytes()
    slim = ZoneData("Europe/Berlin", data[: data.rindex(b"\n", 0, -1)] + b"\nCET-1\n")
    monkeypatch.setattr(module, "_load", lambda name: slim if "Berlin" in name else load(name))
    with pytest.raises(KpiError, match="wrong about Europe/Berlin at 2025-03-30T01"):
        zone_data("Asia/Tokyo")
    monkeypatch.undo()
    module._check_known_offsets.cache_clear()
    assert zone_data("Asia/Tokyo")
