"""Texts to instants and to the days that they stand on, in the forms that a contract names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.forms import (
    UNIX_MILLISECONDS,
    UNIX_SECONDS,
    DateForm,
)
from kpi.contract.month_names import fold, names_like
from kpi.contract.shop import AS_WRITTEN
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from kpi.kernels.masks import true, valid
from kpi.kernels.time_zones import to_local, to_utc
from kpi.mapping.stamps import Stamps, Suffixes, read_stamps, stamp_shapes

MICROSECONDS = 1_000_000
SUMMER_TIME = 3_600 * MICROSECONDS
"""Difference between the offsets of one place within a year."""

MIDNIGHT_OF_2000 = int(np.datetime64("2000-01-01", "us").astype(np.int64))
_UNIX_STEP = {UNIX_SECONDS: MICROSECONDS, UNIX_MILLISECONDS: 1_000}


@dataclass(frozen=True)
class Times:
    """Times read from texts.

    Attributes:
        instants: Microseconds since 1970 in UTC; a time without an offset is in the contract's
            `times` zone, and taken as UTC where days are as written.
        days: Days since 1970, as `day` of the contract has it.
        valid: Where a text is a time.
        wrong: Where a text is there and is none.
        elsewhere: Where the date as written is another one than the day; None where offsets are
            those of several places, or days are as written.
    """

    instants: Int64s
    days: npt.NDArray[np.int32]
    valid: Mask
    wrong: Mask
    elsewhere: Mask | None = None


@dataclass(frozen=True)
class Clock:
    """Time zones of a contract.

    Attributes:
        day: `as written`, or the zone whose calendar counts.
        times: Zone of times that carry none.
    """

    day: str
    times: str


def read_times(texts: pa.Array, forms: Sequence[DateForm], clock: Clock) -> Times:
    """Read times; the first form that a text has counts.

    Args:
        texts: Without outer blanks; null where a cell has no value.
        forms: How they are written.
        clock: Zones.
    """
    size = len(texts)
    wall, offset = np.zeros(size, np.int64), np.zeros(size, np.int64)
    known, zoned, dated = np.zeros(size, bool), np.zeros(size, bool), np.zeros(size, bool)
    for shape in stamp_shapes(forms[0]) if forms else ():
        rest = np.flatnonzero(valid(texts) & ~known)
        if not len(rest):
            break
        some = texts if len(rest) == size else texts.take(pa.array(rest))
        stamps = read_stamps(some, shape, partial(_suffixes, form=forms[0]))
        rest = rest[stamps.good]
        wall[rest], offset[rest] = stamps.wall[stamps.good], stamps.offset[stamps.good]
        zoned[rest], dated[rest] = stamps.zoned[stamps.good], stamps.dated[stamps.good]
        known[rest] = True
    rest = np.flatnonzero(valid(texts) & ~known)
    if len(rest):
        encoded = pc.dictionary_encode(texts.take(pa.array(rest)))
        at = encoded.indices.to_numpy()
        distinct = _read_distinct(encoded.dictionary, forms)
        wall[rest], offset[rest] = distinct.wall[at], distinct.offset[at]
        zoned[rest], dated[rest] = distinct.zoned[at], distinct.dated[at]
        known[rest] = distinct.good[at]
    return _on_days(Stamps(wall, offset, zoned, dated, known), valid(texts) & ~known, clock)


def _read_distinct(texts: pa.Array, forms: Sequence[DateForm]) -> Stamps:
    """Read times by patterns; the first form that a text has counts."""
    size = len(texts)
    wall, offset = np.zeros(size, np.int64), np.zeros(size, np.int64)
    known, zoned, dated = np.zeros(size, bool), np.zeros(size, bool), np.zeros(size, bool)
    for form in forms:
        todo = ~known
        if not todo.any():
            break
        if form.example in _UNIX_STEP:
            found, of_form = _unix(texts, _UNIX_STEP[form.example])
            of_offset, of_zoned, of_dated = np.zeros(size, np.int64), found, ~found
        else:
            found, of_form, of_offset, of_zoned, of_dated = _parts(texts, form)
        found = found & todo
        wall[found], offset[found], zoned[found] = of_form[found], of_offset[found], of_zoned[found]
        dated[found] = of_dated[found]
        known |= found
    return Stamps(wall, offset, zoned, dated, known)


def _suffixes(texts: pa.Array, form: DateForm) -> Suffixes:
    """Read texts of one form that all have the stamp of midnight of 2000-01-01."""
    good, wall, offset, zoned, dated = _parts(texts, form)
    return Suffixes(wall - MIDNIGHT_OF_2000, offset, zoned, dated, good)


def _on_days(stamps: Stamps, wrong: Mask, clock: Clock) -> Times:
    """Find the instants and days of wall clocks."""
    known, wall = stamps.good, stamps.wall
    instants = wall - stamps.offset
    elsewhere: Mask | None = None
    if clock.day == AS_WRITTEN:
        days = wall // MICROSECONDS_PER_DAY
    else:
        local = known & ~stamps.zoned
        # A date alone is that day of the shop, whatever the zone of its times is.
        alone = local & stamps.dated
        for which, zone in ((local & ~alone, clock.times), (alone, clock.day)):
            if zone != "UTC" and which.any():
                instants[which] = to_utc(wall[which], zone)
        days = to_local(instants, clock.day) // MICROSECONDS_PER_DAY
        if _of_one_place(stamps):
            elsewhere = known & (days != wall // MICROSECONDS_PER_DAY)
    if not known.all():
        instants[~known], days[~known] = 0, 0
    return Times(instants, days.astype(np.int32), known, wrong, elsewhere)


def _of_one_place(stamps: Stamps) -> bool:
    """Whether all times carry the offset of one place, not UTC; in summer it may be another."""
    if not stamps.zoned.any():
        return False
    offsets = np.unique(stamps.offset[stamps.good])
    return bool(
        stamps.zoned[stamps.good].all()
        and offsets.any()
        and offsets[-1] - offsets[0] <= SUMMER_TIME
    )


def _unix(texts: pa.Array, step: int) -> tuple[Mask, Int64s]:
    """Read seconds or milliseconds since 1970."""
    fits = true(pc.match_substring_regex(texts, r"^-?[0-9]{1,13}(\.[0-9]*)?$"))
    whole = pc.replace_substring_regex(texts, r"\..*$", "")
    numbers = pc.if_else(pa.array(fits), whole, "0").cast(pa.int64())
    values = numbers.to_numpy(zero_copy_only=False)
    fits &= np.abs(values) < 2**53 // step * 1000
    return fits, np.where(fits, values, 0) * step


def _parts(texts: pa.Array, form: DateForm) -> tuple[Mask, Int64s, Int64s, Mask, Mask]:
    """Read years to fractions.

    Returns:
        Which are valid, wall clock, offset, which have an offset, and which are dates alone.
    """
    found = pc.extract_regex(texts, f"^(?:{form.pattern})$")
    good = true(found.is_valid())
    names = {field.name for field in found.type}

    def number(name: str, default: int) -> Int64s:
        if name not in names:
            return np.full(len(texts), default, np.int64)
        digits = pc.fill_null(found.field(name), "")
        shown = pc.if_else(pc.equal(digits, ""), str(default), digits)
        return shown.cast(pa.int64()).to_numpy(zero_copy_only=False)

    year, day = number("year", 2000), number("day", 1)
    if "(?P<year>[0-9]{2})" in form.pattern:
        year = year + 2000
    month = _named_months(found.field("month"), form) if form.december else number("month", 1)
    hour, minute, second = number("hour", 0), number("minute", 0), number("second", 0)
    if "half" in names:
        afternoon = true(pc.equal(pc.utf8_lower(pc.fill_null(found.field("half"), "")), "pm"))
        good &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + 12 * afternoon
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(good, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - first
    good &= (day >= 1) & (day <= length)
    clock = ((hour * 60 + minute) * 60 + second) * MICROSECONDS
    if "fraction" in names:
        padded = pc.utf8_slice_codeunits(
            pc.utf8_rpad(pc.fill_null(found.field("fraction"), ""), 6, "0"), 0, 6
        )
        clock += padded.cast(pa.int64()).to_numpy(zero_copy_only=False)
    offset, zoned = _offsets(found, names)
    dated = np.ones(len(texts), bool)
    if "hour" in names:
        dated = ~true(pc.not_equal(pc.fill_null(found.field("hour"), ""), ""))
    return good, (first + day - 1) * MICROSECONDS_PER_DAY + clock, offset, zoned, dated


def _named_months(texts: pa.Array, form: DateForm) -> Int64s:
    """Look up the numbers of months; 0 for a name of none."""
    encoded = pc.dictionary_encode(pc.fill_null(texts, ""))
    names = names_like(form.december)
    numbers = [names.get(fold(text), 0) for text in encoded.dictionary.to_pylist()]
    return np.array(numbers or [0], np.int64)[encoded.indices.to_numpy()]


def _offsets(found: pa.StructArray, names: set[str]) -> tuple[Int64s, Mask]:
    """Read offsets from UTC in microseconds, and tell where there are some."""
    if "zone" not in names:
        return np.zeros(len(found), np.int64), np.zeros(len(found), bool)
    zone = pc.fill_null(found.field("zone"), "")
    parts = pc.extract_regex(zone, "^(?P<sign>[+-])(?P<hour>[0-9]{2}):?(?P<minute>[0-9]{2})?$")
    signs = np.where(true(pc.equal(parts.field("sign"), "-")), -1, 1)
    hours, minutes = (
        pc.if_else(pc.equal(pc.fill_null(parts.field(name), ""), ""), "0", parts.field(name))
        .cast(pa.int64())
        .fill_null(0)
        .to_numpy(zero_copy_only=False)
        for name in ("hour", "minute")
    )
    return signs * (hours * 60 + minutes) * 60 * MICROSECONDS, true(pc.not_equal(zone, ""))
