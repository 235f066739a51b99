"""Parse one value by the rules of `docs/contract.md`; None for a text that breaks them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from functools import cache
from zoneinfo import ZoneInfo

BLANKS = "".join(
    chr(code)
    for code in (
        *range(0x09, 0x0E),
        *(0x20, 0x85, 0xA0, 0x1680),
        *range(0x2000, 0x200B),
        *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF),
    )
)
"""Unicode's White_Space, and U+FEFF."""

FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""Instants that every time zone shows in the years 1 to 9999."""

_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN)
_ROUNDING = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN)

_MAX_EXPONENT_DIGITS = 6
"""Digits of an exponent beyond which a decimal is 0 or too large for any column."""


def fold(text: str) -> str:
    """Fold a text for comparison: no outer blanks, no case, canonical form, one letter i."""
    text = unicodedata.normalize("NFD", text.strip(BLANKS)).casefold()
    text = unicodedata.normalize("NFD", text).replace("i\u0307", "i").replace("\u0131", "i")
    return unicodedata.normalize("NFC", text)


_INTEGER = re.compile(r"-?[0-9]+")


def parse_integer(text: str) -> int | None:
    """Parse a 64-bit integer: an optional minus, ASCII digits."""
    if _INTEGER.fullmatch(text) is None:
        return None
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text)
    digits = digits.lstrip("0") or "0"
    if len(digits) > 19:
        return None
    value = int(sign + digits)
    return value if -(2**63) <= value < 2**63 else None


def parse_uuid(text: str) -> str | None:
    """Parse a UUID; its text in lower case is its canonical form."""
    digits = r"[0-9a-fA-F]"
    pattern = "-".join(rf"{digits}{{{count}}}" for count in (8, 4, 4, 4, 12))
    return text.lower() if re.fullmatch(pattern, text) else None


def parse_decimal(text: str, *, precision: int, scale: int, rounds: bool) -> Decimal | None:
    """Parse a decimal, rounded half-even once to `scale` places.

    Args:
        text: An optional sign, digits with an optional point, an optional exponent.
        precision: Digits in all.
        scale: Digits behind the point.
        rounds: Whether excess digits are rounded; otherwise they make the text bad.
    """
    match = re.fullmatch(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?)([0-9]+))?", text)
    if match is None:
        return None
    exact = Decimal(match[1], _WIDE)
    digits = (match[3] or "").lstrip("0")
    if len(digits) > _MAX_EXPONENT_DIGITS:
        digits = "9" * _MAX_EXPONENT_DIGITS
    exponent = int(f"{match[2] or ''}{digits or 0}")
    step = Decimal(1).scaleb(-scale)
    if not exact:
        return Decimal(0).quantize(step)
    exact = exact.scaleb(exponent, _WIDE)
    if exact.adjusted() >= precision - scale:
        return None
    if exact.adjusted() < -scale - 1:
        return Decimal(0).quantize(step) if rounds else None
    rounded = exact.quantize(step, context=_ROUNDING)
    if abs(rounded) >= Decimal(1).scaleb(precision - scale):
        return None
    return rounded if rounds or rounded == exact else None


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name."""
    return ZoneInfo(name)


def to_instant(local: datetime, time_zone: ZoneInfo) -> datetime:
    """Convert a local time to the instant that it names.

    An hour that a clock change repeats is its first occurrence; one that it skips is the change.
    """
    if time_zone.key == "UTC":
        return local.replace(tzinfo=UTC)
    early = local.replace(tzinfo=time_zone, fold=0)
    before, after = early.utcoffset(), early.replace(fold=1).utcoffset()
    if before is None or after is None:
        raise ValueError(f"time zone {time_zone} has no offset at {local}")
    if after <= before:
        return (local - before).replace(tzinfo=UTC)
    # Skipped: the clocks change between the two readings.
    low, high = ((local - one).replace(tzinfo=UTC) for one in (after, before))
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(time_zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


_DATE = r"(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)"
_CLOCK = r"(?P<H>\d\d)(?::(?P<M>\d\d)(?::(?P<S>\d\d)(?:\.(?P<f>\d{1,12}))?)?)?"
_OFFSET = r"(?P<z>Z|[+-]\d\d(?::?\d\d)?)"
_ISO = re.compile(rf"{_DATE}(?:[T ]{_CLOCK}{_OFFSET}?)?", re.ASCII)


def parse_iso(text: str, source_zone: ZoneInfo) -> datetime | None:
    """Parse an ISO 8601 timestamp; one without offset is in the source time zone."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    fields = {name: value for name, value in match.groupdict().items() if value is not None}
    return _instant(fields, source_zone)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
_DAYS = ("mon", "tues?", "wed(?:nes)?", "thu(?:rs)?", "fri", "sat(?:ur)?", "sun")
_SHORT = {"%D": "%m/%d/%y", "%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%e": "%d"}
_PATTERNS = {
    "Y": r"(?P<Y>[0-9]{4})",
    "y": r"(?P<y>[0-9]{1,2})",
    "m": r"\s*(?P<m>[0-9]{1,2})",
    "d": r"\s*(?P<d>[0-9]{1,2})",
    "j": r"\s*(?P<j>[0-9]{1,3})",
    "H": r"\s*(?P<H>[0-9]{1,2})",
    "I": r"\s*(?P<I>[0-9]{1,2})",
    "M": r"\s*(?P<M>[0-9]{1,2})",
    "S": r"\s*(?P<S>[0-9]{1,2})",
    "p": r"\s*(?P<p>[aApP][mM])",
    "z": r"\s*(?P<z>Z|[+-][0-9]{2}:?[0-9]{2})",
    "%": "%",
}


@cache
def _format_pattern(form: str) -> re.Pattern[str]:
    """Build a pattern whose groups are the fields of a strptime format."""
    for short, long in _SHORT.items():
        form = form.replace(short, long)
    pattern = ""
    for part in re.findall(r"%.|\s+|[^%\s]", form, re.DOTALL):
        if part.isspace() or part in ("%n", "%t"):
            pattern += r"\s*"
        elif part[0] != "%":
            pattern += re.escape(part)
        elif part[1] in "bBh":
            pattern += rf"\s*(?P<b>{'|'.join((*_FULL_MONTHS, *_MONTHS))})"
        elif part[1] in "aA":
            pattern += rf"\s*(?:(?:{'|'.join(_DAYS)})(?:day)?)"
        else:
            pattern += _PATTERNS[part[1]]
    return re.compile(pattern, re.IGNORECASE)


def parse_format(text: str, form: str, source_zone: ZoneInfo) -> datetime | None:
    """Parse a timestamp by a strptime format; without offset it is in the source time zone."""
    match = _format_pattern(form).fullmatch(text)
    if match is None:
        return None
    fields = {name: value for name, value in match.groupdict().items() if value is not None}
    return _instant(fields, source_zone)


def _instant(fields: dict[str, str], source_zone: ZoneInfo) -> datetime | None:
    """Build an instant from the fields of a timestamp; None where no calendar or clock has them."""
    try:
        local = datetime.combine(_date(fields), _clock(fields))
        offset = _offset(fields.get("z"))
    except ValueError:
        return None
    try:
        if offset is None:
            return to_instant(local, source_zone)
        return local.replace(tzinfo=timezone(offset)).astimezone(UTC)
    except OverflowError:
        return None


def _date(fields: dict[str, str]) -> date:
    if "Y" in fields:
        year = int(fields["Y"])
    else:
        short = int(fields["y"])
        year = short + (2000 if short < 69 else 1900)  # POSIX
    if "j" in fields:
        day_of_year = int(fields["j"])
        found = date(year, 1, 1) + timedelta(days=day_of_year - 1)
        if day_of_year < 1 or found.year != year:
            raise ValueError("day of year")
        return found
    name = fields.get("b")
    month = _MONTHS.index(name.lower()[:3]) + 1 if name else int(fields.get("m", 1))
    return date(year, month, int(fields.get("d", 1)))


def _clock(fields: dict[str, str]) -> time:
    hour = int(fields.get("H", 0))
    if "I" in fields:
        twelve = int(fields["I"])
        if not 1 <= twelve <= 12:
            raise ValueError("hour")
        hour = twelve % 12 + (12 if fields.get("p", "am").lower() == "pm" else 0)
    microseconds = int(fields.get("f", "0")[:6].ljust(6, "0"))
    return time(hour, int(fields.get("M", 0)), int(fields.get("S", 0)), microseconds)


def _offset(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if text in "Zz":
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    if hours > 23 or minutes > 59:
        raise ValueError("offset")
    size = timedelta(hours=hours, minutes=minutes)
    return -size if text[0] == "-" else size


Parser = Callable[[str], object]
"""Parses the text of one column; None for a bad one."""
