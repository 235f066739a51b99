"""Forms of numbers and dates, read from the examples that a contract gives."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kpi.contract.month_names import NAME_PATTERN, december_names, fold, names_like
from kpi.contract.utc_offsets import OFFSET, OFFSET_WITH_MINUTES

SPACES = " \u00a0\u202f\u2009"
"""Characters that are one and the same as a grouping mark: blank, no-break and thin blanks."""

EXAMPLE_NUMBER = re.compile(
    r"(?P<prefix>[^\d]*)1(?P<group>[^\d]?)234(?P<decimal>[^\d])50*(?P<suffix>[^\d]*)"
)
"""How a contract writes 1234.5."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

ISO_DATE = "iso"
UNIX_SECONDS, UNIX_MILLISECONDS = "seconds", "milliseconds"

ZONE = rf"[ \t]*(?P<zone>Z|z|UTC|GMT|{OFFSET})?"
"""An offset may follow every date."""

_CLOCK = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
_SECOND = r":(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9})[0-9]*)?"

COMPACT_DATE = "20251231"
"""The basic format of ISO 8601 (4.1.2.2 of its edition of 2004): eight digits."""

_COMPACT_PATTERN = "(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"

ISO_PATTERN = (
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    rf"(?:[Tt ]{_CLOCK.replace('{1,2}', '{2}')}(?:{_SECOND})?)?{ZONE}"
)


@dataclass(frozen=True)
class NumberForm:
    """How a file writes numbers.

    Attributes:
        decimal: Mark before the decimals.
        group: Mark between groups of digits; empty for none.
        prefix: Text before a number, such as `$`, which may be missing.
        suffix: Text behind a number, which may be missing.
    """

    decimal: str = "."
    group: str = ""
    prefix: str = ""
    suffix: str = ""

    @classmethod
    def of_example(cls, example: str) -> NumberForm | None:
        """Read the form off 1234.5 as the file writes it; None where the example is unclear."""
        found = EXAMPLE_NUMBER.fullmatch(example.strip())
        if found is None or found["decimal"] == found["group"]:
            return None
        if found["decimal"] in SPACES or re.search("[-+()]", found["prefix"] + found["suffix"]):
            return None
        group = " " if found["group"] and found["group"] in SPACES else found["group"]
        return cls(found["decimal"], group, found["prefix"].strip(), found["suffix"].strip())

    @property
    def pattern(self) -> str:
        """Regular expression of the digits: whole, fraction and exponent."""
        point = re.escape(self.decimal)
        whole = "[0-9]+"
        if self.group:
            mark = f"[{SPACES}]" if self.group == " " else re.escape(self.group)
            whole = f"[0-9]{{1,3}}(?:{mark}[0-9]{{2,3}})*{mark}[0-9]{{3}}|[0-9]+"
        return (
            rf"(?P<whole>{whole})?(?:{point}(?P<fraction>[0-9]*))?"
            r"(?:[eE](?P<exponent>[+-]?[0-9]{1,3}))?"
        )


@dataclass(frozen=True)
class DateForm:
    """How a file writes a date and time.

    Attributes:
        example: As in the contract; `iso`, `seconds` or `milliseconds` name a form.
        pattern: Regular expression with the groups year, month, day, hour, minute, second,
            fraction, half and zone, as far as the form has them; empty for numbers of Unix time.
    """

    example: str
    pattern: str

    @property
    def december(self) -> str:
        """Name of the month in the example; empty where months are numbers."""
        if NAME_PATTERN not in self.pattern:
            return ""
        return next(one for one in _TOKEN.findall(self.example) if fold(one) in december_names())

    @classmethod
    def of_example(cls, example: str) -> DateForm | None:
        """Read the form off the last day of 2025 as the file writes it; None where unclear.

        Raises:
            AmbiguousNameError: The month's name is of languages that read another name otherwise.
        """
        if example in (UNIX_SECONDS, UNIX_MILLISECONDS):
            return cls(example, "")
        if example == ISO_DATE:
            return cls(example, ISO_PATTERN)
        pattern = ""
        fields: list[str] = []
        without_zone = re.sub(r"(:[0-9]{2})[ \t]*[+-][0-9]{2}:?[0-9]{2}$", r"\1", example.strip())
        for text in _TOKEN.findall(without_zone):
            if text == COMPACT_DATE and not fields:
                fields += ["year", "month", "day"]
                pattern += _COMPACT_PATTERN
                continue
            name, part = _token(text, fields)
            if part is None or name in fields:
                return None
            if name:
                fields.append(name)
            pattern += part
        if not {"year", "month", "day"} <= set(fields):
            return None
        if ("11" in re.findall("[0-9]+", without_zone)) != ("half" in fields):
            return None
        if "second" in fields:
            pattern = pattern.replace(":(?P<second>[0-9]{2})", _SECOND)
        if "zone" not in fields:
            pattern += ZONE
        return cls(example, pattern)


ISO = DateForm(ISO_DATE, ISO_PATTERN)


_WORD_CHARACTER = "[^0-9\\s\u00a0\u202f.,:/_+()-]"
_TOKEN = re.compile(
    rf"[^\W\d_]{_WORD_CHARACTER}*(?:\.[^\W\d_]{_WORD_CHARACTER}*)*(?:\.(?=\s|$))?|[0-9]+|\W|_"
)
"""A word with the points of an abbreviation, a number, or a character between them."""

_NAMES = {
    "weekday": ("|".join((*WEEKDAYS, *(day[:3] for day in WEEKDAYS))), {"wednesday", "wed"}),
    "half": ("am|pm", {"am", "pm"}),
}
"""Field -> its names, and those of the last day of 2025, a Wednesday."""

_UNITS = frozenset(
    {
        *("\u5e74", "\u6708", "\u65e5", "\ub144", "\uc6d4", "\uc77c"),
        *("de", "del", "\u0433", "\u0440", "r", "m", "d", "gada"),
        *("h", "hs", "hrs", "uhr"),
    }
)
"""Words beside the numbers of a date in CLDR's patterns: year, month and day of Chinese, Japanese
and Korean; `of` in Spanish, Portuguese and Catalan; the year's abbreviation in Russian, Ukrainian,
Polish, Lithuanian and Latvian. Hours of English, German and Spanish; `hs` is their plural on the
River Plate."""

_NUMBERS = {"2025": "year", "25": "year", "12": "month", "31": "day", "23": "hour", "11": "hour"}
"""Number in an example -> the field that it names; 59 is a minute or a second."""


def _token(text: str, fields: list[str]) -> tuple[str, str | None]:
    """Name the field of a part of an example, and give the expression of its values."""
    if text == "59":
        name = "second" if "minute" in fields else "minute"
        return name, f"(?P<{name}>[0-9]{{2}})"
    if text in _NUMBERS:
        name = _NUMBERS[text]
        width = f"{{{len(text)}}}" if name == "year" else "{1,2}"
        return name, f"(?P<{name}>[0-9]{width})"
    for name, (pattern, examples) in _NAMES.items():
        if text.lower() in examples:
            return name, f"(?P<{name}>(?i:{pattern}))"
    if text in ("UTC", "GMT", "Z"):
        return "zone", f"(?P<zone>Z|UTC|GMT|{OFFSET_WITH_MINUTES})"
    if text[0].isalnum():
        return _word(text)
    return "", "[ \u00a0\u202f]+" if text in SPACES else re.escape(text)


def _word(text: str) -> tuple[str, str | None]:
    """Name the field of a word of an example."""
    if text == "T":
        return "", text
    word = fold(text)
    if word in _UNITS:
        return "", rf"(?i:{word})\.?"
    if word not in december_names():
        return "", None
    names_like(word)
    return "month", f"(?P<month>{NAME_PATTERN})"
