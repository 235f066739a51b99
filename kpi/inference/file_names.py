"""Dates in the names of files, as a column of the rows of each file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kpi.inference.dates import read_dates

DATE_IN_NAME = re.compile(
    r"(?<![0-9])(?:[0-9]{4}([-_.])[0-9]{2}\1[0-9]{2}|[0-9]{2}([-_.])[0-9]{2}\2[0-9]{4}|[0-9]{8})"
    r"(?![0-9])"
)

COMPRESSED = re.compile(r"\.(gz|zst|bz2)$")
"""Endings that a pattern of `[[files]]` leaves out."""

CAPTURED = "{date}"
"""Name of the text that a pattern takes, and header of its column."""


@dataclass(frozen=True)
class NamedDates:
    """Dates in the names of the files of one layout.

    Attributes:
        pattern: Of `[[files]]`.
        dates: Text of each file.
    """

    pattern: str
    dates: tuple[str, ...]


def find_dates(names: Sequence[str]) -> NamedDates | None:
    """Find the date in the names of some files; None where one has none, or they differ in form."""
    found = [_last_date(name) for name in names]
    texts = tuple(match[0] for match in found if match is not None)
    if len(texts) < len(names) or read_dates(texts) is None:
        return None
    matched = [(name, match) for name, match in zip(names, found, strict=True) if match]
    patterns = {_pattern(name, match) for name, match in matched}
    if len(patterns) > 1:
        patterns = {re.sub("[0-9]+", "*", one) for one in patterns}
    return NamedDates(next(iter(patterns)), texts) if len(patterns) == 1 else None


def _last_date(name: str) -> re.Match[str] | None:
    """Find the date that stands last: the name of a file says more than those of its folders."""
    dates = [one for one in DATE_IN_NAME.finditer(name) if read_dates([one[0]]) is not None]
    return dates[-1] if dates else None


def _pattern(name: str, match: re.Match[str]) -> str:
    """Write a name, from the folder with the date on, as a pattern."""
    before = name[: match.start()].rpartition("/")[2]
    return f"{before}{CAPTURED}{COMPRESSED.sub('', name[match.end() :])}"
