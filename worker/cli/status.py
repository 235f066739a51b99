"""`status`: what came, what was refused, what waits, how far the KPIs are: one screen."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click
import orjson

from kpi.aggregation.completeness import DayState
from kpi.aggregation.completeness import State as DayStateName
from kpi.aggregation.tables import ORDER_KPIS
from worker.cli.day_states import read_day_states
from worker.cli.event_loop import run_async
from worker.cli.openmetrics import Gauge, format_gauges
from worker.cli.options import store_options, until_reader_leaves
from worker.cli.query import check_database_exists
from worker.cli.render import clip, console, short_name, show_rows
from worker.errors import AttentionNeeded
from worker.jobs import open_session
from worker.runtime.wording import counted
from worker.settings import read_settings

if TYPE_CHECKING:
    from worker.maintenance.shop_status import ShopStatus

MOST_NAMED = 5
"""Files that a section of the table and a message name."""

MOST_LISTED = 100
"""Files, or days, that a list in JSON has."""

MOST_JUDGED_RECORDS = 20_000
"""Records of a ledger up to which days are judged: all receipts are read for it."""

STATES: tuple[DayStateName, ...] = ("final", "provisional", "suspect", "unverified")
OPEN = ("provisional", "suspect")
"""States of days that may change, or that may be wrong."""

Days = Mapping[date, DayState]


@click.command()
@store_options
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "openmetrics"]),
    help="[default: table on a terminal, else json]",
)
def status(
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    output_format: str | None,
) -> None:
    """Print the state of a shop: what came, what was refused, what waits, how far the KPIs are.

    The exit code is 4 where something needs a person: a refused file of which no later version was
    accepted, or a file that is late by [expect] of the contract. It reads counters and few
    receipts, whatever the ledger holds.

    \b
    Examples:
      shopkpi status
      shopkpi status --format json
      shopkpi status --format openmetrics > /var/lib/node_exporter/shopkpi.prom
    """
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=contract)
    output_format = output_format or ("table" if sys.stdout.isatty() else "json")
    check_database_exists(settings)
    now = datetime.now(UTC)

    async def work() -> tuple[ShopStatus, Days | None]:
        from worker.maintenance.shop_status import read_status  # Arrow, 0.3 s

        async with open_session(settings, read_only=True) as session:
            found = await read_status(session.workspace, session.state, now=now)
            if found.head > MOST_JUDGED_RECORDS or ORDER_KPIS.name not in found.published:
                return found, None
            contract = session.settings.contract
            return found, await read_day_states(session.state, session.workspace, contract)

    found, days = run_async(work, clean_stop=False)
    problems = find_problems(found)
    with until_reader_leaves():
        if output_format == "json":
            fields = status_fields(found, settings.shop, now)
            fields |= {"days": days and _day_fields(days), "attention": problems}
            click.echo(orjson.dumps(fields, option=orjson.OPT_INDENT_2))
        elif output_format == "openmetrics":
            gauges = _gauges(found, settings.shop, now, problems)
            gauges += _day_gauges(days, settings.shop)
            click.echo(format_gauges(gauges), nl=False)
        else:
            _show(found, settings.shop, now)
            for line in _day_lines(days):
                console().print(line, soft_wrap=True)
    if problems:
        raise AttentionNeeded("; ".join(problems), hint="`shopkpi ledger` has the receipts")


def find_problems(found: ShopStatus) -> list[str]:
    """Say what needs a person, one sentence for each thing."""
    problems = []
    refused = len(found.refused) + found.refusals_dropped
    if refused:
        names = [short_name(one.url) for one in found.refused[-MOST_NAMED:]]
        more = f" and {refused - len(names):,} more" if refused > len(names) else ""
        said = counted(refused, "file is", "files are")
        problems.append(f"{said} refused: {', '.join(names)}{more}")
    late = [one for one in found.missing if one.is_late]
    if late:
        names = [f"{one.dataset} due {_shown(one.due)}" for one in late[-MOST_NAMED:]]
        more = f" and {len(late) - len(names):,} more" if len(late) > len(names) else ""
        said = counted(sum(one.missing_files for one in late), "file is", "files are")
        problems.append(f"{said} late: {', '.join(names)}{more}")
    return problems


def status_fields(found: ShopStatus, shop: str, now: datetime) -> dict[str, Any]:
    """Return the members of the JSON object, but for `attention`."""
    adoption = found.adoption
    return {
        "shop": shop,
        "at": _instant(now),
        "as_of": found.head,
        "counted_up_to": found.counted_up_to,
        "received": [
            {
                "dataset": name,
                "files": one.files,
                "rows_read": one.rows_read,
                "rows_rejected": one.rows_rejected,
                "last_uploaded_at": _instant(one.last_uploaded_at),
            }
            for name, one in found.datasets.items()
        ],
        "refused_files": len(found.refused) + found.refusals_dropped,
        "refused": [
            {
                "file": one.url,
                "source": one.source_id,
                "sequence": one.sequence,
                "dataset": one.dataset,
                "uploaded_at": _instant(one.uploaded_at),
                "reason": one.reason,
            }
            for one in found.refused[-MOST_LISTED:]
        ],
        "expected": [
            {
                "dataset": one.dataset,
                "due": _instant(one.due),
                "late": one.is_late,
                "files": one.expected_files,
                "missing_files": one.missing_files,
                "first_day": one.first_day.isoformat(),
                "last_day": one.last_day.isoformat(),
            }
            for one in found.missing
        ],
        "waiting_items": found.waiting_items,
        "waiting_files": found.waiting_files,
        "waiting_as_of": found.waiting_as_of,
        "waiting": [
            {
                "file": one.url,
                "source": one.source_id,
                "items": one.items,
                "uploaded_at": _instant(one.uploaded_at),
                "hours": round(_hours(one.uploaded_at, now), 1),
            }
            for one in found.waiting[:MOST_LISTED]
        ],
        "gone": [{"file": one.url, "source": one.source_id} for one in found.gone[-MOST_LISTED:]],
        "gone_files": len(found.gone),
        "tables": [
            {"table": table, "as_of": at, "behind": table in found.behind}
            for table, at in found.published.items()
        ],
        "contract": adoption
        and {
            "name": found.contract_name,
            "digest": adoption.digest,
            "sequence": adoption.sequence,
            "adopted_at": _instant(adoption.recorded_at),
        },
    }


def _show(found: ShopStatus, shop: str, now: datetime) -> None:
    out = console()
    out.print(f"shop {shop}, {_shown(now)}, ledger as of {found.head}")
    received = [
        {
            "dataset": name,
            "files": one.files,
            "rows": one.rows_read,
            "rejected": one.rows_rejected,
            "last upload": _shown(one.last_uploaded_at) if one.last_uploaded_at else None,
            "ago": _ago(one.last_uploaded_at, now),
        }
        for name, one in found.datasets.items()
    ]
    if received:
        show_rows(received, "Received")
    else:
        out.print("received: nothing")
    if found.counted_up_to < found.head:
        out.print(
            f"counted up to {found.counted_up_to:,}: the next transforms, or `shopkpi maintain`, "
            "count on"
        )
    for line in _lines(found, now):
        out.print(line, soft_wrap=True)


def _lines(found: ShopStatus, now: datetime) -> list[str]:
    """Return what follows on the table of what came."""
    refused = len(found.refused) + found.refusals_dropped
    lines = [f"refused: {counted(refused, 'file', 'files')}"]
    for refusal in found.refused[-MOST_NAMED:]:
        ago = _ago(refusal.uploaded_at, now)
        lines.append(f"  {short_name(refusal.url)}, uploaded {ago} ago: {clip(refusal.reason)}")
    if refused > MOST_NAMED:
        lines.append(f"  and {refused - MOST_NAMED:,} more")
    lines += _expected_lines(found)
    lines.append(
        f"waiting: {counted(found.waiting_items, 'item', 'items')} of "
        f"{counted(found.waiting_files, 'file', 'files')}"
    )
    for file in found.waiting[:MOST_NAMED]:
        ago = _ago(file.uploaded_at, now)
        lines.append(f"  {short_name(file.url)}: {file.items:,} for {ago}")
    if found.waiting_files > MOST_NAMED:
        lines.append(f"  and {found.waiting_files - MOST_NAMED:,} files more")
    if found.gone:
        names = ", ".join(short_name(one.url) for one in found.gone[-MOST_NAMED:])
        files = counted(len(found.gone), "file counts", "files count")
        lines.append(f"gone: {files} and left the folder, such as {names}")
    tables = ", ".join(
        f"{table} as of {at}" + (" (behind)" if table in found.behind else "")
        for table, at in found.published.items()
    )
    lines.append(f"KPI tables: {tables or 'none is published'}")
    if found.adoption is not None:
        since = _shown(found.adoption.recorded_at)
        lines.append(
            f"contract: {found.contract_name}, adopted at {found.adoption.sequence}, {since}"
        )
    return lines


def _day_fields(days: Days) -> dict[str, Any]:
    counts = Counter(one.state for one in days.values())
    open_days = [
        {"order_date": day.isoformat(), "state": one.state, "why": one.why}
        for day, one in sorted(days.items())
        if one.state in OPEN
    ]
    return {"states": {name: counts[name] for name in STATES}, "open": open_days[-MOST_LISTED:]}


def _day_lines(days: Days | None) -> list[str]:
    """Say how many days are complete, and why the last of the others are not."""
    if days is None:
        return ["days: `shopkpi query orders` says of each whether it is complete"]
    counts = Counter(one.state for one in days.values())
    listed = ", ".join(f"{counts[name]:,} {name}" for name in STATES if counts[name])
    lines = [f"days: {listed or 'none'}"]
    open_days = [day for day, one in sorted(days.items()) if one.state in OPEN]
    lines += [f"  {day}: {days[day].state}, {days[day].why}" for day in open_days[-MOST_NAMED:]]
    if len(open_days) > MOST_NAMED:
        lines.append(f"  and {len(open_days) - MOST_NAMED:,} before them")
    return lines


def _day_gauges(days: Days | None, shop: str) -> list[Gauge]:
    if days is None:
        return []
    counts = Counter(one.state for one in days.values())
    samples = [({"shop": shop, "state": name}, counts[name]) for name in STATES]
    return [Gauge("days", "Days with orders, by whether they are complete.", samples)]


def _expected_lines(found: ShopStatus) -> list[str]:
    """Say which expected files are not there; nothing where the contract expects none."""
    if not found.expects:
        return []
    late = [one for one in found.missing if one.is_late]
    lines = [f"late: {counted(sum(one.missing_files for one in late), 'file', 'files')}"]
    for one in late[-MOST_NAMED:]:
        days = f"{one.first_day}"
        if one.last_day != one.first_day:
            days += f" to {one.last_day}"
        lines.append(f"  {one.dataset}, due {_shown(one.due)}: orders of {days}")
    if len(late) > MOST_NAMED:
        lines.append(f"  and {len(late) - MOST_NAMED:,} deliveries before them")
    following = [f"{one.dataset} by {_shown(one.due)}" for one in found.missing if not one.is_late]
    if following:
        lines.append(f"expected next: {', '.join(following[:MOST_NAMED])}")
    return lines


def _gauges(found: ShopStatus, shop: str, now: datetime, problems: list[str]) -> list[Gauge]:
    of_shop = {"shop": shop}
    refused = len(found.refused) + found.refusals_dropped
    oldest = max((_hours(one.uploaded_at, now) for one in found.waiting), default=0.0)
    datasets = [(of_shop | {"dataset": name}, one) for name, one in found.datasets.items()]
    tables = [(of_shop | {"table": name}, at) for name, at in found.published.items()]
    return [
        Gauge("ledger_sequence", "Last sequence of the ledger.", [(of_shop, found.head)]),
        Gauge("files", "Accepted uploads.", [(to, one.files) for to, one in datasets]),
        Gauge("rows_read", "Rows in them.", [(to, one.rows_read) for to, one in datasets]),
        Gauge("rows_rejected", "Rejected rows.", [(to, one.rows_rejected) for to, one in datasets]),
        Gauge(
            "last_upload_timestamp_seconds",
            "When the last of them was uploaded, in Unix time.",
            [
                (to, one.last_uploaded_at.timestamp())
                for to, one in datasets
                if one.last_uploaded_at is not None
            ],
        ),
        Gauge("refused_files", "Files that are refused.", [(of_shop, refused)]),
        Gauge(
            "waiting_items",
            "Items that wait for their order.",
            [(of_shop, found.waiting_items)],
        ),
        Gauge("waiting_seconds", "Since the first of them came.", [(of_shop, oldest * 3600)]),
        Gauge(
            "late_files",
            "Expected files that are past due.",
            [(of_shop, sum(one.missing_files for one in found.missing if one.is_late))],
        ),
        Gauge("table_sequence", "Sequence that a KPI table has reached.", tables),
        Gauge(
            "tables_behind",
            "KPI tables that lack what the ledger has.",
            [(of_shop, len(found.behind))],
        ),
        Gauge("attention", "Things that need a person.", [(of_shop, len(problems))]),
    ]


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds")


def _shown(at: datetime) -> str:
    """Format an instant for people."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _hours(at: datetime, now: datetime) -> float:
    return max((now - at).total_seconds(), 0.0) / 3600


def _ago(at: datetime | None, now: datetime) -> str:
    """Word how long ago something was, in its largest unit."""
    if at is None:
        return ""
    hours = _hours(at, now)
    if hours < 1:
        return counted(int(hours * 60), "minute")
    return counted(int(hours), "hour") if hours < 48 else counted(int(hours / 24), "day")
