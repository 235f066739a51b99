"""Tables for people."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from worker.cli.sanitize import visible

if TYPE_CHECKING:
    from worker.jobs import Session
    from worker.state import Effect, Entry, Row
    from worker.transform import Report

CHARACTERS_SHOWN = 1000
"""Of one value; `--format json` prints all of it."""

DAYS_SHOWN = 31
"""Days of order KPIs that `run` prints; `query` prints all."""


def console() -> Console:
    """Standard output, as wide as the terminal; wide enough for every column elsewhere."""
    width = shutil.get_terminal_size((140, 24)).columns if sys.stdout.isatty() else 140
    return _Console(width=width, highlight=False)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich would end the process; `for_a_reader` knows better  # noqa: PLE0704


def show_rows(rows: Iterable[Mapping[str, object]], title: str = "") -> None:
    """Rows with the same attributes, numbers to the right."""
    listed = list(rows)
    if not listed:
        console().print("no rows")
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name, value in listed[0].items():
        number = isinstance(value, int | float | Decimal)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in listed:
        table.add_row(*(_cell(value) for value in row.values()))
    console().print(table)


def show_receipts(entries: Sequence[Entry], effects: Mapping[str, Effect]) -> None:
    """One line for each source object."""
    rows = []
    for entry in entries:
        effect = effects.get(entry.source_id)
        rows.append(
            {
                "source": entry.source_id,
                "file": "/".join(entry.url.split("/")[-2:]),
                "verdict": entry.verdict,
                "read": entry.rows_read,
                "clean": entry.rows_clean,
                "rejected": entry.rows_rejected,
                "superseded": effect.superseded_rows if effect else None,
                "waiting": effect.waiting_items if effect else None,
                "days": effect.days if effect else None,
                "bytes": entry.size_bytes,
                "s": entry.seconds,
                "seq": entry.sequence,
            }
        )
    show_rows(rows, "Receipts: rows read = clean + rejected")
    for entry in entries:
        if entry.verdict == "refused":
            console().print(f"refused {_text(entry.url)}\n  {_text(entry.reason or '')}")
    counts: dict[str, int] = {}
    for entry in entries:
        for reason, rows_with in entry.reasons.items():
            counts[reason] = counts.get(reason, 0) + rows_with
    if counts:
        told = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()))
        console().print(f"reject reasons: {told}")


def show_report(report: Report) -> None:
    """What a transform did, in a few lines."""
    out = console()
    if report.days:
        rows = ", ".join(f"{count} {name}" for name, count in report.rows.items())
        span = f"{report.days[0]} to {report.days[-1]}"
        out.print(f"published {len(report.days)} days ({span}) as of {report.as_of}: {rows} rows")
    else:
        out.print(f"nothing to publish: the KPI tables are as of {report.as_of} already")
    waiting = sum(report.waiting.values())
    if waiting:
        out.print(f"{waiting} items wait for their order; they count when it comes")


async def show_run(
    session: Session, entries: Sequence[Entry], effects: Mapping[str, Effect], report: Report
) -> None:
    """KPIs, receipts, and where everything lies."""
    settings = session.settings
    rows: list[Row] = []
    if "order_kpis" in settings.tables:
        rows = [_shown(row) async for row in session.state.rows("order_kpis")]
    left_out = len(rows) - DAYS_SHOWN
    title = "Order KPIs by day"
    if left_out > 0:
        title += f", the last {DAYS_SHOWN} of {len(rows)} days (shopkpi query orders shows all)"
    show_rows(rows[-DAYS_SHOWN:], title)
    if "category_kpis" in settings.tables and rows:
        last = rows[-1]["order_date"]
        of_day = [
            _shown(row)
            async for row in session.state.rows("category_kpis")
            if row["order_date"] == last
        ]
        show_rows(of_day, f"Category KPIs of {last} (shopkpi query category shows all)")
    show_receipts(entries, effects)
    show_report(report)
    where = settings.workspace.url.removeprefix("file://")
    console().print(
        f"clean zone {_text(where)}/clean\nrejects    {_text(where)}/rejects\n"
        f"KPI tables {_text(settings.state_url)}",
        soft_wrap=True,
    )


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "as_of"}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return _text(str(value))


def _text(text: str) -> str:
    """A text that neither rich nor the terminal takes for instructions."""
    if len(text) > CHARACTERS_SHOWN:
        text = f"{text[:CHARACTERS_SHOWN]}... ({len(text):,} characters)"
    return escape(visible(text))
