"""Which files come when: what `[expect]` of a contract says, in both languages.

It says nothing of rows: adopting another one makes no clean rows anew and changes no KPI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import time

from kpi.contract.toml_reader import Reader

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

EVERY = {"day": WEEKDAYS, "workday": WEEKDAYS[:5], **{one: (one,) for one in WEEKDAYS}}
"""Word of `every` -> its weekdays."""

UNTIL = ("yesterday", "today")

MAX_FILES = 10_000

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """Files that come again and again.

    Attributes:
        weekdays: Numbers of the weekdays on which they come, from 0 for Monday, ascending.
        by: Time of the day by which they are there.
        datasets: What they feed; each has files of its own.
        files: Number of files of each dataset, each time.
        until: `yesterday`: the orders of the days since the time before, up to the day before.
            `today`: up to the same day.
        time_zone: Zone of `by`, and of the days.
    """

    weekdays: tuple[int, ...]
    by: time
    datasets: tuple[str, ...]
    files: int = 1
    until: str = "yesterday"
    time_zone: str = "UTC"


def read_expectations(
    root: Reader,
    datasets: Collection[str],
    time_zone: str,
    is_time_zone: Callable[[str], bool],
) -> tuple[Expectation, ...]:
    """Read `[expect]`, or each `[[expect]]`; problems are added to the reader's list.

    Args:
        root: Document of the contract.
        datasets: Those that the contract has.
        time_zone: Zone where none is given.
        is_time_zone: Tells whether a text is the name of a time zone.
    """
    if not root.has("expect"):
        return ()
    value = root.value("expect")
    tables = [root.table("expect")] if isinstance(value, dict) else root.tables("expect")
    return tuple(_expectation(one, datasets, time_zone, is_time_zone) for one in tables)


def _expectation(
    table: Reader,
    known: Collection[str],
    time_zone: str,
    is_time_zone: Callable[[str], bool],
) -> Expectation:
    every = table.one_or_more("every")
    weekdays = {day for one in every for day in EVERY.get(one, ())}
    if not every or any(one not in EVERY for one in every):
        expected = f"one or more of {', '.join(EVERY)}"
        table.problem("every", expected, table.value("every"))
    by = _TIME.fullmatch(table.text("by", ""))
    if by is None:
        table.problem("by", 'a time of the day such as "09:00"', table.value("by"))
    datasets = table.one_or_more("datasets")
    if not datasets or any(one not in known for one in datasets):
        expected = f"one or more of {', '.join(known)}"
        table.problem("datasets", expected, table.value("datasets"))
    zone = table.text("zone", time_zone)
    if not is_time_zone(zone):
        table.problem("zone", "an IANA time zone such as Europe/Berlin", zone)
    found = Expectation(
        weekdays=tuple(at for at, day in enumerate(WEEKDAYS) if day in weekdays),
        by=time(int(by[1]), int(by[2])) if by else time(),
        datasets=tuple(dict.fromkeys(datasets)),
        files=table.integer("files", 1, low=1, high=MAX_FILES),
        until=table.choice("until", UNTIL, "yesterday"),
        time_zone=zone,
    )
    table.finish()
    return found
