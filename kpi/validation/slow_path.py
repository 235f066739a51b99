"""Text to typed columns: the careful way, for chunks in which some value is bad.

The quick way (`kpi.validation.parser`) lets `pyarrow.csv` convert whole columns and learns only
that one value failed. Here each value is judged on its own, and the verdict must be the same in
both. So the converter's grammar is written out below as patterns: what matches is cast in bulk,
what cannot match is bad, and only decimals of a rare form are put to the converter one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from kpi.contract.arrow_types import INSTANT, arrow_type
from kpi.contract.model import Column, Contract
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import booleans, true, valid
from kpi.kernels.uuids import parse_uuids
from kpi.validation.swar import plain_decimals, plain_integers, plain_timestamps

NAIVE = pa.timestamp("us")

RAW_DICTIONARY = pa.dictionary(pa.int32(), pa.binary())
"""Raw texts, of which few differ."""

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
FEW, SHORT = 300, 100
"""Up to so many values are sooner matched one by one than a pattern is compiled for all, which
Arrow does at each call; if none has more characters than this, since Python's patterns go back and
forth: their time may grow with the square of the length, that of Arrow's (RE2) does not."""

NAIVE_TIMESTAMP = rf"^{_DATE}(?:{_CLOCK})?$"
ZONED_TIMESTAMP = rf"^{_DATE}{_CLOCK}{_OFFSET}$"
LONG_FRACTION = rf"^({_DATE}{_SECOND}\.\d{{6}})\d{{1,6}}({_OFFSET})?$"

_MOST_DIGITS = len(str(2**63))

PLAIN_INTEGER = r"^-?[0-9]{1,18}$"
DECIMAL = r"^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"

_IN_NO_INTEGER = re.compile(r"[^-0-9 \t]")
_IN_NO_DECIMAL = re.compile(r"[^-+.0-9eE \t]")
_IN_NO_TIMESTAMP = re.compile(r"[^-+.:0-9TZ ]")
"""Characters of which one is enough to tell what most bad values are, without asking Arrow, where
each question takes as long as fifty of these."""


def convert(text: pa.Array, column: Column, contract: Contract) -> tuple[pa.Array, Mask, Mask]:
    """Judge each value of a column.

    Args:
        text: `pa.binary()`, null for no value; `RAW_DICTIONARY` where its texts are wanted as a
            dictionary too.
        column: What the text must be.
        contract: Says where its timestamps were taken.

    Returns:
        The values in the column's type, null where there is none or it is bad; which values are
        bad; which of the bad ones are not even UTF-8.
    """
    if text.type == RAW_DICTIONARY:
        return _decoded_dictionary(text)
    strings, undecodable = decoded(text)
    if column.type == "string":
        return strings, undecodable, undecodable
    if column.type == "integer":
        values = _to_integers(strings)
    elif column.type == "decimal":
        values = _to_decimals(strings, column)
    elif column.type == "uuid":
        values = parse_uuids(strings)
    else:
        values = _to_timestamps(strings, column, contract)
    return values, undecodable | (valid(strings) & ~valid(values)), undecodable


def decoded(text: pa.Array) -> tuple[pa.Array, Mask]:
    """A binary array as texts, null where they are not UTF-8; and where that is."""
    undecodable = np.zeros(len(text), bool)
    validity, offsets_buffer, data = text.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[text.offset :][: len(text) + 1]
    codes = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    if len(codes) == 0 or int(codes.max()) < 0x80:
        # ASCII, seen at a glance.
        buffers = [validity, offsets_buffer, data]
        return pa.Array.from_buffers(
            pa.string(), len(text), buffers, text.null_count, text.offset
        ), undecodable
    try:
        return text.cast(pa.string()), undecodable
    except pa.ArrowInvalid:
        high = np.flatnonzero(codes >= 0x80) + int(offsets[0])
        rows = np.unique(np.searchsorted(offsets, high, side="right") - 1)
        for row in rows:
            value = text[int(row)].as_py()
            try:
                (value or b"").decode("utf-8")
            except UnicodeDecodeError:
                undecodable[row] = True
    decodable = pc.if_else(booleans(undecodable), pa.scalar(None, pa.binary()), text)
    return decodable.cast(pa.string()), undecodable


def _decoded_dictionary(text: pa.DictionaryArray) -> tuple[pa.DictionaryArray, Mask, Mask]:
    """As `convert`, looking once at each of the texts that differ."""
    texts, undecodable = decoded(text.dictionary)
    if not undecodable.any():
        none = np.zeros(len(text), bool)
        return pa.DictionaryArray.from_arrays(text.indices, texts), none, none
    places = pa.array(np.cumsum(~undecodable, dtype=np.int32) - 1, pa.int32(), mask=undecodable)
    indices = places.take(text.indices)
    bad = valid(text.indices) & ~valid(indices)
    return pa.DictionaryArray.from_arrays(indices, texts.drop_null()), bad, bad


def to_instants(local: pa.Array, contract: Contract) -> pa.Array:
    """Timestamps as instants; those without offset are read in the contract's source time zone.

    An hour that a clock change repeats is taken the first time; one that it skips, at the change.
    """
    if local.type.tz is None and contract.source_time_zone != "UTC":
        local = pc.assume_timezone(
            local, contract.source_time_zone, ambiguous="earliest", nonexistent="latest"
        )
    return local.cast(INSTANT)


def within_precision(decimals: pa.Array) -> bool:
    """Whether decimals surely have no more digits than their type.

    The CSV converter counts digits before it scales, so it lets 12345678901234 pass as a decimal
    of 15 digits, 2 of them behind the point. Values behind nulls count too.
    """
    if len(decimals) == 0:
        return True
    words = np.frombuffer(decimals.buffers()[1], np.int64)[2 * decimals.offset :]
    # 16 bytes a value, little endian: the low word holds the value, the high one its sign.
    low, high = words[0 : 2 * len(decimals) : 2], words[1 : 2 * len(decimals) : 2]
    limit = 10**decimals.type.precision
    return bool(((high == low >> 63) & (low < limit) & (low > -limit)).all())


def _with_odd(
    text: pa.Array,
    values: pa.Array,
    read: Callable[[pa.Array], pa.Array],
    hopeless: re.Pattern[str],
) -> pa.Array:
    """The values of plain texts, and of the others, where they are null, what `read` makes of
    them; nothing of those in which `hopeless` is found."""
    odd = valid(text) & ~valid(values)
    places = np.flatnonzero(odd)
    if len(places) <= FEW:
        # Not those among the others, for which each question would be asked in vain.
        lost = [hopeless.search(text[place].as_py()) is not None for place in places.tolist()]
        odd[places[lost]] = False
        places = places[~np.array(lost, bool)]
        if not len(places):
            return values
    found = read(text.take(pa.array(places)))
    if found.null_count == len(found):
        return values
    return pc.replace_with_mask(values, booleans(odd), found)


def _to_integers(text: pa.Array) -> pa.Array:
    return _with_odd(text, plain_integers(text), _odd_integers, _IN_NO_INTEGER)


def _odd_integers(text: pa.Array) -> pa.Array:
    plain = _matches(text, PLAIN_INTEGER)
    values = _keep(text, plain).cast(pa.int64())
    odd = valid(text) & ~plain
    if odd.any():
        found = _one_by_one(text.filter(booleans(odd)), _odd_integer, pa.int64())
        values = pc.replace_with_mask(values, booleans(odd), found)
    return values


def _odd_integer(text: str) -> int | None:
    text = text.strip(" \t")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    digits = digits.lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS:
        return None
    number = -int(digits) if text.startswith("-") else int(digits)
    return number if -(2**63) <= number < 2**63 else None


def _to_decimals(text: pa.Array, column: Column) -> pa.Array:
    plain = plain_decimals(text, column)
    return _with_odd(text, plain, lambda odd: _odd_decimals(odd, column), _IN_NO_DECIMAL)


def _odd_decimals(text: pa.Array, column: Column) -> pa.Array:
    whole, scale = column.precision - column.scale, column.scale
    point = rf"\.[0-9]{{0,{scale}}}" if scale else r"\."
    integral = rf"0*[0-9]{{1,{whole}}}" if whole else "0+"
    bare = rf"|0*\.[0-9]{{1,{scale}}}" if scale else ""
    simple = rf"^-?(?:{integral}(?:{point})?{bare})$"
    plain = _matches(text, simple)
    values = _keep(text, plain).cast(arrow_type(column))
    odd = valid(text) & ~plain
    if not odd.any():
        return values
    # The converter passes over blanks and a plus sign, and zeros that the scale has no room for
    # as long as they do not make more digits than the precision.
    rest = pc.ascii_trim(text.filter(booleans(odd)), " \t")
    rest = pc.replace_substring_regex(rest, r"^\+([0-9.])", r"\1")
    short = pc.less_equal(pc.binary_length(rest), column.precision)
    cut = pc.replace_substring_regex(rest, rf"^(-?[0-9]+\.[0-9]{{{scale}}})0+$", r"\1")
    rest = pc.if_else(short, cut, rest)
    plain = _matches(rest, simple)
    found = _keep(rest, plain).cast(arrow_type(column))
    too_fine = rf"^-?[0-9]*\.[0-9]{{{scale}}}[0-9]*[1-9][0-9]*$"
    too_large = rf"^-?0*[1-9][0-9]{{{whole}}}[0-9]*(?:\.[0-9]*)?$"
    rare = _matches(rest, DECIMAL) & ~plain & ~_matches(rest, rf"{too_fine}|{too_large}")
    if rare.any():
        settled = _one_by_one(
            rest.filter(booleans(rare)),
            lambda one: _rare_decimal(one, column),
            arrow_type(column),
        )
        found = pc.replace_with_mask(found, booleans(rare), settled)
    return pc.replace_with_mask(values, booleans(odd), found)


def _rare_decimal(text: str, column: Column) -> Decimal | None:
    """One value by the rules of the quick way; None where it is bad."""
    try:
        table = pacsv.read_csv(
            pa.BufferReader(text.encode() + b",\n"),
            read_options=pacsv.ReadOptions(column_names=["value", "end"], use_threads=False),
            convert_options=pacsv.ConvertOptions(
                column_types={"value": arrow_type(column)},
                include_columns=["value"],
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None
    value = table.column("value").combine_chunks()
    return value[0].as_py() if within_precision(value) else None


def _to_timestamps(text: pa.Array, column: Column, contract: Contract) -> pa.Array:
    if column.formats:
        values = pa.nulls(len(text), INSTANT)
        for form in column.formats:
            left = _keep(text, ~valid(values))
            values = pc.coalesce(values, to_instants(_by_format(left, form), contract))
        return values
    plain = to_instants(plain_timestamps(text), contract)
    return _with_odd(text, plain, lambda odd: _odd_timestamps(odd, contract), _IN_NO_TIMESTAMP)


def _odd_timestamps(text: pa.Array, contract: Contract) -> pa.Array:
    longer = _matches(text, LONG_FRACTION)
    if longer.any():
        # The clean zone keeps microseconds; what is finer is cut off.
        short = pc.replace_substring_regex(text, LONG_FRACTION, r"\1\2")
        text = pc.if_else(booleans(longer), short, text)
    naive, zoned = _matches(text, NAIVE_TIMESTAMP), _matches(text, ZONED_TIMESTAMP)
    if not (naive.any() or zoned.any()):
        return pa.nulls(len(text), INSTANT)
    return pc.coalesce(
        to_instants(_keep(text, naive).cast(NAIVE), contract), _keep(text, zoned).cast(INSTANT)
    )


def _by_format(text: pa.Array, form: str) -> pa.Array:
    """Timestamps of a strptime format, with offset where it has one; null where there is none.

    strptime takes 31 February for 3 March and second 60 for the next minute. No calendar shows
    the one and no other timestamp of ours the other: both are bad.
    """
    parsed = pc.strptime(text, format=form, unit="us", error_is_null=True)
    written = _keep(text, valid(parsed))
    local = parsed
    if parsed.type.tz is not None:
        # Fields are compared as they are written, so without their offset.
        written = pc.replace_substring_regex(written, r" *(?:Z|[+-]\d\d:?\d\d)$", "")
        form = re.sub(r"\s*%z$", "", form)
        local = pc.strptime(written, format=form, unit="us", error_is_null=True)
    rolled = np.zeros(len(text), bool)
    for directive, field in (("d", pc.day(local)), ("S", pc.second(local))):
        # What was rolled over has landed on the first three days or seconds.
        suspect = true(pc.less_equal(field, 3))
        pattern = _field_pattern(form, directive)
        if pattern is not None and suspect.any():
            parts = pc.extract_regex(_keep(written, suspect), pattern)
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
    """A pattern whose group is the number that a strptime directive reads; None without it."""
    for short, long in _LONG_FORMS.items():
        form = form.replace(short, long)
    if f"%{directive}" not in form:
        return None
    pattern = ""
    for piece in re.findall(r"%.|\s+|[^%\s]", form):
        if piece == f"%{directive}":
            pattern += r"\s*(?P<field>[0-9]{1,2})"
        elif piece.isspace() or piece in ("%n", "%t"):
            pattern += r"\s*"
        elif piece[0] == "%" and piece != "%%":
            letters = piece[1] in "aAbBhp"
            width = r"{1,4}" if piece[1] == "Y" else r"{1,3}" if piece[1] == "j" else r"{1,2}"
            pattern += r"\s*[A-Za-z]+" if letters else rf"\s*[0-9]{width}"
        else:
            pattern += re.escape(piece[-1])
    return f"^{pattern}"


def _one_by_one(text: pa.Array, read: Callable[[str], object], kind: pa.DataType) -> pa.Array:
    """What `read` makes of each value, looking once at each of those that differ."""
    encoded = text.dictionary_encode()
    found = pa.array([read(one) for one in encoded.dictionary.to_pylist()], kind)
    return found.take(encoded.indices)


def _matches(text: pa.Array, pattern: str) -> Mask:
    """Which values match; False for null."""
    values = text.to_pylist() if len(text) <= FEW else None
    if values is None or any(value is not None and len(value) > SHORT for value in values):
        return true(pc.match_substring_regex(text, pattern))
    match = _compiled(pattern).match
    return np.array([value is not None and match(value) is not None for value in values], bool)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of RE2 as one of Python, whose $ also stands before a line feed at the end."""
    return re.compile(pattern.replace("$", r"\Z"), re.ASCII)


def _keep(text: pa.Array, keep: Mask) -> pa.Array:
    return pc.if_else(booleans(keep), text, pa.scalar(None, pa.string()))
