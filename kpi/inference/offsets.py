"""The day of times that carry offsets from UTC: as written, of UTC, or a question."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

import numpy as np

from kpi.inference.dates import NO_DAY, moved_by_offset
from kpi.inference.evidence import place_of
from kpi.inference.questions import Answers, Question
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column
from kpi.kernels.zone_data import zone_data

MINUTES_OF_DAY = 24 * 60

MAX_SEASON_MINUTES = 60
"""Between the offsets of a place in summer and in winter."""

CHANGES_OF_YEAR = 2
"""Changes of a place's offset, for each year."""

FOREIGN_SHARE = 0.05
"""Times at most whose offset is one of a country, where a shop is in another one."""

OTHER_DAY_SHARE = 0.2
"""Times with another date in UTC, above which an offset of another country is a question."""

INTERNATIONAL = frozenset({"USD", "EUR", "GBP"})
"""Currencies that shops of other countries sell in."""

ZULU = frozenset({"Z", "UTC", "GMT"})


@dataclass(frozen=True, kw_only=True)
class OffsetTimes:
    """Times with offsets.

    Attributes:
        instants: Minutes since 1970 in UTC, ascending.
        offsets: Minutes of the offset of each.
    """

    instants: Sequence[int]
    offsets: Sequence[int]

    @property
    def changes(self) -> int:
        """Times whose offset is another one than that of the time before."""
        return int(np.count_nonzero(np.diff(self.offsets)))

    @property
    def are_of_one_place(self) -> bool:
        """Whether the offsets are those of a place: one, or one of each season."""
        if max(self.offsets) - min(self.offsets) > MAX_SEASON_MINUTES:
            return False
        years = (self.instants[-1] - self.instants[0]) / MINUTES_OF_DAY / 365
        return self.changes <= CHANGES_OF_YEAR * (years + 1)


def offset_times(column: Column) -> OffsetTimes | None:
    """Read times with offsets; None where all offsets are 0, or there are none."""
    if column.dates is None:
        return None
    found: set[tuple[int, int]] = set()
    for cell, day in zip(column.cells, column.dates.days.tolist(), strict=True):
        match = _OFFSET.search(cell)
        if match is None or day == NO_DAY:
            continue
        minutes = 0
        if match["zone"] not in ZULU:
            size = int(match["hours"]) * 60 + int(match["minutes"])
            minutes = -size if match["zone"][0] == "-" else size
        clock = int(match["hour"]) * 60 + int(match["minute"])
        found.add((day * MINUTES_OF_DAY + clock - minutes, minutes))
    if not any(minutes for _, minutes in found):
        return None
    instants, offsets = zip(*sorted(found), strict=True)
    return OffsetTimes(instants=instants, offsets=offsets)


_OFFSET = re.compile(
    r"[T ,](?P<hour>\d{1,2}):(?P<minute>\d{2})\D.*?"
    r"(?P<zone>Z|UTC|GMT|[+-](?P<hours>\d{2}):?(?P<minutes>\d{2}))$"
)


def is_of_another_country(times: OffsetTimes, currency: str | None) -> bool:
    """Whether offsets are of no zone of the country whose currency a shop has.

    The first letters of an ISO 4217 code are the country's of ISO 3166. They are none of a country
    where several share a currency.
    """
    zones = _zones_of(currency[:2]) if currency and currency not in INTERNATIONAL else ()
    if not zones:
        return False
    # One time of each day and offset tells as much as all.
    seen = {
        (instant // MINUTES_OF_DAY, offset): instant
        for instant, offset in zip(times.instants, times.offsets, strict=True)
    }
    own = 0
    for (_, offset), instant in seen.items():
        at = datetime.fromtimestamp(instant * 60, UTC)
        own += any(zone_data(one).offset(at).total_seconds() == offset * 60 for one in zones)
    return own <= FOREIGN_SHARE * len(seen)


@cache
def _zones_of(country: str) -> tuple[str, ...]:
    """Name the time zones of a country."""
    table = files("tzdata").joinpath("zoneinfo", "zone1970.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return tuple(row[2] for row in rows if country in row[0].split(","))


def currency_of(tables: Iterable[Table]) -> str | None:
    """Find the only code of a currency that a column of some tables has."""
    codes = {
        cell.upper()
        for table in tables
        for column in table.columns
        if "currency" in column.meaning
        for cell in column.distinct
    }
    code = codes.pop() if len(codes) == 1 else ""
    return code if re.fullmatch("[A-Z]{3}", code) else None


@dataclass(frozen=True, kw_only=True)
class DayChoice:
    """The word `day` of a contract.

    Attributes:
        value: `as written`, or a time zone.
        note: What speaks for it.
        is_doubtful: Whether somebody should know of it.
    """

    value: str
    note: str = ""
    is_doubtful: bool = False


def choose_day(structure: Structure, tables: Sequence[Table], answers: Answers) -> DayChoice:
    """Take the date as a system writes it that writes a shop's own time; else ask.

    An offset of 0 is what programs write that know no place. One of another country than the
    currency's is not the shop's: UTC is what such times have in common.
    """
    wanted = answers.value("day")
    if wanted is not None:
        return DayChoice(value=wanted, note="as answered")
    column = structure.date.value
    times = offset_times(column)
    if times is None:
        return DayChoice(value="as written", note="times carry no offset from UTC")
    names = ", ".join(sorted({_written(one) for one in times.offsets})[:3])
    share = moved_by_offset(column.cells)
    if not times.are_of_one_place:
        _ask(column, f"offsets of several places ({names})", share, tables, answers)
        return DayChoice(value="as written")
    currency = currency_of((structure.orders, structure.lines))
    if not is_of_another_country(times, currency):
        seasons = "one place in summer and winter" if len(set(times.offsets)) > 1 else "one place"
        note = (
            f"times carry the offset of {seasons} ({names}), which is the shop's own time; "
            f"{share:.0%} of the rows have another date in UTC"
        )
        return DayChoice(value="as written", note=note)
    if share >= OTHER_DAY_SHARE:
        _ask(
            column,
            f"an offset ({names}) of no place where {currency} is paid",
            share,
            tables,
            answers,
        )
        return DayChoice(value="as written")
    note = (
        f"times carry an offset ({names}) of no place where {currency} is paid, and are instants; "
        f"{share:.0%} of the rows have another date as written: "
        '--answer "day=as written", or a zone, for the day of the shop'
    )
    return DayChoice(value="UTC", note=note, is_doubtful=True)


def _ask(
    column: Column, what: str, share: float, tables: Sequence[Table], answers: Answers
) -> None:
    answers.ask(
        Question(
            word="day",
            text=f"{place_of(column, tables)} has times with {what}, of which {share:.0%} have "
            "another date in UTC. Which day does an order count on?",
            answers={"as written": "the date that stands there", "UTC": "the date in UTC"},
        )
    )


def _written(minutes: int) -> str:
    """Write an offset as in ISO 8601."""
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
