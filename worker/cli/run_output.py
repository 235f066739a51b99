"""What `run` prints: first what needs a person and what changed, then tables of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS
from worker.cli.day_states import COMPLETENESS_RANKS, read_day_states, with_state
from worker.cli.render import (
    Headers,
    clip,
    console,
    describe_days,
    describe_doubts,
    describe_notices,
    describe_reasons,
    describe_report,
    short_name,
    show_doubts,
    show_receipts,
    show_recognised,
    show_refusals,
    show_rows,
    shown_attributes,
)
from worker.runtime.wording import counted

if TYPE_CHECKING:
    from worker.jobs import Session, Validated
    from worker.state import Effect, Entry, Row
    from worker.transform import Report
    from worker.validate.discovery import IgnoredInput

MAX_REFUSED_SHOWN = 3
"""Refused files that the summary names; `ledger` has all."""

MAX_IGNORED_SHOWN = 20
"""Files that no dataset takes that `run` names; `--format json` names more."""

MAX_DAYS_SHOWN = 31
"""Days of order KPIs that `run` prints; `query` prints all."""


@dataclass(kw_only=True)
class RunResult:
    """What one run found, committed and published.

    Attributes:
        validated: Entries of its files, and what could not be read.
        report: What was published.
        effects: source_id -> what became of the rows.
        ignored: Files below the inputs that no dataset takes.
        headers: First records of refused files.
        rows_before: order_date -> row of `order_kpis` before the run.
    """

    validated: Validated
    report: Report
    effects: Mapping[str, Effect]
    ignored: Sequence[IgnoredInput] = ()
    headers: Headers = field(default_factory=dict)
    rows_before: Mapping[str, Row] = field(default_factory=dict)


async def order_rows(session: Session) -> dict[str, Row]:
    """Return the published rows of `order_kpis` by day."""
    if ORDER_KPIS.name not in session.settings.tables:
        return {}
    return {
        str(row["order_date"]): _without_as_of(row)
        async for row in session.state.rows(ORDER_KPIS.name)
    }


async def show_run(session: Session, result: RunResult) -> None:
    """Print a summary, then KPIs of days that changed, and receipts of new files."""
    new = result.validated.new_entries
    _show_summary(result, new)
    show_recognised(session.recognised)
    await _show_changed_days(session, result)
    if new:
        show_receipts(new, result.effects)
    _show_ignored(result.ignored)
    settings = session.settings
    if new:
        where = settings.workspace.url.removeprefix("file://")
        console().print(
            f"clean zone {clip(where)}/clean\nrejects    {clip(where)}/rejects\n"
            f"KPI tables {clip(settings.state_url)}",
            soft_wrap=True,
        )


def show_quietly(result: RunResult) -> None:
    """Print one line for each new file; where there is none, one line if days were published."""
    out = console()
    new = result.validated.new_entries
    report = result.report
    same = {one.upload.source_id for one in report.notices if one.kind == "same"}
    for entry in new:
        line = describe_entry(entry, result.effects.get(entry.source_id))
        if entry.source_id in same:
            line = f"same {clip(entry.url)}: the bytes of its earlier upload, nothing changes"
        out.print(line, soft_wrap=True)
    others = tuple(one for one in report.notices if one.kind != "same")
    for line in (*describe_doubts(new), *describe_notices(replace(report, notices=others))):
        out.print(line, soft_wrap=True)
    if result.report.days and not new:
        out.print(describe_report(result.report)[0], soft_wrap=True)


def describe_entry(entry: Entry, effect: Effect | None) -> str:
    """Word the verdict on a file in one line."""
    if entry.verdict == "refused":
        return f"refused {clip(entry.url)}: {clip(entry.reason or '')}"
    counts = f"{counted(entry.rows_read, 'row')}, {entry.rows_rejected:,} rejected"
    if effect is not None and effect.days:
        counts += f", {counted(effect.days, 'day')} ({effect.first_day} to {effect.last_day})"
    if effect is not None and effect.waiting_items:
        counts += f", {counted(effect.waiting_items, 'item waits', 'items wait')}"
    return f"accepted {clip(entry.url)}: {counts}"


def _show_summary(result: RunResult, new: Sequence[Entry]) -> None:
    """Print in few lines what was refused, what changed, and what waits."""
    out = console()
    refused = [entry for entry in new if entry.verdict == "refused"]
    known = len(result.validated.entries) - len(new) + result.validated.known
    counts = [
        (len(refused), "refused"),
        (len(new) - len(refused), "accepted"),
        (known, "known already"),
        (len(result.validated.left), "left for the next run"),
    ]
    listed = [f"{count:,} {word}" for count, word in counts if count]
    out.print(f"files: {', '.join(listed) or 'none'}")
    if result.report.days:
        out.print(f"changed: {describe_days(result.report.days)}")
    else:
        out.print("changed: nothing (`shopkpi query orders` shows the KPIs)")
    for line in describe_report(result.report)[1:]:
        out.print(line)
    show_doubts(new)
    if rejected := sum(entry.rows_rejected for entry in new if entry.verdict == "accepted"):
        reasons = describe_reasons(entry for entry in new if entry.verdict == "accepted")
        out.print(f"rejected: {counted(rejected, 'row')}: {reasons}")
    show_refusals(refused[:MAX_REFUSED_SHOWN], result.headers)
    if more := [short_name(entry.url) for entry in refused[MAX_REFUSED_SHOWN:]]:
        out.print(f"refused: {counted(len(more), 'file')} more (`shopkpi ledger` has them)")
    _show_refused_before(result, {entry.source_id for entry in new})


def _show_refused_before(result: RunResult, new: set[str]) -> None:
    """Print in one line which files stay refused."""
    names = [
        short_name(entry.url)
        for entry in result.validated.entries
        if entry.verdict == "refused" and entry.source_id not in new
    ]
    if names:
        listed = ", ".join(names[:MAX_REFUSED_SHOWN])
        more = f", and {len(names) - MAX_REFUSED_SHOWN:,} more" * (len(names) > MAX_REFUSED_SHOWN)
        console().print(
            f"refused before: {counted(len(names), 'file')}: {listed}{more} (--again validates "
            "again)",
            soft_wrap=True,
        )


async def _show_changed_days(session: Session, result: RunResult) -> None:
    """Print the order KPIs of days that changed, and the categories of the last of them."""
    published = {day.isoformat() for day in result.report.days}
    if not published:
        return
    contract = session.settings.contract
    changed = [
        row
        for day, row in (await order_rows(session)).items()
        if day in published and result.rows_before.get(day) != row
    ]
    if changed:
        names = shown_attributes(ORDER_KPIS, changed[0], contract)
        states = await read_day_states(session.state, session.workspace, contract)
        times = await session.state.publication_times()
        rows = [
            with_state(ORDER_KPIS.name, row, states, names, times)
            for row in changed[-MAX_DAYS_SHOWN:]
        ]
        title = "Order KPIs of the days that changed"
        if len(changed) > MAX_DAYS_SHOWN:
            title += f", the last {MAX_DAYS_SHOWN} of {len(changed)} (shopkpi query orders: all)"
        show_rows(rows, title, COMPLETENESS_RANKS)
    if CATEGORY_KPIS.name in session.settings.tables:
        last = max([str(row["order_date"]) for row in changed], default=max(published))
        day = result.report.days[[one.isoformat() for one in result.report.days].index(last)]
        of_day = [
            {name: row.get(name) for name in shown_attributes(CATEGORY_KPIS, row, contract)}
            async for row in session.state.rows(CATEGORY_KPIS.name, first=day, last=day)
        ]
        if of_day:
            show_rows(of_day, f"Category KPIs of {last} (shopkpi query category: all days)")


def _show_ignored(inputs: Sequence[IgnoredInput]) -> None:
    """Print the files below the inputs that no dataset takes."""
    out = console()
    for one in inputs[:MAX_IGNORED_SHOWN]:
        hint = f"; did you mean {one.nearest}/?" if one.nearest else ""
        out.print(f"not read {clip(one.url)}", soft_wrap=True)
        out.print_indented(f"{clip(one.reason)}{hint}")
    if len(inputs) > MAX_IGNORED_SHOWN:
        more = len(inputs) - MAX_IGNORED_SHOWN
        out.print(f"not read: {counted(more, 'file')} more (--format json names them)")


def _without_as_of(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "as_of"}
