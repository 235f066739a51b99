"""Times in the form of an example: the last day of 2025 as the file writes it (rule 22)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

from worker.recount.shop.months import WORD, is_december, number_of_month
from worker.recount.shop.numbers import BLANKS
from worker.recount.values import to_instant, zone

AS_WRITTEN = "as written"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

_OFFSET = r"[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?"
_ZONE = rf"(?:[ \t]*(?P<zone>Z|z|UTC|GMT|{_OFFSET}))?"
"""An offset may follow every date."""

_FRACTION = r"(?:[.,](?P<fraction>\d+))?"
_ISO = (
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    rf"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d){_FRACTION})?)?{_ZONE}"
)
_UNITS = {"seconds": 10**6, "milliseconds": 10**3}
"""Word of `dates` -> microseconds of its unit."""


@dataclass(frozen=True)
class Moment:
    """A time.

    Attributes:
        day: Of the contract's calendar.
        microseconds: Since 1970 in UTC.
    """

    day: date
    microseconds: int


@dataclass(frozen=True)
class Clock:
    """Zones of a contract."""

    day: str
    times: str

    def read(self, text: str, examples: Sequence[str]) -> Moment | None:
        """Read a time in the first form that the text has; None where it has none."""
        for example in examples:
            found = self._read_unix(text, example) or self._read_parts(text, example)
            if found is not None:
                return found
        return None

    def at(self, microseconds: int, day: date | None = None) -> Moment:
        """Return the moment of an instant.

        Args:
            microseconds: Since 1970 in UTC.
            day: As it was written; by default that of UTC.
        """
        instant = EPOCH + timedelta(microseconds=microseconds)
        if self.day != AS_WRITTEN:
            return Moment(instant.astimezone(zone(self.day)).date(), microseconds)
        return Moment(day or instant.date(), microseconds)

    def _read_unix(self, text: str, example: str) -> Moment | None:
        if example not in _UNITS or not re.fullmatch(r"-?\d{1,13}(\.\d*)?", text, re.ASCII):
            return None
        try:
            return self.at(int(text.partition(".")[0]) * _UNITS[example])
        except OverflowError:
            return None

    def _read_parts(self, text: str, example: str) -> Moment | None:
        found = None if example in _UNITS else re.fullmatch(_pattern(example), text, re.ASCII)
        if found is None:
            return None
        fields = {name: value for name, value in found.groupdict().items() if value}
        try:
            return self._moment(fields, example)
        except (ValueError, OverflowError):  # no calendar has it
            return None

    def _moment(self, fields: dict[str, str], example: str) -> Moment:
        local = datetime(
            int(fields["year"]) + (2000 if len(fields["year"]) == 2 else 0),
            _month(fields["month"], example),
            int(fields["day"]),
            _hour(fields),
            int(fields.get("minute", 0)),
            int(fields.get("second", 0)),
            int(fields.get("fraction", "0")[:6].ljust(6, "0")),
        )
        offset = _offset(fields.get("zone"))
        if offset is not None:
            instant = local.replace(tzinfo=UTC) - offset
        elif self.day == AS_WRITTEN:
            instant = local.replace(tzinfo=UTC)
        else:
            # A date alone is that day, whatever the zone of the times is.
            instant = to_instant(local, zone(self.times if "hour" in fields else self.day))
        return self.at((instant - EPOCH) // timedelta(microseconds=1), local.date())


def _month(text: str, example: str) -> int:
    return int(text) if text.isdigit() else number_of_month(text, example)


def _hour(fields: dict[str, str]) -> int:
    hour = int(fields.get("hour", 0))
    if "half" not in fields:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError("hour")
    return hour % 12 + (12 if fields["half"].lower() == "pm" else 0)


def _offset(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if text[0] not in "+-":
        return timedelta(0)
    size = timedelta(hours=int(text[1:3]), minutes=int(text[3:].strip(":") or 0))
    offset = -size if text[0] == "-" else size
    if not timedelta(hours=-12) <= offset <= timedelta(hours=14):
        raise ValueError("offset")
    return offset


_NUMBERS = {
    "2025": ("year", r"\d{4}"),
    "25": ("year", r"\d{2}"),
    "12": ("month", r"\d{1,2}"),
    "31": ("day", r"\d{1,2}"),
    "23": ("hour", r"\d{1,2}"),
    "11": ("hour", r"\d{1,2}"),
}
"""Number of an example -> the field that it names, and how others of it are written."""


def _names(full: Sequence[str]) -> str:
    return f"(?i:{'|'.join(f'{one}|{one[:3]}' for one in full)})"


_MONTH = r"(?P<month>[^\d\s.,/_-][^\d\s,/_-]*)"

_TEXTS = {
    **dict.fromkeys(("wednesday", "wed"), ("weekday", _names(WEEKDAYS))),
    **dict.fromkeys(("am", "pm"), ("half", "(?i:am|pm)")),
    **dict.fromkeys(("utc", "gmt", "z"), ("zone", f"Z|UTC|GMT|{_OFFSET}")),
}
"""Text of an example, in lower case -> likewise."""


@cache
def _pattern(example: str) -> str:
    """Make a pattern of an example, part by part."""
    if example == "iso":
        return _ISO
    pattern, seen = "", set[str]()
    bare = re.sub(r"(:\d\d)[ \t]*[+-]\d\d:?\d\d$", r"\1", example.strip())
    for part in re.findall(rf"{WORD}|\d+|.", bare):
        name, texts = _NUMBERS.get(part) or _TEXTS.get(part.lower(), ("", ""))
        if part == "59":
            name, texts = "second" if "minute" in seen else "minute", r"\d\d"
        seen.add(name)
        if name:
            pattern += f"(?P<{name}>{texts})" + (_FRACTION if name == "second" else "")
        elif is_december(part):
            pattern += _MONTH
        elif part[0].isalpha():
            pattern += part if part == "T" else f"(?i:{re.escape(part.rstrip('.'))})\\.?"
        else:
            pattern += "[ \u00a0\u202f]+" if part in BLANKS else re.escape(part)
    return pattern + ("" if "zone" in seen else _ZONE)
