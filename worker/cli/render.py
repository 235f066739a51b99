"""Rows and summaries as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from kpi.contract.receipt_notes import CONTRADICTING
from worker.cli.sanitize import one_line
from worker.runtime.wording import counted
from worker.state.receipt import doubts_of

if TYPE_CHECKING:
    from datetime import date

    from kpi.aggregation.tables import KpiTable
    from kpi.contract.model import Contract
    from worker.cli.rich_console import PlainConsole
    from worker.state import Effect, Entry, Row, Ruling
    from worker.transform import Report
    from worker.validate.recognition import Recognised

MAX_NOTICES_SHOWN = 5
"""New files with the bytes of others that are named."""

MAX_OTHERS_SHOWN = 3
"""Files that are named whose rows were rolled back."""

MAX_CELL_CHARACTERS = 1000
"""Of one value; `--format json` prints all of it."""


def shown_attributes(table: KpiTable, row: Row, contract: Contract) -> list[str]:
    """Name the KPIs that rows are printed with: the optional ones where a contract has some.

    Args:
        table: Table of the rows.
        row: The first of them.
        contract: Contract of the command, which need not be that of the rows.
    """
    has_optional = contract.shop is not None or not row.keys().isdisjoint(table.optional)
    return [*table.attributes, *(table.optional if has_optional else ())]


def show_rows(
    rows: Iterable[Mapping[str, object]], title: str = "", ranks: Mapping[str, int] | None = None
) -> None:
    """Print rows that have the same attributes as a table, numbers to the right.

    Args:
        rows: Attribute -> value; None is printed as nothing.
        title: Above the table.
        ranks: Attribute -> rank of its column, where a narrow terminal may leave it out.
    """
    from worker.cli.table_layout import Column  # rich takes 0.1 s

    listed = list(rows)
    if not listed:
        console().print("no rows")
        return
    columns = [
        Column(
            name=name,
            is_number=any(_is_number(row[name]) for row in listed),
            rank=(ranks or {}).get(name, 0),
        )
        for name in listed[0]
    ]
    cells = [[_cell(value) for value in row.values()] for row in listed]
    console().print_table(columns, cells, title)


Headers = dict[str, tuple[str, ...]]
"""Id of a refused source -> its header, of files of this machine."""

_RANKS = {"s": 5, "bytes": 4, "sequence": 3, "source": 2}
"""Columns of receipts that a narrow terminal leaves out."""


def show_receipts(
    entries: Sequence[Entry],
    effects: Mapping[str, Effect],
    rulings: Mapping[str, Ruling] | None = None,
    *,
    when: str = "",
) -> None:
    """Print one line for each source object, then retractions.

    Args:
        entries: Ledger entries.
        effects: source_id -> what became of the rows.
        rulings: source_id -> the last ruling on it.
        when: When superseded rows, waiting items and days were so, such as "at first".
    """
    rows = []
    retracted = [
        ruling
        for entry in entries
        if (ruling := (rulings or {}).get(entry.source_id)) and ruling.kind == "retraction"
    ]
    gone = {ruling.source_id for ruling in retracted}
    passed_over = any(entry.feeds for entry in entries)
    repaired = any(entry.repair for entry in entries)
    for entry in entries:
        effect = effects.get(entry.source_id)
        rows.append(
            {
                "file": short_name(entry.url),
                "verdict": "retracted" if entry.source_id in gone else entry.verdict,
                "read": entry.rows_read,
                "clean": entry.rows_clean,
                "rejected": entry.rows_rejected + entry.rows_repaired,
                **({"repaired": entry.rows_repaired} if repaired else {}),
                **({"passed over": entry.rows_passed_over} if passed_over else {}),
                "superseded": effect.superseded_rows if effect else None,
                "waiting": effect.waiting_items if effect else None,
                "days": effect.days if effect else None,
                "source": entry.source_id,
                "sequence": entry.sequence,
                "bytes": entry.size_bytes,
                "s": round(entry.seconds, 1),
            }
        )
    title = "Receipts: rows read = clean + rejected"
    title += " - repaired" if repaired else ""
    title += " + passed over" if passed_over else ""
    title += f"; superseded, waiting and days {when}" if when else ""
    show_rows(rows, title, _RANKS)
    for ruling in retracted:
        because = f": {clip(ruling.reason)}" if ruling.reason else ""
        console().print(f"retracted {clip(ruling.url)} at {ruling.sequence}{because}")


def without_former(entries: Sequence[Entry]) -> list[Entry]:
    """Leave out the entries of which rows were repaired: the entry of the repair says it all."""
    last = {one.source_id: one.sequence for one in entries if one.repair is not None}
    return [one for one in entries if one.sequence >= last.get(one.source_id, 0)]


def short_name(url: str) -> str:
    """Shorten a URL to the file's folder and name."""
    return "/".join(url.split("/")[-2:])


def show_refusals(entries: Iterable[Entry], headers: Headers | None = None) -> None:
    """Print why files were refused, and the header of those of this machine."""
    out = console()
    shown = list(entries)
    accepted = {one.source_id: one.sequence for one in shown if one.verdict == "accepted"}
    for entry in shown:
        if entry.verdict == "refused":
            at = accepted.get(entry.source_id, 0)
            later = f" at {entry.sequence}, accepted at {at}" if at > entry.sequence else ""
            out.print(f"refused {clip(entry.url)}{later}", soft_wrap=True)
            out.print_indented(clip(entry.reason or ""))
            if header := (headers or {}).get(entry.source_id):
                out.print_indented(f"its first record: {clip(', '.join(header))}")


def describe_reasons(entries: Iterable[Entry]) -> str:
    """List reject reasons with their numbers of rows; empty where no row was rejected."""
    counts: dict[str, int] = {}
    for entry in entries:
        for reason, count in entry.reasons.items():
            counts[reason] = counts.get(reason, 0) + count
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()))


def show_report(report: Report) -> None:
    """Print what a transform did, in a few lines."""
    out = console()
    for line in describe_report(report):
        out.print(line)


def describe_report(report: Report) -> list[str]:
    """Say which days a transform has published, and what waits."""
    lines = [f"nothing to publish: the KPI tables are as of {report.as_of} already"]
    if report.days:
        rows = ", ".join(f"{count:,} {name}" for name, count in report.rows.items())
        lines = [f"published {describe_days(report.days)} as of {report.as_of}: {rows} rows"]
    waiting = sum(report.waiting.values())
    if waiting:
        lines.append(
            counted(
                waiting,
                "item waits for its order; it counts when it comes",
                "items wait for their order; they count when it comes",
            )
        )
    notes = {name: count for name, count in report.notes.items() if name != "rolled_back_rows"}
    lines += [
        f"{count:,} {name.replace('_', ' ')}{_NOTE_HINTS.get(name, '')}"
        for name, count in notes.items()
    ]
    return [*lines, *describe_notices(report)]


_NOTE_HINTS = {
    "moved_orders": ": a later file has another day for them; where numbers begin anew, order_id "
    "joins them with the day",
    "orders_of_a_later_file": ": its lines took the place of those of an earlier file; where "
    "numbers begin anew in each file, order_id joins them with the day",
}
"""What a note means, where its name alone does not say it."""


MAX_DOUBTS_SHOWN = 5
"""Doubts that are named."""


def describe_doubts(entries: Iterable[Entry]) -> list[str]:
    """Say what of some files may be meant otherwise than the contract has it."""
    lines = [
        clip(f"doubtful: {short_name(entry.url)}: {_doubt(name, count)}")
        for entry in entries
        for name, count in doubts_of(entry).items()
    ]
    more = len(lines) - MAX_DOUBTS_SHOWN
    if more > 0:
        lines[MAX_DOUBTS_SHOWN:] = [f"{counted(more, 'doubt')} more like these (`shopkpi ledger`)"]
    return lines


def show_doubts(entries: Iterable[Entry]) -> None:
    """Print what of some files may be meant otherwise than the contract has it."""
    for line in describe_doubts(entries):
        console().print(line, soft_wrap=True)


def _doubt(name: str, count: int) -> str:
    column = name.removeprefix(CONTRADICTING)
    hint = "of each the last row counts; what a line says goes to [order_items]"
    if column == "created_at":
        hint = (
            "of each the last row's counts; where numbers begin anew, order_id joins them with it"
        )
    return f"{counted(count, 'order')} with rows that differ in {column}: {hint}"


def describe_notices(report: Report) -> list[str]:
    """Say which new files took back newer rows of others, or have their bytes."""
    lines = []
    for rollback in report.rollbacks:
        others = ", ".join(map(short_name, rollback.urls[:MAX_OTHERS_SHOWN]))
        others += ", ..." if len(rollback.urls) > MAX_OTHERS_SHOWN else ""
        lines.append(
            f"rolled back: {counted(rollback.rows, 'row')} of {short_name(rollback.url)} replaced "
            f"newer ones of {others} (`shopkpi retract {rollback.source_id}` takes the file back)"
        )
    lines += [
        f"another shop? {one.rows:,} of {one.of_rows:,} orders of {short_name(one.url)} were those "
        f"of other customers on other days (`shopkpi retract {one.source_id}` takes the file "
        "back; `--shop NAME` keeps shops apart)"
        for one in report.takeovers
    ]
    words = {
        "same": "has the bytes of its earlier upload, and changes nothing",
        "copy": "has the bytes of {}; both count",
        "replaces": "replaces the whole earlier file of its name",
    }
    lines += [
        f"{short_name(one.upload.name)} {words[one.kind].format(short_name(one.other.name))}"
        for one in report.notices[:MAX_NOTICES_SHOWN]
    ]
    if len(report.notices) > MAX_NOTICES_SHOWN:
        lines.append(f"{counted(len(report.notices) - MAX_NOTICES_SHOWN, 'file')} more like these")
    return [clip(line) for line in lines]


def show_recognised(recognised: Recognised | None) -> None:
    """Name the layout that the files were recognised to have, and what it leaves out."""
    if recognised is None:
        return
    layout = recognised.layout
    lines = [
        f"recognised: {layout.title} (shopkpi contract show {layout.key})",
        *(f"  leaves out {line}" for line in recognised.left_out),
        *(f"  {line}" for line in recognised.choices),
    ]
    console().print("\n".join(map(one_line, lines)), soft_wrap=True)


def describe_days(days: Sequence[date]) -> str:
    """Count days and name the first and the last."""
    if len(days) == 1:
        return f"1 day ({days[0]})"
    return f"{len(days):,} days ({days[0]} to {days[-1]})"


def console() -> PlainConsole:
    """Open standard output for people."""
    from worker.cli.rich_console import PlainConsole  # rich takes 0.1 s

    return PlainConsole()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return clip(str(value))


def clip(text: str) -> str:
    """Shorten a text, and escape what a terminal would act on."""
    if len(text) > MAX_CELL_CHARACTERS:
        text = f"{text[:MAX_CELL_CHARACTERS]}... ({len(text):,} characters)"
    return one_line(text)
