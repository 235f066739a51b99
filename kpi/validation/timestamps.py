"""Convert texts to instants: by the grammar of ISO 8601 below, or by formats of a contract.

ISO 8601 here is:

    timestamp = date [separator time [zone]]
    date      = YYYY-MM-DD                          or basic: YYYYMMDD
    separator = T, t or a blank
    time      = hh[:mm[:ss[(. or ,)fraction]]]      or basic: hh[mm[ss[(. or ,)fraction]]]
    zone      = [blank] (Z, z, UTC, GMT, or +hh[[:]mm], or -hh[[:]mm])

Date and time are both extended or both basic. A fraction has up to 18 digits; those beyond
microseconds are cut off. Hours end at 23, minutes and seconds at 59. Offsets are -12:00 to +14:00.
Arrow's CSV converter takes a part of this grammar and offsets up to 23:59, with the same results.

A timestamp without zone is in the contract's source time zone. A date alone is midnight in its
business time zone, whose calendar gives an order its day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.contract.arrow_types import INSTANT
from kpi.contract.date_formats import (
    ISO_8601,
    MILLISECONDS,
    SECONDS,
    CompiledFormat,
    compile_format,
)
from kpi.contract.model import Column, Contract
from kpi.contract.utc_offsets import OFFSET
from kpi.kernels.arrays import Int64s, Mask, Positions
from kpi.kernels.masks import bitmap, valid
from kpi.kernels.time_zones import to_utc
from kpi.validation.date_fields import Moments, read_epoch, read_moments
from kpi.validation.swar import decode_dates, decode_timestamps
from kpi.validation.text import MAX_LOOP_VALUES

NAIVE = pa.timestamp("us")

_ZONE = rf"(?P<g7> ?(?:[Zz]|UTC|GMT|{OFFSET}))?"
_FRACTION = r"(?:[.,](?P<g6>\d{1,18}))?"
EXTENDED = (
    r"^(?P<g0>\d{4})-(?P<g1>\d\d)-(?P<g2>\d\d)"
    rf"(?:[Tt ](?P<g3>\d\d)(?::(?P<g4>\d\d)(?::(?P<g5>\d\d){_FRACTION})?)?{_ZONE})?$"
)
BASIC = (
    r"^(?P<g0>\d{4})(?P<g1>\d\d)(?P<g2>\d\d)"
    rf"(?:[Tt ](?P<g3>\d\d)(?:(?P<g4>\d\d)(?:(?P<g5>\d\d){_FRACTION})?)?{_ZONE})?$"
)
_ISO = tuple(
    CompiledFormat(pattern, ("Y", "m", "d", "H", "M", "S", "f", "z"))
    for pattern in (EXTENDED, BASIC)
)

_NOT_IN_ISO = re.compile(r"[^-+.,:0-9TtZzUCGM ]")

_EPOCH_UNITS = {SECONDS: 1_000_000, MILLISECONDS: 1_000}
"""Word -> microseconds of its unit."""

_FAST_SEPARATORS = {
    ISO_8601: b"T ",
    "%Y-%m-%d %H:%M:%S": b" ",
    "%F %T": b" ",
    "%Y-%m-%dT%H:%M:%S": b"T",
    "%FT%T": b"T",
}
"""Formats that the fast decoder reads -> separators between date and time."""


_FAST_DATES = frozenset({ISO_8601, "%Y-%m-%d", "%F"})
"""Formats that read a date alone as the fast decoder does."""


@dataclass(frozen=True)
class Timestamps:
    """Converted texts.

    Attributes:
        values: Instants; null for a bad text.
        date_only: Which texts are dates alone.
    """

    values: pa.Array
    date_only: Mask


def to_instants(
    local: pa.Array | pa.ChunkedArray, contract: Contract
) -> pa.Array | pa.ChunkedArray:
    """Convert timestamps to instants; those without offset are in the source time zone.

    An hour that a clock change repeats is its first occurrence; one that it skips is the change.
    """
    if local.type.tz is not None or contract.source_time_zone == "UTC":
        return local.cast(INSTANT)
    if isinstance(local, pa.ChunkedArray):
        chunks = [to_instants(chunk, contract) for chunk in local.chunks]
        return pa.chunked_array(chunks, INSTANT)
    return _instants(to_utc(microseconds_of(local), contract.source_time_zone), valid(local))


def with_dates_alone(local: pa.Array, rows: Positions, contract: Contract) -> pa.Array:
    """Convert naive timestamps to instants, some of which are dates alone.

    Args:
        local: The timestamps.
        rows: Positions of the dates alone.
        contract: Their contract.
    """
    instants = to_instants(local, contract)
    if contract.source_time_zone == contract.business_time_zone:
        return instants
    values = microseconds_of(instants)
    values[rows] = to_utc(microseconds_of(local)[rows], contract.business_time_zone)
    return _instants(values, valid(local))


def microseconds_of(timestamps: pa.Array) -> Int64s:
    """Copy timestamps as microseconds since 1970, 0 for null."""
    return timestamps.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).copy()


def _instants(microseconds: Int64s, known: Mask) -> pa.Array:
    buffers = [bitmap(known), pa.py_buffer(microseconds)]
    return pa.Array.from_buffers(INSTANT, len(known), buffers)


def to_timestamps(text: pa.Array, column: Column, contract: Contract) -> Timestamps:
    """Convert texts without outer blanks."""
    first, *others = column.formats or (ISO_8601,)
    found = _read(text, first)
    for form in others:
        rest = np.flatnonzero(valid(text) & ~found.known)
        if len(rest):
            found.put(rest, _read(text.take(pa.array(rest)), form))
    local = found.known & ~found.has_offset
    for rows, zone in (
        (local & ~found.date_only, contract.source_time_zone),
        (local & found.date_only, contract.business_time_zone),
    ):
        if zone != "UTC" and rows.any():
            found.microseconds[rows] = to_utc(found.microseconds[rows], zone)
    found.microseconds[~found.known] = 0
    return Timestamps(_instants(found.microseconds, found.known), found.date_only & local)


def _read(text: pa.Array, form: str) -> Moments:
    """Read texts by one format: the plain ones by the fast decoder, the others by patterns."""
    if form in _EPOCH_UNITS:
        return read_epoch(text, _EPOCH_UNITS[form])
    found = Moments.unknown(len(text))
    if form in _FAST_SEPARATORS:
        plain = decode_timestamps(text, _FAST_SEPARATORS[form])
        found.known = valid(plain).copy()
        found.microseconds = np.frombuffer(plain.buffers()[1], np.int64).copy()
    if form in _FAST_DATES and not found.known.all():
        dates = decode_dates(text)
        is_date = valid(dates)
        found.microseconds[is_date] = np.frombuffer(dates.buffers()[1], np.int64)[is_date]
        found.known |= is_date
        found.date_only |= is_date
    rest = np.flatnonzero(valid(text) & ~found.known)
    if form == ISO_8601 and len(rest) <= MAX_LOOP_VALUES:
        # Arrow's calls for a few texts take as long as 50 searches.
        hopeful = [_NOT_IN_ISO.search(text[row].as_py()) is None for row in rest.tolist()]
        rest = rest[np.array(hopeful, bool)]
    for compiled in _ISO if form == ISO_8601 else (compile_format(form),):
        left = rest[~found.known[rest]]
        if len(left):
            found.put(left, read_moments(text.take(pa.array(left)), compiled))
    return found
