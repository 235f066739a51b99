"""Parse one value by the rules of `docs/contract.md`; None for a text that breaks them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

BLANKS = "".join(
    chr(code)
    for code in (
        *range(0x09, 0x0E),
        *range(0x1C, 0x21),
        *(0x85, 0xA0, 0x1680, 0x180E),
        *range(0x2000, 0x200C),
        *(0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF),
    )
)
"""Unicode's White_Space, and five more characters that show nothing."""

FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""Instants that every time zone shows in the years 1 to 9999."""

_WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN)
_ROUNDING = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN)

_MAX_EXPONENT_DIGITS = 6
"""Digits of an exponent beyond which a decimal is 0 or too large for any column."""


@lru_cache(maxsize=10_000)
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


_ZONE = r"(?P<z> ?(?:[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?))"
_FRACTION = r"(?:[.,](?P<f>\d{1,18}))"
_EXTENDED = (
    r"(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)"
    rf"(?:[Tt ](?P<H>\d\d)(?::(?P<M>\d\d)(?::(?P<S>\d\d){_FRACTION}?)?)?{_ZONE}?)?"
)
_BASIC = (
    r"(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d)"
    rf"(?:[Tt ](?P<H>\d\d)(?:(?P<M>\d\d)(?:(?P<S>\d\d){_FRACTION}?)?)?{_ZONE}?)?"
)
_ISO = tuple(re.compile(pattern, re.ASCII) for pattern in (_EXTENDED, _BASIC))

_EPOCHS = {"seconds": 10**6, "milliseconds": 10**3}
"""Word of `formats` -> microseconds of the unit that it counts since 1970."""


@dataclass(frozen=True)
class Zones:
    """Time zones of a contract.

    Attributes:
        source: Of timestamps that carry no offset.
        business: Of dates alone, and of order dates.
    """

    source: ZoneInfo
    business: ZoneInfo


def parse_timestamp(text: str, formats: Sequence[str], zones: Zones) -> datetime | None:
    """Parse a timestamp by the first format that reads it; ISO 8601 where there is none."""
    for form in formats or ("ISO 8601",):
        if form in _EPOCHS:
            found = _parse_epoch(text, _EPOCHS[form])
        else:
            patterns = _ISO if form == "ISO 8601" else (_format_pattern(form),)
            matches = (pattern.fullmatch(text) for pattern in patterns)
            match = next((one for one in matches if one is not None), None)
            found = None if match is None else _instant(match.groupdict(), zones)
        if found is not None:
            return found
    return None


def _parse_epoch(text: str, unit: int) -> datetime | None:
    match = re.fullmatch(r"(-?)(\d{1,18})(?:\.(\d{1,18}))?", text, re.ASCII)
    if match is None:
        return None
    places = len(str(unit)) - 1
    microseconds = int(match[2]) * unit + int((match[3] or "")[:places].ljust(places, "0"))
    try:
        since = timedelta(microseconds=-microseconds if match[1] else microseconds)
        return datetime(1970, 1, 1, tzinfo=UTC) + since
    except OverflowError:
        return None


_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
_SHORT = {"%D": "%m/%d/%y", "%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%h": "%b"}
_PATTERNS = {
    **dict.fromkeys("mdHIMS", r"\d{1,2}"),
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "j": r"\d{1,3}",
    "f": r"\d{1,18}",
    "b": "[A-Za-z]+",
    "a": "[A-Za-z]+",
    "p": "[AaPp][Mm]",
    "z": r" *(?:Z|[+-]\d\d(?::?\d\d)?)",
}
"""Field -> pattern of its text."""


@cache
def _format_pattern(form: str) -> re.Pattern[str]:
    """Build a pattern whose groups are the fields of a strptime format."""
    for short, long in _SHORT.items():
        form = form.replace(short, long)
    pattern = ""
    for part in re.findall(r"%.|\s+|[^%\s]", form, re.DOTALL):
        directive = {"B": "b", "A": "a"}.get(part[-1], part[-1])
        if part.isspace() or part in ("%n", "%t"):
            pattern += r"\s*"
        elif part[0] != "%" or part == "%%":
            pattern += re.escape(part[-1])
        elif directive == "e":
            pattern += r" ?(?P<d>\d{1,2})"
        else:
            pattern += f"(?P<{directive}>{_PATTERNS[directive]})"
    return re.compile(pattern, re.ASCII)


def _instant(groups: Mapping[str, str | None], zones: Zones) -> datetime | None:
    """Build an instant from the fields of a timestamp; None where no calendar or clock has them."""
    fields = {name: text for name, text in groups.items() if text}
    try:
        local = datetime.combine(_date(fields), _clock(fields))
        offset = _offset(fields.get("z"))
        if offset is not None:
            return local.replace(tzinfo=timezone(offset)).astimezone(UTC)
        is_date_only = "H" not in fields and "I" not in fields
        return to_instant(local, zones.business if is_date_only else zones.source)
    except (ValueError, OverflowError):
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
    month = _month(fields["b"].lower()) if "b" in fields else int(fields.get("m", 1))
    return date(year, month, int(fields.get("d", 1)))


def _month(name: str) -> int:
    for number, full in enumerate(_MONTHS, start=1):
        if name in (full, full[:3]):
            return number
    raise ValueError("month")


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
    text = text.strip()
    if text in ("Z", "z", "UTC", "GMT"):
        return timedelta(0)
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    size = timedelta(hours=hours, minutes=minutes)
    offset = -size if text[0] == "-" else size
    if minutes > 59 or not timedelta(hours=-12) <= offset <= timedelta(hours=14):
        raise ValueError("offset")
    return offset
