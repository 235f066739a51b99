"""Convert texts to instants: ISO 8601 as Arrow's CSV converter takes it, or strptime formats."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.arrow_types import INSTANT
from kpi.contract.model import Column, Contract
from kpi.kernels.masks import bitmap, booleans, true, valid
from kpi.kernels.time_zones import to_utc
from kpi.validation.swar import decode_timestamps
from kpi.validation.text import convert_rest, keep, matches

NAIVE = pa.timestamp("us")

_LEAP_YEAR = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    r"(?:\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    rf"|{_LEAP_YEAR}-02-29)"
)
_HOUR, _SIXTIETH = r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_SECOND = rf"[T ]{_HOUR}:{_SIXTIETH}:{_SIXTIETH}"
_CLOCK = rf"[T ]{_HOUR}(?::{_SIXTIETH}(?::{_SIXTIETH}(?:\.\d{{1,6}})?)?)?"
_OFFSET = rf"(?:Z|[+-]{_HOUR}(?::?{_SIXTIETH})?)"

NAIVE_TIMESTAMP = rf"^{_DATE}(?:{_CLOCK})?$"
ZONED_TIMESTAMP = rf"^{_DATE}{_CLOCK}{_OFFSET}$"
LONG_FRACTION = rf"^({_DATE}{_SECOND}\.\d{{6}})\d{{1,6}}({_OFFSET})?$"

_HOPELESS = re.compile(r"[^-+.:0-9TZ ]")


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
    microseconds = local.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    instants = pa.py_buffer(to_utc(microseconds, contract.source_time_zone))
    return pa.Array.from_buffers(INSTANT, len(local), [bitmap(valid(local)), instants])


def to_timestamps(text: pa.Array, column: Column, contract: Contract) -> pa.Array:
    """Convert texts to instants; null for a bad one."""
    if column.formats:
        values = pa.nulls(len(text), INSTANT)
        for form in column.formats:
            left = keep(text, ~valid(values))
            values = pc.coalesce(values, to_instants(_by_format(left, form), contract))
        return values
    plain = to_instants(decode_timestamps(text), contract)
    return convert_rest(text, plain, lambda rest: _other_timestamps(rest, contract), _HOPELESS)


def _other_timestamps(text: pa.Array, contract: Contract) -> pa.Array:
    longer = matches(text, LONG_FRACTION)
    if longer.any():
        # The clean zone keeps microseconds; finer digits are cut off.
        short = pc.replace_substring_regex(text, LONG_FRACTION, r"\1\2")
        text = pc.if_else(booleans(longer), short, text)
    naive, zoned = matches(text, NAIVE_TIMESTAMP), matches(text, ZONED_TIMESTAMP)
    if not (naive.any() or zoned.any()):
        return pa.nulls(len(text), INSTANT)
    return pc.coalesce(
        to_instants(keep(text, naive).cast(NAIVE), contract), keep(text, zoned).cast(INSTANT)
    )


def _by_format(text: pa.Array, form: str) -> pa.Array:
    """Convert texts by a strptime format, with offset where it has one; null for a bad one.

    strptime takes 31 February for 3 March, and second 60 for the next minute. No calendar has the
    first, and no other timestamp format of ours takes the second: both are bad.
    """
    parsed = pc.strptime(text, format=form, unit="us", error_is_null=True)
    written = keep(text, valid(parsed))
    local = parsed
    if parsed.type.tz is not None:
        # Fields are compared as they are written, so without their offset.
        written = pc.replace_substring_regex(written, r" *(?:Z|[+-]\d\d:?\d\d)$", "")
        form = re.sub(r"\s*%z$", "", form)
        local = pc.strptime(written, format=form, unit="us", error_is_null=True)
    rolled = np.zeros(len(text), bool)
    for directive, field in (("d", pc.day(local)), ("S", pc.second(local))):
        # What was rolled over has landed on one of the first three days or seconds.
        suspect = true(pc.less_equal(field, 3))
        pattern = _field_pattern(form, directive)
        if pattern is not None and suspect.any():
            parts = pc.extract_regex(keep(written, suspect), pattern)
            number = pc.struct_field(parts, 0).cast(pa.int32())
            rolled |= true(pc.not_equal(number, field.cast(pa.int32())))
    return pc.if_else(booleans(rolled), pa.scalar(None, parsed.type), parsed)


_LONG_FORMS = {
    "%D": "%m/%d/%y",
    "%F": "%Y-%m-%d",
    "%T": "%H:%M:%S",
    "%R": "%H:%M",
    "%e": "%d",
}


def _field_pattern(form: str, directive: str) -> str | None:
    """Build a pattern whose group is the number that a strptime directive reads.

    Returns:
        None where the format lacks the directive.
    """
    for short, long in _LONG_FORMS.items():
        form = form.replace(short, long)
    if f"%{directive}" not in form:
        return None
    pattern = ""
    for part in re.findall(r"%.|\s+|[^%\s]", form):
        if part == f"%{directive}":
            pattern += r"\s*(?P<field>[0-9]{1,2})"
        elif part.isspace() or part in ("%n", "%t"):
            pattern += r"\s*"
        elif part[0] == "%" and part != "%%":
            letters = part[1] in "aAbBhp"
            width = r"{1,4}" if part[1] == "Y" else r"{1,3}" if part[1] == "j" else r"{1,2}"
            pattern += r"\s*[A-Za-z]+" if letters else rf"\s*[0-9]{width}"
        else:
            pattern += re.escape(part[-1])
    return f"^{pattern}"
