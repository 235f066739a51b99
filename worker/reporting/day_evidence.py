"""What ledger and clean zone tell of the files of days: what `day_states` needs beside the rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from kpi.aggregation.completeness import Evidence
from worker.errors import SourceError, StoreError
from worker.index.intake import Intake
from worker.index.stored_intake import count_on, read_intake
from worker.state.named_uploads import newest_versions
from worker.state.receipt import doubts_of

if TYPE_CHECKING:
    from kpi.contract.model import Contract
    from worker.clean import Workspace
    from worker.state import Entry, State

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_REJECTS_READ = 100_000
"""Rejected rows whose dates are read. Of files with more, each day of the file has some."""

MOST_ITEMS_READ = 5_000_000
"""Items of files of several days with some that wait, up to which these are looked for."""

WRITTEN_DATE = re.compile(
    rb"(?<!\d)((?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))"
    rb"(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?)(Z|[+-]\d\d:?\d\d)?)?(?!\d)"
)
"""A date in a record or in a file's name, with a time and an offset where it has these."""

_ONE_DAY = timedelta(days=1)


async def read_evidence(state: State, workspace: Workspace, contract: Contract) -> Evidence:
    """Find what is known of the files of days.

    Of each file the last upload counts: a corrected one has come in the place of its rejects. Some
    things have no day of their own:

    - A rejected row is of the earliest date that is written in it: an order is created before it is
      shipped. A row without a date is of the day of its file, where all of it is of one; else it
      leaves every day of its file unverified.
    - A refused file is of the date in its name, else of those of its rows, else of the day of its
      upload and of the one before.
    - An item that waits is of its own day, mostly that of its order that has not come;
      without one it is of each day of its file.

    Where these cannot be read (an erasure may have taken them away, or their reader may read the
    KPIs alone), each day of the file has them.

    Args:
        state: Ledger.
        workspace: Rejected rows.
        contract: Contract in force: its time zones.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    calendar = _Calendar(contract)
    rejected, undated, refused = Counter[date](), Counter[date](), Counter[date]()
    room = MOST_REJECTS_READ
    flawed = await _flawed_uploads(state, workspace)
    for entry in flawed:
        if entry.verdict == "refused":
            refused.update(await _refused_days(entry, workspace, calendar))
        elif entry.rows_rejected:
            room -= entry.rows_rejected
            dated, others = await _rejected_days(entry, workspace, calendar, is_read=room >= 0)
            rejected.update(dated)
            if others and entry.dataset != "products":  # whose rows are of no day
                undated.update(dict.fromkeys(calendar.days_of(entry), others))
    waiting = await _waiting_items(state, workspace, contract, calendar)
    doubtful = Counter(
        day for entry in flawed if doubts_of(entry) for day in calendar.days_of(entry)
    )
    return Evidence(
        rejected_rows=rejected,
        undated_rows=undated,
        waiting_items=waiting,
        refused_files=refused,
        doubtful_files=doubtful,
    )


async def _flawed_uploads(state: State, workspace: Workspace) -> list[Entry]:
    """Return the last upload of each file that is refused, has rejected rows, or doubts."""
    head = await state.head()
    try:
        intake = await read_intake(workspace, state, head)
    except (SourceError, StoreError):
        intake = Intake()  # who may read the KPIs need not be one who may read the workspace
    await count_on(intake, state, head, head)
    if intake.refusals_dropped or intake.flawed.dropped:
        entries = newest_versions(await state.entries())
    else:
        sequences = {one.sequence for one in intake.refused.values()}
        sequences |= {one.sequence for one in intake.flawed.uploads.values()}
        entries = await state.entries_at(sequences)
    last = {ruling.source_id: ruling.kind for ruling in await state.rulings()}
    return [one for one in entries if last.get(one.source_id) != "retraction"]


async def _waiting_items(
    state: State, workspace: Workspace, contract: Contract, calendar: _Calendar
) -> Counter[date]:
    """Count the items that wait of each day."""
    items = (await state.progress()).waiting
    pointers = await state.pointers(items.keys())
    entries = await state.entries_at([one.sequence for one in pointers.values()])
    long = {one.source_id: one for one in entries if len(calendar.days_of(one)) > 1}
    dated: Mapping[str, Mapping[date, int]] = {}
    if long and sum(one.rows_clean for one in long.values()) <= MOST_ITEMS_READ:
        with suppress(SourceError, StoreError):
            dated = await _dated_waiting(state, workspace, contract, long.keys())
    found = Counter[date]()
    for entry in entries:
        of_file = dated.get(entry.source_id)
        undated = items[entry.source_id] - sum((of_file or {}).values())
        found.update(of_file or {})
        if undated > 0:
            found.update(dict.fromkeys(calendar.days_of(entry), undated))
    return found


async def _dated_waiting(
    state: State, workspace: Workspace, contract: Contract, source_ids: Set[str]
) -> dict[str, Counter[date]]:
    """Count the items that wait of some files by their own days, where they have these."""
    if contract.shop is not None or "created_at" not in contract.datasets["order_items"].columns:
        return {}
    from kpi.aggregation.calendar import to_date  # noqa: PLC0415  (Arrow, 0.3 s)
    from worker.transform.changed_days import days_of_waiting_items  # noqa: PLC0415
    from worker.transform.latest_versions import LatestVersions  # noqa: PLC0415
    from worker.transform.snapshot import open_snapshot  # noqa: PLC0415

    head = await state.head()
    snapshot = await open_snapshot(state, head, workspace, contract, since=head)
    of_files = snapshot.items.of_sources(source_ids)
    versions = LatestVersions(snapshot.items)
    await versions.resolve(await of_files.row_groups())
    found = await days_of_waiting_items(of_files, snapshot.orders, versions, snapshot.contract)
    return {
        source_id: Counter({to_date(day): count for day, count in days.items()})
        for source_id, days in found.items()
    }


class _Calendar:
    """Makes days of dates as files write them, and of the ranges of clean files."""

    def __init__(self, contract: Contract) -> None:
        is_shop = contract.shop is not None  # whose days are mostly as written
        self._written = None if is_shop else ZoneInfo(contract.source_time_zone)
        self._business = ZoneInfo(contract.business_time_zone)

    def written(self, texts: Iterable[bytes]) -> Iterable[date | None]:
        """Yield the day of the earliest date in each text; None where there is none."""
        for text in texts:
            days = (self._day(*one) for one in WRITTEN_DATE.findall(text))
            yield min((day for day in days if day is not None), default=None)

    def _day(self, day: bytes, time: bytes, offset: bytes) -> date | None:
        try:
            written = datetime.fromisoformat((day + b"T" + (time or b"12:00") + offset).decode())
        except ValueError:  # no day of the calendar
            return None
        if self._written is None or not time:
            return written.date()
        if written.tzinfo is None:
            written = written.replace(tzinfo=self._written)
        return written.astimezone(self._business).date()

    def days_of(self, entry: Entry) -> Sequence[date]:
        """Return each day from the first to the last that rows of a file are of."""
        bounds = [
            self._bound(name, value)
            for part in entry.parts
            for name, one in part.ranges.items()
            if name in ("created_at", "_day")
            for value in (one.low, one.high)
        ]
        if not bounds:
            return _days_before_upload(entry)
        first = min(bounds)
        return [first + timedelta(days=at) for at in range((max(bounds) - first).days + 1)]

    def _bound(self, name: str, value: int | str) -> date:
        if name == "_day":
            return (EPOCH + timedelta(days=int(value))).date()
        return (EPOCH + timedelta(microseconds=int(value))).astimezone(self._business).date()


def _days_before_upload(entry: Entry) -> list[date]:
    uploaded = entry.uploaded_at.date()
    return [uploaded - _ONE_DAY, uploaded]


async def _refused_days(entry: Entry, workspace: Workspace, calendar: _Calendar) -> set[date]:
    """Return the days of a refused file."""
    (named,) = calendar.written([entry.url.rsplit("/", 1)[-1].encode()])
    if named is not None:
        return {named}
    days: set[date] = set()
    with suppress(SourceError, StoreError):
        async for raw in _raw_rows(entry, workspace):
            days |= {day for day in calendar.written(raw) if day is not None}
    return days or set(_days_before_upload(entry))


async def _rejected_days(
    entry: Entry, workspace: Workspace, calendar: _Calendar, *, is_read: bool
) -> tuple[Counter[date], int]:
    """Count the rejected rows of each day of a file of which rows were accepted.

    Returns:
        Day -> rows; and the rows that may be of any day of the file.
    """
    own = calendar.days_of(entry)
    every = Counter(dict.fromkeys(own, entry.rows_rejected))
    if not is_read:
        return every, 0
    found, undated = Counter[date](), 0
    try:
        async for raw in _raw_rows(entry, workspace):
            for day in calendar.written(raw):
                if day is not None or len(own) == 1:
                    found[own[0] if day is None else day] += 1
                else:
                    undated += 1
    except (SourceError, StoreError):
        return every, 0
    return found, undated


async def _raw_rows(entry: Entry, workspace: Workspace) -> AsyncIterator[list[bytes]]:
    """Yield the rejected rows of a file, some at a time; up to `MOST_REJECTS_READ`."""
    from worker.clean.reader import CleanObject  # noqa: PLC0415  (Arrow, 0.3 s)

    left = MOST_REJECTS_READ
    for key in entry.rejects:
        rejects = CleanObject(workspace.store, workspace.stored(key))
        for group in range((await rejects.footer()).num_row_groups):
            if left <= 0:
                return
            raw: list[bytes] = (await rejects.read([group], ["raw"])).column("raw").to_pylist()
            left -= len(raw)
            yield raw
