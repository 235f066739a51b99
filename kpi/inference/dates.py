"""How the dates of a column are written, and which comes first, day or month."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt

from kpi.contract.forms import COMPACT_DATE, MONTHS

DayNumbers = npt.NDArray[np.int64]

NO_DAY = np.iinfo(np.int64).min
"""In place of the day of a cell that has none."""

MISFIT_SHARE = 0.01
"""Values at most that may not fit the kind of a column."""

DATE = re.compile(
    r"(?P<a>\d{4}|\d{1,2})(?P<s>[-./_ ])(?P<b>\d{1,2}|[A-Za-z]{3,9})(?P<s2>[-./_ ]|, ?)"
    r"(?P<c>\d{4}|\d{1,2})(?P<rest>(?P<gap>[T ]|, )"
    r"(?P<clock>\d{1,2}:\d{2}(?P<second>:\d{2}(?:[.,]\d+)?)?)"
    r"(?P<half> ?[AaPp][Mm])?)?(?P<zone>[ \t]*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
)
MONTH_FIRST = re.compile(
    r"(?P<b>[A-Za-z]{3,9})(?P<s>[. ]{1,2})(?P<a>\d{1,2})(?P<s2>, ?| )(?P<c>\d{4})"
    r"(?P<rest>(?P<gap> |, )(?P<clock>\d{1,2}:\d{2}(?P<second>:\d{2})?)(?P<half> ?[AaPp][Mm])?)?"
    r"(?P<zone>)"
)
"""A date that begins with the name of a month."""

_NAMES = {name: at % 12 + 1 for at, name in enumerate((*MONTHS, *(one[:3] for one in MONTHS)))}


@dataclass(frozen=True, kw_only=True)
class Dates:
    """How the dates of a column are written.

    Attributes:
        examples: The last day of 2025 in each form that its values have.
        order: Of day and month; None where no value decides it.
        days: Days since 1970 by the order, day first where it is open; `NO_DAY` for none.
        offsets: Offsets from UTC that values carry.
    """

    examples: tuple[str, ...]
    order: Literal["day", "month", "none"] | None
    days: DayNumbers
    offsets: tuple[str, ...]
    decided_by: int = 0


def unix_step(values: Iterable[str]) -> int:
    """Find microseconds a step where numbers are seconds or milliseconds of 2000 to 2100."""
    widths = {len(one) for one in values}
    if widths <= {9, 10}:
        return 1_000_000
    return 1_000 if widths <= {12, 13} else 0


def unix_dates(cells: Sequence[str], step: int) -> Dates:
    """Read Unix times of a step in microseconds."""
    days = [
        int(cell) * step // 86_400_000_000 if cell.lstrip("-").isdigit() else NO_DAY
        for cell in cells
    ]
    example = "seconds" if step == 1_000_000 else "milliseconds"
    return Dates(examples=(example,), order="none", days=np.array(days, np.int64), offsets=())


def compact_dates(cells: Sequence[str]) -> Dates | None:
    """Read dates of eight digits, such as 20251231; None where the texts are none."""
    days: dict[str, int] = {}
    for cell in {cell for cell in cells if cell}:
        if not re.fullmatch(r"(?:19|20)[0-9]{6}", cell):
            return None
        try:
            day = date(int(cell[:4]), int(cell[4:6]), int(cell[6:]))
        except ValueError:
            return None
        days[cell] = day.toordinal() - date(1970, 1, 1).toordinal()
    numbers = np.array([days.get(cell, NO_DAY) for cell in cells], np.int64)
    return Dates(examples=(COMPACT_DATE,), order="none", days=numbers, offsets=()) if days else None


def read_dates(cells: Sequence[str]) -> Dates | None:
    """Tell how dates are written; None where the texts are no dates."""
    compact = compact_dates(cells)
    if compact is not None:
        return compact
    distinct = {cell for cell in cells if cell}
    matches = {cell: DATE.fullmatch(cell) or MONTH_FIRST.fullmatch(cell) for cell in distinct}
    found = {cell: match for cell, match in matches.items() if match and _is_date(match)}
    if not found or len(distinct) - len(found) > MISFIT_SHARE * len(distinct):
        return None
    order: Literal["day", "month", "none"] | None = "none"
    firsts = [int(one["a"]) for one in found.values() if _is_open(one)]
    seconds = [int(one["b"]) for one in found.values() if _is_open(one)]
    decided_by = 0
    if firsts:
        by_day, by_month = sum(one > 12 for one in firsts), sum(one > 12 for one in seconds)
        if by_day and by_month:
            return None
        order = "day" if by_day else "month" if by_month else None
        decided_by = by_day or by_month
        if order is None and all(one["s"] == "." for one in found.values()):
            # Of the locales of Unicode's CLDR, those that write points put the day first.
            order = "day"
    month_first = order == "month"
    days = {}
    for cell, match in found.items():
        day = _day_of(match, month_first=month_first)
        if day is None:
            return None
        days[cell] = day
    examples = dict.fromkeys(_example(one, month_first=month_first) for one in found.values())
    return Dates(
        examples=tuple(sorted(examples, key=lambda one: (one != "iso", one))),
        order=order,
        days=np.array([days.get(cell, NO_DAY) for cell in cells], np.int64),
        offsets=tuple(sorted({one["zone"].strip() for one in found.values() if one["zone"]})),
        decided_by=decided_by,
    )


def with_order(cells: Sequence[str], dates: Dates, order: Literal["day", "month"]) -> Dates:
    """Read dates again whose order of day and month was open."""
    days: list[int] = []
    examples: dict[str, None] = {}
    for cell in cells:
        match = DATE.fullmatch(cell)
        day = _day_of(match, month_first=order == "month") if match else None
        days.append(NO_DAY if day is None else day)
        if match:
            examples[_example(match, month_first=order == "month")] = None
    return Dates(
        examples=tuple(examples),
        order=order,
        days=np.array(days, np.int64),
        offsets=dates.offsets,
    )


def _is_date(match: re.Match[str]) -> bool:
    if match["b"].isalpha():
        return match["b"].lower() in _NAMES
    return match["s"] == match["s2"] and match["s"] != " "


def _is_open(match: re.Match[str]) -> bool:
    return len(match["a"]) < 3 and not match["b"].isalpha()


def _day_of(match: re.Match[str], *, month_first: bool) -> int | None:
    if match["b"].isalpha():
        year, month, day = int(match["c"]), _NAMES[match["b"].lower()], int(match["a"])
        if len(match["a"]) == 4:
            year, day = day, year
    elif len(match["a"]) == 4:
        year, month, day = int(match["a"]), int(match["b"]), int(match["c"])
    else:
        year, month, day = int(match["c"]), int(match["b"]), int(match["a"])
        if month_first:
            month, day = day, month
    if year < 100:
        year += 2000
    try:
        return date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None


def _example(match: re.Match[str], *, month_first: bool) -> str:
    """Write the last day of 2025 in the form of a date."""
    year = "2025" if max(len(match["a"]), len(match["c"])) == 4 else "25"
    sep, sep2 = match["s"], match["s2"]
    clock = ""
    if match["clock"]:
        hour = "11" if match["half"] else "23"
        half = (" PM" if match["half"].startswith(" ") else "PM") if match["half"] else ""
        clock = f"{match['gap']}{hour}:59{':59' if match['second'] else ''}{half}"
    if len(match["a"]) == 4 and not match["b"].isalpha():
        if sep == "-" and len(match["b"]) == len(match["c"]) == 2 and not match["half"]:
            return "iso"
        return f"{year}{sep}12{sep}31{clock}"
    if match["b"].isalpha():
        month = "Dec" if len(match["b"]) == 3 else "December"
        if match.re is MONTH_FIRST:
            return f"{month}{sep}31{sep2}{year}{clock}"
        return f"31{sep}{month}{sep2}{year}{clock}"
    first, second = ("12", "31") if month_first else ("31", "12")
    return f"{first}{sep}{second}{sep}{year}{clock}"


def moved_by_offset(cells: Iterable[str]) -> float:
    """Give the share of times with an offset whose date in UTC is another than as written."""
    moved = count = 0
    for cell in cells:
        found = re.search(r"[T ](\d{1,2}):(\d{2}).*?([+-])(\d{2}):?(\d{2})$", cell.strip())
        if found is None:
            continue
        minutes = int(found[1]) * 60 + int(found[2])
        offset = (int(found[4]) * 60 + int(found[5])) * (1 if found[3] == "+" else -1)
        count += 1
        moved += not 0 <= minutes - offset < 24 * 60
    return moved / count if count else 0.0
