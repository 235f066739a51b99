"""Rows and summaries as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from kpi.aggregation.tables import KPI_TABLES
from worker.cli.sanitize import one_line

if TYPE_CHECKING:
    from kpi.aggregation.tables import KpiTable
    from kpi.contract.model import Contract
    from worker.cli.rich_console import PlainConsole
    from worker.jobs import Session
    from worker.state import Effect, Entry, Row, Ruling
    from worker.transform import Report
    from worker.validate.discovery import IgnoredInput
    from worker.validate.recognition import Recognised

MAX_CELL_CHARACTERS = 1000
"""Of one value; `--format json` prints all of it."""

MAX_IGNORED_SHOWN = 20
"""Files that no dataset takes that `run` names; `--format json` names more."""

MAX_DAYS_SHOWN = 31
"""Days of order KPIs that `run` prints; `query` prints all."""


def shown_attributes(table: KpiTable, row: Row, contract: Contract) -> list[str]:
    """Name the attributes that rows are printed with: the optional ones where a contract has some.

    Args:
        table: Table of the rows.
        row: The first of them.
        contract: Contract of the command, which need not be that of the rows.
    """
    has_optional = contract.shop is not None or not row.keys().isdisjoint(table.optional)
    return list(table.kinds if has_optional else table.attributes)


def show_rows(rows: Iterable[Mapping[str, object]], title: str = "") -> None:
    """Print rows that have the same attributes as a table, numbers to the right."""
    listed = list(rows)
    if not listed:
        _console().print("no rows")
        return
    columns = [(name, _is_number(value)) for name, value in listed[0].items()]
    cells = [[_cell(value) for value in row.values()] for row in listed]
    _console().print_table(columns, cells, title)


Headers = dict[str, tuple[str, ...]]
"""Id of a refused source -> its header, of files of this machine."""


def show_receipts(
    entries: Sequence[Entry],
    effects: Mapping[str, Effect],
    rulings: Mapping[str, Ruling] | None = None,
    headers: Headers | None = None,
) -> None:
    """Print one line for each source object, then refusals and reject reasons.

    Args:
        entries: Ledger entries.
        effects: source_id -> what the rows changed.
        rulings: source_id -> the last ruling on it.
        headers: See `Headers`.
    """
    rows = []
    retracted = [
        ruling
        for entry in entries
        if (ruling := (rulings or {}).get(entry.source_id)) and ruling.kind == "retraction"
    ]
    gone = {ruling.source_id for ruling in retracted}
    passed_over = any(entry.feeds for entry in entries)
    for entry in entries:
        effect = effects.get(entry.source_id)
        rows.append(
            {
                "source": entry.source_id,
                "file": "/".join(entry.url.split("/")[-2:]),
                "verdict": "retracted" if entry.source_id in gone else entry.verdict,
                "read": entry.rows_read,
                "clean": entry.rows_clean,
                "rejected": entry.rows_rejected,
                **({"passed over": entry.rows_passed_over} if passed_over else {}),
                "superseded": effect.superseded_rows if effect else None,
                "waiting": effect.waiting_items if effect else None,
                "days": effect.days if effect else None,
                "bytes": entry.size_bytes,
                "s": entry.seconds,
                "seq": entry.sequence,
            }
        )
    title = "Receipts: rows read = clean + rejected"
    show_rows(rows, f"{title} + passed over" if passed_over else title)
    for entry in entries:
        if entry.verdict == "refused":
            _console().print(f"refused {_clip(entry.url)}\n  {_clip(entry.reason or '')}")
            if header := (headers or {}).get(entry.source_id):
                _console().print(f"  its first record: {_clip(', '.join(header))}")
    for ruling in retracted:
        because = f": {_clip(ruling.reason)}" if ruling.reason else ""
        _console().print(f"retracted {_clip(ruling.url)} at {ruling.sequence}{because}")
    counts: dict[str, int] = {}
    for entry in entries:
        for reason, count in entry.reasons.items():
            counts[reason] = counts.get(reason, 0) + count
    if counts:
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
        _console().print(f"reject reasons: {listed}")


def show_ignored(inputs: Sequence[IgnoredInput]) -> None:
    """Print the files below the inputs that no dataset takes."""
    out = _console()
    for one in inputs[:MAX_IGNORED_SHOWN]:
        hint = f"; did you mean {one.nearest}/?" if one.nearest else ""
        out.print(f"not read {_clip(one.url)}\n  {_clip(one.reason)}{hint}")
    if len(inputs) > MAX_IGNORED_SHOWN:
        more = len(inputs) - MAX_IGNORED_SHOWN
        out.print(f"not read: {more} files more (--format json names them)")


def show_report(report: Report) -> None:
    """Print what a transform did, in a few lines."""
    out = _console()
    if report.days:
        rows = ", ".join(f"{count} {name}" for name, count in report.rows.items())
        dates = f"{report.days[0]} to {report.days[-1]}"
        out.print(f"published {len(report.days)} days ({dates}) as of {report.as_of}: {rows} rows")
    else:
        out.print(f"nothing to publish: the KPI tables are as of {report.as_of} already")
    waiting = sum(report.waiting.values())
    if waiting:
        out.print(f"{waiting} items wait for their order; they count when it comes")
    for name, count in report.notes.items():
        out.print(f"{count} {name.replace('_', ' ')}")


def show_recognised(recognised: Recognised | None) -> None:
    """Name the layout that the files were recognised to have, and what it leaves out."""
    if recognised is None:
        return
    layout = recognised.layout
    lines = [
        f"recognised: {layout.title} (shopkpi contract show {layout.key})",
        *(f"  leaves out {line}" for line in recognised.left_out),
    ]
    _console().print("\n".join(map(one_line, lines)), soft_wrap=True)


async def show_run(
    session: Session,
    entries: Sequence[Entry],
    effects: Mapping[str, Effect],
    report: Report,
    headers: Headers,
) -> None:
    """Print KPIs, receipts, and where everything is stored."""
    settings = session.settings
    rows: list[Row] = []
    if "order_kpis" in settings.tables:
        rows = [row async for row in session.state.rows("order_kpis")]
        names = shown_attributes(
            KPI_TABLES["order_kpis"], rows[0] if rows else {}, settings.contract
        )
        rows = [{name: row.get(name) for name in names} for row in rows]
    left_out = len(rows) - MAX_DAYS_SHOWN
    title = "Order KPIs by day"
    if left_out > 0:
        title += f", the last {MAX_DAYS_SHOWN} of {len(rows)} days (shopkpi query orders shows all)"
    show_rows(rows[-MAX_DAYS_SHOWN:], title)
    if "category_kpis" in settings.tables and rows:
        last = rows[-1]["order_date"]
        of_day = [
            _without_as_of(row)
            async for row in session.state.rows("category_kpis")
            if row["order_date"] == last
        ]
        show_rows(of_day, f"Category KPIs of {last} (shopkpi query category shows all)")
    show_receipts(entries, effects, headers=headers)
    show_report(report)
    where = settings.workspace.url.removeprefix("file://")
    _console().print(
        f"clean zone {_clip(where)}/clean\nrejects    {_clip(where)}/rejects\n"
        f"KPI tables {_clip(settings.state_url)}",
        soft_wrap=True,
    )


def _console() -> PlainConsole:
    from worker.cli.rich_console import PlainConsole  # noqa: PLC0415  (rich takes 0.1 s)

    return PlainConsole()


def _without_as_of(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "as_of"}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return _clip(str(value))


def _clip(text: str) -> str:
    """Shorten a text, and escape what a terminal would act on."""
    if len(text) > MAX_CELL_CHARACTERS:
        text = f"{text[:MAX_CELL_CHARACTERS]}... ({len(text):,} characters)"
    return one_line(text)
