"""How the dates of a column are written, and which comes first, day or month."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt

from kpi.contract.forms import COMPACT_DATE
from kpi.contract.month_names import Names, Spellings, fold, names_in, spellings_of

DayNumbers = npt.NDArray[np.int64]

Order = Literal["day", "month", "year"]
"""What stands first in a date of three numbers."""

NO_DAY = np.iinfo(np.int64).min
"""In place of the day of a cell that has none."""

MISFIT_SHARE = 0.01
"""Values at most that may not fit the kind of a column."""

NARROW_YEARS = 5
"""Between the first and the last year of files, at most; days of a month spread wider."""

WIDE_YEARS = 15
"""The same where few days are seen: those of a month spread wider in most files."""

SAME_DAY_YEARS = 3
"""Years from which on rows of one and the same day of each are taken for days of a month."""

_WORD = r"[^\W\d_][^\d\s.,:/_+()-]*"
_NAME = rf"{_WORD}(?:\.{_WORD})*\.?"
_CLOCK = (
    r"(?P<clock>\d{1,2}:\d{2}(?P<second>:\d{2}(?:[.,]\d+)?)?)"
    r"(?:(?P<half> ?[AaPp][Mm])|(?P<hours> ?(?:h|hs|hrs|[Uu]hr)\.?))?"
)

DATE = re.compile(
    rf"(?P<a>\d{{4}}|\d{{1,2}})(?P<s>\. | del? |[-./_ ])(?P<b>\d{{1,2}}|{_NAME})"
    r"(?P<s2>\. | del? |[-./_ ]|, ?)(?P<c>\d{4}|\d{1,2})(?P<end>\.?| [r\u0433\u0440]\.?)"
    rf"(?P<rest>(?P<gap>[T ]|, ){_CLOCK})?(?P<zone>[ \t]*(?:Z|UTC|GMT|[+-]\d{{2}}:?\d{{2}}))?"
)
MONTH_FIRST = re.compile(
    rf"(?P<b>{_NAME})(?P<s> )(?P<a>\d{{1,2}})(?P<s2>, ?| )(?P<c>\d{{4}})"
    rf"(?P<rest>(?P<gap> |, ){_CLOCK})?(?P<zone>)"
)
"""A date that begins with the name of a month."""

WITH_UNITS = re.compile(
    r"(?P<a>\d{4})(?P<s>年|년 ?)(?P<b>\d{1,2})(?P<s2>月|월 ?)(?P<c>\d{1,2})(?P<end>日|일)"
    rf"(?P<rest>(?P<gap> ?){_CLOCK})?(?P<zone>)"
)
"""A date of Chinese, Japanese or Korean, whose numbers have their units behind them."""


@dataclass(frozen=True, kw_only=True)
class Dates:
    """How the dates of a column are written.

    Attributes:
        examples: The last day of 2025 in each form that its values have.
        order: What comes first; None where no value decides it.
        days: Days since 1970 by the order, day first where it is open; `NO_DAY` for none.
        offsets: Offsets from UTC that values carry.
        rivals: What may come first where it is open.
        decembers: Names of December whose languages read the months, for each reading of them.
    """

    examples: tuple[str, ...]
    order: Order | Literal["none"] | None
    days: DayNumbers
    offsets: tuple[str, ...]
    decided_by: int = 0
    rivals: tuple[Order, ...] = ()
    decembers: tuple[Spellings, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the values have more than one reading."""
        return self.order is None or len(self.decembers) > 1


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
    matches = {cell: match_date(cell) for cell in distinct}
    found = {cell: match for cell, match in matches.items() if match and _is_date(match)}
    if not found or len(distinct) - len(found) > MISFIT_SHARE * len(distinct):
        return None
    named = {match["b"] for match in found.values() if not match["b"].isdigit()}
    decembers = tuple(spellings_of(named)) if named else ()
    if named and not decembers:
        return None
    months = names_in(decembers[0]) if decembers else {}
    order: Order | Literal["none"] | None = "none"
    rivals: tuple[Order, ...] = ()
    decided_by = 0
    opens = [one for one in found.values() if _is_open(one)]
    if opens:
        rivals = _rivals(opens)
        if not rivals:
            return None
        order = rivals[0] if len(rivals) == 1 else None
        if order in ("day", "month"):
            decided_by = sum(int(one["a" if order == "day" else "b"]) > 12 for one in opens)
    first: Order = rivals[0] if rivals else "day"
    days = {}
    for cell, match in found.items():
        day = _day_of(match, first, months)
        if day is None:
            return None
        days[cell] = day
    examples = _examples(found.values(), first, decembers[0] if decembers else ())
    return Dates(
        examples=tuple(sorted(examples, key=lambda one: (one != "iso", one))),
        order=order,
        days=np.array([days.get(cell, NO_DAY) for cell in cells], np.int64),
        offsets=tuple(sorted({one["zone"].strip() for one in found.values() if one["zone"]})),
        decided_by=decided_by,
        rivals=rivals if order is None else (),
        decembers=decembers,
    )


def _rivals(matches: Sequence[re.Match[str]]) -> tuple[Order, ...]:
    """Find what may come first in dates of three numbers, of which none has four digits first."""
    firsts, seconds, thirds = ([int(one[part]) for one in matches] for part in "abc")
    rivals: list[Order] = []
    if max(seconds) <= 12:
        rivals.append("day")
    # Of the locales of Unicode's CLDR, those that write points put the day before the month.
    if max(firsts) <= 12 and not (rivals and all(one["s"][0] == "." for one in matches)):
        rivals.append("month")
    rivals = [
        one for one in rivals if all(_day_of(match, one, {}) is not None for match in matches)
    ]
    if _may_begin_with_year(matches, firsts, thirds):
        if any(len(one["c"]) == 1 for one in matches):
            # No year is of one digit.
            return ("year",)
        rivals.append("year")
    return tuple(rivals)


def _may_begin_with_year(
    matches: Sequence[re.Match[str]], firsts: Sequence[int], thirds: Sequence[int]
) -> bool:
    """Tell whether dates such as 25-03-14 may begin with the year."""
    if any(len(one["a"]) != 2 or len(one["c"]) > 2 for one in matches):
        return False
    if any(_day_of(one, "year", {}) is None for one in matches):
        return False
    if max(thirds) - min(thirds) > NARROW_YEARS or max(firsts) > 31:
        return True
    days_of_year = {(int(one["b"]), int(one["c"])) for one in matches}
    is_one_day = len(days_of_year) == 1 and len(set(firsts)) >= SAME_DAY_YEARS
    spread = max(firsts) - min(firsts)
    # A single last number over some years is a year; of several, each may be a day.
    most = WIDE_YEARS if len(set(thirds)) > 1 else NARROW_YEARS
    return spread <= most and not is_one_day


def with_order(cells: Sequence[str], dates: Dates, order: Order) -> Dates:
    """Read dates again whose order was open."""
    return _read_by(cells, dates, order, dates.decembers[:1])


def with_december(cells: Sequence[str], dates: Dates, spellings: Spellings) -> Dates:
    """Read dates again whose names of months were open."""
    return _read_by(cells, dates, dates.order, (spellings,))


def _read_by(
    cells: Sequence[str],
    dates: Dates,
    order: Order | Literal["none"] | None,
    decembers: tuple[Spellings, ...],
) -> Dates:
    days: list[int] = []
    read: list[re.Match[str]] = []
    first: Order = "day" if order is None or order == "none" else order
    spellings = decembers[0] if decembers else ()
    months = names_in(spellings)
    for cell in cells:
        match = match_date(cell)
        day = _day_of(match, first, months) if match else None
        days.append(NO_DAY if day is None else day)
        if match and day is not None:
            read.append(match)
    return replace(
        dates,
        examples=tuple(_examples(read, first, spellings)),
        order=order,
        days=np.array(days, np.int64),
        decembers=decembers,
        rivals=(),
    )


def _examples(
    matches: Collection[re.Match[str]], order: Order, spellings: Spellings
) -> dict[str, None]:
    """Write the last day of 2025 in the forms of dates."""
    is_title = any(one["b"][0].isupper() for one in matches)
    names = [name.capitalize() if is_title else name for name in spellings] or [""]
    return {_example(one, order, name): None for name in names for one in matches}


def match_date(cell: str) -> re.Match[str] | None:
    """Match a text that may be a date."""
    return DATE.fullmatch(cell) or MONTH_FIRST.fullmatch(cell) or WITH_UNITS.fullmatch(cell)


def _in_case(name: str, like: Collection[str]) -> str:
    """Write a name with a capital letter where others have one."""
    return name.capitalize() if any(one[0].isupper() for one in like) else name


def _is_date(match: re.Match[str]) -> bool:
    if match.re is WITH_UNITS:
        return True
    if not match["b"].isdigit():
        return bool(spellings_of([match["b"]]))
    # A point behind the last number is of languages whose numbers of days and months have one.
    ends = not match["end"] or match["s"][0] == "."
    return match["s"] == match["s2"] and match["s"] != " " and ends


def _is_open(match: re.Match[str]) -> bool:
    return len(match["a"]) < 3 and match["b"].isdigit()


def _day_of(match: re.Match[str], order: Order, months: Names) -> int | None:
    if not match["b"].isdigit():
        year, month, day = int(match["c"]), months.get(fold(match["b"]), 0), int(match["a"])
        if len(match["a"]) == 4:
            year, day = day, year
    elif len(match["a"]) == 4 or order == "year":
        year, month, day = int(match["a"]), int(match["b"]), int(match["c"])
    else:
        year, month, day = int(match["c"]), int(match["b"]), int(match["a"])
        if order == "month":
            month, day = day, month
    if year < 100:
        year += 2000
    try:
        return date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None


def _example(match: re.Match[str], order: Order, december: str) -> str:
    """Write the last day of 2025 in the form of a date."""
    year = "2025" if max(len(match["a"]), len(match["c"])) == 4 else "25"
    sep, sep2 = match["s"], match["s2"]
    clock = ""
    if match["clock"]:
        hour, behind = "23", match["hours"] or ""
        if match["half"]:
            hour, behind = "11", " PM" if match["half"].startswith(" ") else "PM"
        clock = f"{match['gap']}{hour}:59{':59' if match['second'] else ''}{behind}"
    if match.re is not MONTH_FIRST:
        clock = match["end"] + clock
    if match.re is WITH_UNITS:
        return f"{year}{sep}12{sep2}31{clock}"
    if not match["b"].isdigit():
        parts = ("31", sep, december, sep2, year)
        if match.re is MONTH_FIRST:
            parts = (december, sep, "31", sep2, year)
        elif len(match["a"]) == 4:
            parts = (year, sep, december, sep2, "31")
        return "".join(parts) + clock
    if len(match["a"]) == 4:
        is_padded = len(match["b"]) == len(match["c"]) == 2
        if sep == "-" and is_padded and not match["half"] and not match["hours"]:
            return "iso"
        return f"{year}{sep}12{sep}31{clock}"
    return _last_day(year, sep, order) + clock


def in_order(example: str, order: Order) -> str:
    """Write an example whose day comes first in another order."""
    found = re.fullmatch(r"31(\. |[-./_])12\1(\d+)(.*)", example)
    if found is None:
        return example
    sep, year, clock = found.groups()
    return _last_day(year, sep, order) + clock


def _last_day(year: str, sep: str, order: Order) -> str:
    parts = {"day": ("31", "12", year), "month": ("12", "31", year), "year": (year, "12", "31")}
    return sep.join(parts[order])


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
