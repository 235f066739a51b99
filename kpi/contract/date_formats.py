"""Formats of timestamps: strptime directives, compiled to patterns, and words for other forms.

Compiled here and not left to a strptime, whose years have one to four digits, whose offsets reach
+25:00, and whose 31 February is 3 March.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from kpi.contract.utc_offsets import OFFSET

ISO_8601, SECONDS, MILLISECONDS = "ISO 8601", "seconds", "milliseconds"
"""Words of `formats`: the default, and times since 1970-01-01T00:00:00Z."""

FORMAT_WORDS = (ISO_8601, SECONDS, MILLISECONDS)

MAX_FORMAT_CHARACTERS = 200

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_LONG_FORMS = {"%D": "%m/%d/%y", "%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%h": "%b"}
_NUMBER, _NAME = r"\d{1,2}", "[A-Za-z]+"
_DIRECTIVES = {
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "m": _NUMBER,
    "d": _NUMBER,
    "e": rf" ?{_NUMBER}",
    "H": _NUMBER,
    "I": _NUMBER,
    "M": _NUMBER,
    "S": _NUMBER,
    "f": r"\d{1,18}",
    "j": r"\d{1,3}",
    "b": _NAME,
    "B": _NAME,
    "a": _NAME,
    "A": _NAME,
    "p": "[AaPp][Mm]",
    "z": rf" *(?:Z|{OFFSET})",
}
"""Directive -> pattern of its text."""

_TOKEN = re.compile(r"%.|\s+|[^%\s]", re.DOTALL)


@dataclass(frozen=True)
class CompiledFormat:
    """A format as a pattern.

    Attributes:
        pattern: Pattern of a whole text, in the syntax of RE2; groups are named `g0`, `g1`, ...
        directives: The strptime directive of each group.
    """

    pattern: str
    directives: tuple[str, ...]


@lru_cache
def compile_format(form: str) -> CompiledFormat:
    """Compile a strptime format that `is_format` accepts."""
    for short, long in _LONG_FORMS.items():
        form = form.replace(short, long)
    pattern, directives = "", list[str]()
    for token in _TOKEN.findall(form):
        directive = token[1:]
        if token.isspace() or token in ("%n", "%t"):
            pattern += r"\s*"
        elif not directive or directive == "%":
            pattern += re.escape(token[-1])
        else:
            pattern += f"(?P<g{len(directives)}>{_DIRECTIVES[directive]})"
            directives.append(directive)
    return CompiledFormat(f"^{pattern}$", tuple(directives))


def is_format(form: str) -> bool:
    """Check a format of a contract: a word, or strptime directives with a year, `%z` at the end."""
    if form in FORMAT_WORDS:
        return True
    for short, long in _LONG_FORMS.items():
        form = form.replace(short, long)
    directives = [token[1:] for token in _TOKEN.findall(form) if token[0] == "%"]
    known = {*_DIRECTIVES, "n", "t", "%"}
    has_year = "Y" in directives or "y" in directives
    is_whole = "".join(_TOKEN.findall(form)) == form and "\0" not in form
    return (
        is_whole
        and has_year
        and known.issuperset(directives)
        and ("z" not in directives or form.endswith("%z"))
    )


_SUGGESTIONS = tuple(
    (f"{shape}(?P<clock>[T ]{_NUMBER}:{_NUMBER}(?P<second>:{_NUMBER})?)?", forms)
    for shape, forms in (
        (r"(?:1[3-9]|2\d|3[01])/\d{1,2}/\d{4}", ("%d/%m/%Y",)),
        (r"\d{1,2}/(?:1[3-9]|2\d|3[01])/\d{4}", ("%m/%d/%Y",)),
        (r"\d{1,2}/\d{1,2}/\d{4}", ("%d/%m/%Y", "%m/%d/%Y")),
        (r"\d{1,2}\.\d{1,2}\.\d{4}", ("%d.%m.%Y",)),
        (r"(?:1[3-9]|2\d|3[01])-\d{1,2}-\d{4}", ("%d-%m-%Y",)),
        (r"\d{1,2}-\d{1,2}-\d{4}", ("%d-%m-%Y", "%m-%d-%Y")),
        (r"\d{4}/\d{1,2}/\d{1,2}", ("%Y/%m/%d",)),
        (r"\d{4}-\d{1,2}-\d{1,2}", ("%Y-%m-%d",)),
    )
)
_EPOCH_SUGGESTIONS = (
    (r"\d{9,10}(?:\.\d+)?", SECONDS),
    (r"\d{12,13}", MILLISECONDS),
)
_BASIC_SUGGESTIONS = (
    (r"(?:19|20)\d{8}", "%Y%m%d%H"),
    (r"(?:19|20)\d{10}", "%Y%m%d%H%M"),
    (r"(?:19|20)\d{12}", "%Y%m%d%H%M%S"),
)
"""Dates without separators, which also look like an epoch: those of 2025 would be one of 2034."""

MAX_SUGGESTED_CHARACTERS = 40


def suggest_formats(text: str) -> str:
    """Suggest the contract line that would read a text; empty where nothing is known."""
    # A pattern of digits takes those of every script; the parser takes ASCII alone.
    if len(text) > MAX_SUGGESTED_CHARACTERS or not text.isascii():
        return ""
    for pattern, form in _BASIC_SUGGESTIONS:
        if re.fullmatch(pattern, text) and _reads(form, text):
            return f'formats = ["{form}"]'
    for pattern, word in _EPOCH_SUGGESTIONS:
        if re.fullmatch(pattern, text):
            return f'formats = ["{word}"]'
    for pattern, forms in _SUGGESTIONS:
        if found := re.fullmatch(pattern, text):
            clock = "" if not found["clock"] else found["clock"][0] + "%H:%M"
            clock += ":%S" if found["second"] else ""
            whole = [f"{form}{clock}" for form in forms if _reads(f"{form}{clock}", text)]
            return " or ".join(f'formats = ["{form}"]' for form in whole)
    return ""


def _reads(form: str, text: str) -> bool:
    """Check whether a calendar and a clock have the date and time of a text."""
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True
