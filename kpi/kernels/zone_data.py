"""Read UTC offsets of time zones from `zoneinfo` and the `tzdata` package.

Not from the machine's database, which may be older or missing. Not from Arrow, which reads no rule
behind the table of a zone: it misses summer time after 2037, and all of it where files are slim.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo

from kpi.errors import KpiError
from kpi.kernels.instants import EPOCH, microseconds_since_epoch

MIN_INSTANT = datetime(1, 1, 2, tzinfo=UTC)
MAX_INSTANT = datetime(9999, 12, 30, tzinfo=UTC)
"""Instants that `datetime` shows in every time zone."""

RULE_SEARCH_STEP = timedelta(days=5)
"""Distance at which offsets by rule are compared. No rule in force lasts a shorter time."""

CYCLE_YEARS = 400
CYCLE = timedelta(days=146_097)
"""The Gregorian calendar repeats itself, weekdays included, and so do rules."""

KNOWN_OFFSETS = (
    ("Europe/Berlin", datetime(1970, 7, 1, tzinfo=UTC), 60),
    ("Europe/Berlin", datetime(2025, 3, 30, 0, 59, tzinfo=UTC), 60),
    ("Europe/Berlin", datetime(2025, 3, 30, 1, tzinfo=UTC), 120),
    ("Europe/Berlin", datetime(2038, 7, 1, tzinfo=UTC), 120),
    ("America/New_York", datetime(2500, 7, 4, tzinfo=UTC), -240),
    ("America/Sao_Paulo", datetime(2018, 12, 1, tzinfo=UTC), -120),
    ("America/Sao_Paulo", datetime(2025, 12, 1, tzinfo=UTC), -180),
    ("Asia/Kolkata", datetime(2025, 1, 1, tzinfo=UTC), 330),
    ("Pacific/Apia", datetime(2011, 12, 30, 9, 59, tzinfo=UTC), -600),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC), 840),
)
"""Zone, instant, and its offset in minutes: laws that have passed, and rules in force."""


@dataclass(frozen=True)
class OffsetPeriod:
    """A time in which a zone keeps one offset from UTC.

    Attributes:
        start: Its first instant, in microseconds since 1970.
        offset: Local time less UTC, in microseconds.
    """

    start: int
    offset: int


class ZoneData:
    """The offsets of one time zone."""

    def __init__(self, name: str, data: bytes) -> None:
        """Read a zone.

        Args:
            name: IANA name.
            data: Its TZif file (RFC 8536), of version 2 or later.
        """
        self._zone = ZoneInfo.from_file(BytesIO(data), name)
        self._listed = _listed_transitions(data)
        # The footer holds a POSIX rule, with a comma where the rule has a summer time.
        self._has_rule = b"," in data.rsplit(b"\n", 2)[1]
        self._rule_start = self._listed[-1] if self._listed else MIN_INSTANT
        self._search_rule = cache(self._find_by_rule)

    def offset(self, instant: datetime) -> timedelta:
        """Return local time less UTC at an instant."""
        return instant.astimezone(self._zone).utcoffset() or timedelta(0)

    def periods(self, first_year: int, last_year: int) -> list[OffsetPeriod]:
        """Return the periods of some years, ascending; the first one begins with these years."""
        start, end = _start_of(first_year), _start_of(last_year + 1)
        instants = [instant for instant in self._listed if start < instant < end]
        if self._has_rule:
            for year in range(max(first_year, self._rule_start.year), last_year + 1):
                instants += [one for one in self._transitions(year) if start < one < end]
        microsecond = timedelta(microseconds=1)
        return [
            OffsetPeriod(microseconds_since_epoch(instant), self.offset(instant) // microsecond)
            for instant in (start, *instants)
        ]

    def _transitions(self, year: int) -> list[datetime]:
        """Return the transitions by rule in a year."""
        cycles = max(year - self._rule_start.year - 1, 0) // CYCLE_YEARS
        return [one + cycles * CYCLE for one in self._search_rule(year - cycles * CYCLE_YEARS)]

    def _find_by_rule(self, year: int) -> list[datetime]:
        low, end = max(_start_of(year), self._rule_start), _start_of(year + 1)
        found = []
        while low < end:
            high = low + min(RULE_SEARCH_STEP, end - low)
            if self.offset(low) != self.offset(high):
                found.append(self._bisect(low, high))
            low = high
        return found

    def _bisect(self, low: datetime, high: datetime) -> datetime:
        """Return the first second after `low` that has the offset of `high`."""
        second = timedelta(seconds=1)
        while high - low > second:
            middle = low + (high - low) // second // 2 * second
            if self.offset(middle) == self.offset(low):
                low = middle
            else:
                high = middle
        return high


def zone_names() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def zone_data(name: str) -> ZoneData:
    """Load a time zone.

    Raises:
        KpiError: There is no such zone, or the database is wrong about known instants.
    """
    if name not in zone_names():
        raise KpiError(f"expected an IANA time zone such as Europe/Berlin, got {name!r}")
    _check_known_offsets()
    return _load(name)


def _load(name: str) -> ZoneData:
    return ZoneData(name, files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes())


@cache
def _check_known_offsets() -> None:
    """Compare the database with `KNOWN_OFFSETS`.

    Raises:
        KpiError: An offset differs: days and instants would be wrong in silence.
    """
    for name, instant, minutes in KNOWN_OFFSETS:
        found = _load(name).offset(instant)
        if found != timedelta(minutes=minutes):
            raise KpiError(
                f"the time zone database (package tzdata) is wrong about {name} at "
                f"{instant.isoformat()}: expected {minutes} minutes from UTC, got {found}"
            )


def _start_of(year: int) -> datetime:
    """Return the first instant of a year in UTC, or the nearest that is in range."""
    if year > MAX_INSTANT.year:
        return MAX_INSTANT
    return max(datetime(year, 1, 1, tzinfo=UTC), MIN_INSTANT)


def _listed_transitions(data: bytes) -> list[datetime]:
    """Return the instants of the table in a TZif file (RFC 8536, section 3), without year 1."""
    # Header: magic and version, 15 reserved bytes, six counts. The first block is for readers of
    # version 1, with times of 4 bytes; the second has times of 8 bytes, at its beginning.
    header = struct.Struct(">4sc15x6l")
    _, _, utc, standard, leaps, times, types, characters = header.unpack_from(data)
    first_block = times * 5 + types * 6 + characters + leaps * 8 + standard + utc
    second_header = header.size + first_block
    times = header.unpack_from(data, second_header)[5]
    seconds = struct.unpack_from(f">{times}q", data, second_header + header.size)
    least, most = (microseconds_since_epoch(one) // 10**6 for one in (MIN_INSTANT, MAX_INSTANT))
    return [EPOCH + timedelta(seconds=one) for one in seconds if least < one < most]
