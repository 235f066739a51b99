"""Read the fields of dates and times from texts, and compute moments from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.date_formats import MONTHS, CompiledFormat
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.masks import booleans, true
from kpi.validation.swar import first_days_and_lengths
from kpi.validation.text import matches

_MAX_MICROSECONDS = 10_000 * 366 * 86_400 * 1_000_000
"""Of a moment whose year has four digits."""

_PIVOT_YEAR = 69
"""Two digits from 69 on are of the 20th century (POSIX)."""

_ABBREVIATIONS = pa.array(MONTHS)
_MONTH_NAMES = pa.array(
    [
        *("january", "february", "march", "april", "may", "june"),
        *("july", "august", "september", "october", "november", "december"),
    ]
)


@dataclass
class Moments:
    """Timestamps of some texts, filled in form by form.

    Attributes:
        microseconds: Since 1970-01-01, in UTC where a text has an offset; arbitrary where unknown.
        known: Which texts have one.
        has_offset: Which of them have an offset.
        date_only: Which of them have no time of day.
    """

    microseconds: Int64s
    known: Mask
    has_offset: Mask
    date_only: Mask

    @classmethod
    def unknown(cls, rows: int) -> Moments:
        """Make moments of which none is known."""
        return cls(np.zeros(rows, np.int64), *(np.zeros(rows, bool) for _ in range(3)))

    def put(self, rows: Positions, read: Moments) -> None:
        """Fill in the moments of some rows."""
        self.microseconds[rows] = read.microseconds
        self.known[rows] = read.known
        self.has_offset[rows] = read.has_offset
        self.date_only[rows] = read.date_only


def read_epoch(text: pa.Array, unit: int) -> Moments:
    """Read times since 1970-01-01T00:00:00Z.

    Args:
        text: The texts, null for none.
        unit: Microseconds of the unit that they count.
    """
    found = Moments.unknown(len(text))
    digits = len(str(_MAX_MICROSECONDS // unit))
    pattern = rf"^(?P<g0>-?)(?P<g1>\d{{1,{digits}}})(?:\.(?P<g2>\d{{1,18}}))?$"
    rows = np.flatnonzero(matches(text, pattern))
    if len(rows):
        parts = pc.extract_regex(text.take(pa.array(rows)), pattern)
        sign, whole, fraction = (pc.struct_field(parts, at) for at in range(3))
        places = len(str(unit)) - 1
        microseconds = _integers(whole) * unit + _integers(_padded(fraction, places))
        microseconds[true(pc.equal(sign, "-"))] *= -1
        found.microseconds[rows] = microseconds
        found.known[rows] = np.abs(microseconds) <= _MAX_MICROSECONDS
    found.has_offset[:] = True
    return found


def read_moments(text: pa.Array, compiled: CompiledFormat) -> Moments:
    """Read texts that match a pattern; fields that no calendar or clock has are unknown."""
    found = Moments.unknown(len(text))
    rows = np.flatnonzero(matches(text, compiled.pattern))
    if not len(rows):
        return found
    parts = pc.extract_regex(text.take(pa.array(rows)), compiled.pattern)
    fields = {
        directive: pc.struct_field(parts, at) for at, directive in enumerate(compiled.directives)
    }
    days, is_day = _days(fields, len(rows))
    clock, is_clock = _clock(fields, len(rows))
    offset, has_offset = _offset(fields, len(rows))
    hour = fields.get("H", fields.get("I"))
    found.microseconds[rows] = days * 86_400_000_000 + clock - offset
    found.known[rows] = is_day & is_clock
    found.has_offset[rows] = has_offset
    found.date_only[rows] = True if hour is None else true(pc.equal(hour, ""))
    return found


Fields = Mapping[str, pa.Array]
"""Directive -> texts; empty where a text lacks the field."""


def _days(fields: Fields, rows: int) -> tuple[Int64s, Mask]:
    """Compute the days since 1970, and which dates a calendar has."""
    if "Y" in fields:
        year = _integers(fields["Y"])
    else:
        year = _integers(fields["y"])
        year += np.where(year < _PIVOT_YEAR, 2000, 1900)
    first_day, length = first_days_and_lengths()
    if "j" in fields:
        day = _integers(fields["j"])
        january = first_day[year * 16 + 1].astype(np.int64)
        december = year * 16 + 12
        days_of_year = first_day[december].astype(np.int64) + length[december] - january
        return january + day - 1, (day >= 1) & (day <= days_of_year)
    month = _month(fields, rows)
    day = np.ones(rows, np.int64)
    for directive in ("d", "e"):
        if directive in fields:
            day = _integers(fields[directive])
    is_month = (month >= 1) & (month <= 12)
    slot = year * 16 + np.where(is_month, month, 1)
    return first_day[slot].astype(np.int64) + day - 1, is_month & (day >= 1) & (day <= length[slot])


def _month(fields: Fields, rows: int) -> Int64s:
    name = fields.get("b", fields.get("B"))
    if name is None:
        return _integers(fields["m"]) if "m" in fields else np.ones(rows, np.int64)
    lower = pc.ascii_lower(name)
    found = pc.coalesce(
        pc.index_in(lower, value_set=_ABBREVIATIONS), pc.index_in(lower, value_set=_MONTH_NAMES)
    )
    return found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1


def _clock(fields: Fields, rows: int) -> tuple[Int64s, Mask]:
    """Compute the microseconds since midnight, and which times a clock has."""
    zero = np.zeros(rows, np.int64)
    minute, second = (_integers(fields[name]) if name in fields else zero for name in "MS")
    micros = _integers(_padded(fields["f"], 6)) if "f" in fields else zero
    good = (minute <= 59) & (second <= 59)
    if "I" in fields:
        hour = _integers(fields["I"])
        good &= (hour >= 1) & (hour <= 12)
        hour %= 12
        if "p" in fields:
            hour += 12 * true(pc.equal(pc.ascii_lower(fields["p"]), "pm"))
    else:
        hour = _integers(fields["H"]) if "H" in fields else zero
        good &= hour <= 23
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros, good


def _offset(fields: Fields, rows: int) -> tuple[Int64s, Mask]:
    """Compute the offset from UTC in microseconds, and which texts have one."""
    if "z" not in fields:
        return np.zeros(rows, np.int64), np.zeros(rows, bool)
    zone = pc.replace_substring(pc.ascii_trim(fields["z"], " "), ":", "")
    has_offset = ~true(pc.equal(zone, ""))
    is_number = true(pc.is_in(pc.utf8_slice_codeunits(zone, 0, 1), pa.array(["+", "-"])))
    digits = pc.if_else(booleans(is_number), pc.utf8_slice_codeunits(zone, 1), "")
    digits = pc.ascii_rpad(digits, 4, "0")
    hours, minutes = (_integers(pc.utf8_slice_codeunits(digits, at, at + 2)) for at in (0, 2))
    offset = (hours * 60 + minutes) * 60_000_000
    offset[true(pc.starts_with(zone, "-"))] *= -1
    return offset, has_offset


def _padded(fraction: pa.Array, places: int) -> pa.Array:
    """Cut or pad the digits of a fraction."""
    return pc.ascii_rpad(pc.utf8_slice_codeunits(fraction, 0, places), places, "0")


def _integers(digits: pa.Array) -> Int64s:
    """Convert texts of digits and outer blanks; 0 for an empty one."""
    text = pc.binary_join_element_wise("0", pc.ascii_trim(digits, " "), "")
    return text.cast(pa.int64()).to_numpy(zero_copy_only=False).copy()
