"""`audit`: recompute published days and compare."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from kpi.aggregation.tables import KPI_TABLES
from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_event_format,
    format_option,
    read_all,
    store_options,
)
from worker.cli.render import show_rows
from worker.errors import StoreError
from worker.jobs import open_session
from worker.reporting.reporters import JsonReporter
from worker.runtime.wording import counted
from worker.settings import read_day, read_settings
from worker.stores import open_objects

if TYPE_CHECKING:
    from worker.maintenance.audit import Audit

EXIT_DIFFERENCES = 3
"""Exit code of an audit that found some."""

FAILED_DAYS_SHOWN = 10

ALL_TABLES = ",".join(table.removesuffix("_kpis") for table in sorted(KPI_TABLES))


@click.command()
@store_options
@click.option(
    "--kpis",
    envvar="SHOPKPI_KPIS",
    show_envvar=True,
    metavar="NAMES",
    help="KPI tables to compare beside all those of the workspace: order, category, product.",
)
@click.option("--from", "first", metavar="DATE", help="First order date.")
@click.option("--to", "last", metavar="DATE", help="Last order date.")
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="N published days, chosen at random, and up to N that may have been left out.",
)
@click.option(
    "--recount",
    type=click.IntRange(0),
    metavar="N",
    help="N days counted by a second implementation too, from the raw files; 0 for none. By "
    "default 2 where the files have up to 256 MiB.",
)
@click.option(
    "--during-uploads",
    is_flag=True,
    help="Uploads may be on their way: no failure where a table is behind the ledger or was never "
    "published, or where every day was just being published.",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Compare key index, checkpoint, sums of busy days and packs too, with what is built from "
    "nothing.",
)
@format_option("table", "json")
def audit(
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str | None,
    first: str | None,
    last: str | None,
    sample: int | None,
    recount: int | None,
    during_uploads: bool,
    rebuild: bool,
    output_format: str | None,
) -> None:
    """Recompute published days from the clean zone and report every row that differs.

    Some days, half of them those published last, are counted once more by a second implementation:
    row by row from the raw files, or from clean files where a raw one is gone, was changed or is of
    another contract. It reads every file of the ledger.

    A row differs in its values, is missing, should not be there, or has an as_of that is not that
    of the day. The exit code is 3 where one does; `shopkpi transform --all` puts right what
    transforms write, and a row of a day that they never wrote has to be deleted. It is 1 where a
    table is behind the ledger or was never published though files were accepted, or where every day
    was just being published; with --during-uploads these are no failures.

    \b
    Examples:
      shopkpi audit
      shopkpi audit --sample 7
    """
    output_format = choose_event_format(output_format)
    settings, *days = read_all(
        lambda: read_settings(
            workspace=workspace, state=state, shop=shop, contract=contract, kpis=kpis or ALL_TABLES
        ),
        lambda: read_day(first, "--from"),
        lambda: read_day(last, "--to"),
    )

    async def work() -> tuple[Audit, list[str]]:
        from worker.maintenance.audit import audit as compare  # Arrow, 0.3 s
        from worker.maintenance.derived import compare_derived

        async with open_session(settings, read_only=True, compares="everything") as session:
            found = await compare(
                contract=settings.contract,
                workspace=session.workspace,
                state=session.state,
                tables=settings.tables if kpis else frozenset(),
                first=days[0],
                last=days[1],
                sample=sample,
                recount_days=recount,
                open_objects=open_objects,
            )
            derived: list[str] = []
            if rebuild:
                derived = await compare_derived(
                    session.settings.contract, session.workspace, session.state
                )
            return found, derived

    found, derived = run_async(work)
    _report(found, derived, as_json=output_format == "json")
    if found.differences or found.recount.refused or derived:
        sys.exit(EXIT_DIFFERENCES)
    _check_compared(found)
    if not during_uploads:
        _check_published(found)


def _check_compared(found: Audit) -> None:
    """Raise an error where a day could not be compared.

    Raises:
        StoreError: A retry may cure it.
    """
    if found.failed:
        days_failed = sorted(found.failed.items())[:FAILED_DAYS_SHOWN]
        shown = "; ".join(f"{day}: {error}" for day, error in days_failed)
        raise StoreError(f"{counted(len(found.failed), 'day')} could not be compared: {shown}")


def _check_published(found: Audit) -> None:
    """Raise an error where something is not published yet.

    Raises:
        StoreError: A transform or a retry cures it.
    """
    if found.unpublished:
        raise StoreError(
            f"{', '.join(found.unpublished)}: never published, though the ledger has accepted "
            "files",
            hint=f"`shopkpi transform --kpis {_option(found.unpublished)}` does it",
        )
    if found.behind:
        behind = ", ".join(f"{name} (as of {at})" for name, at in found.behind.items())
        raise StoreError(
            f"behind the ledger: {behind}",
            hint=f"`shopkpi transform --kpis {_option(found.behind)}` publishes what is new",
        )
    if found.unsettled and not found.days:
        unsettled = counted(found.unsettled, "day was", "days were")
        raise StoreError(f"nothing was compared: {unsettled} being published", hint="try again")


def _option(tables: Iterable[str]) -> str:
    """Word tables as --kpis takes them."""
    return ",".join(name.removesuffix("_kpis") for name in tables)


def _report(found: Audit, derived: list[str], *, as_json: bool) -> None:
    """Print what an audit found."""
    rows = [
        {
            "table": one.table,
            "order_date": str(one.order_date),
            "group": one.group,
            "published": one.published,
            "expected": one.expected,
        }
        for one in found.differences
    ]
    if as_json:
        reporter = JsonReporter(sys.stdout)
        for row in rows:
            # A log may hold KPI values, never rows of the shop's files.
            reporter.emit("audit.difference", **row)
        reporter.emit(
            "audit.finished",
            as_of=found.as_of,
            days=found.days,
            differences=len(rows),
            unsettled=found.unsettled,
            unpublished=found.unpublished,
            behind=found.behind,
            failed=sorted(map(str, found.failed)),
            recounted=sorted(map(str, found.recount.days)),
            raw_files=len(found.recount.raw_files),
            clean_files=len(found.recount.clean_files),
            recount_omitted=found.recount.omitted,
            recount_refused=found.recount.refused,
            index_differences=derived,
            **({"level": "warning"} if found.recount.clean_files else {}),
        )
        return
    if rows:
        show_rows({key: str(value) for key, value in row.items()} for row in rows)
    click.echo(_summarize(found))
    if found.recount.days or found.recount.omitted:
        click.echo(_summarize_recount(found))
    for difference in derived:
        click.echo(f"{difference}; `shopkpi maintain --rebuild` builds it again")


def _summarize_recount(found: Audit) -> str:
    """Say which days the second implementation has counted, and from what."""
    recount = found.recount
    if recount.omitted:
        return f"no day was counted again: {recount.omitted}"
    days = ", ".join(map(str, sorted(recount.days)))
    clean = counted(len(recount.clean_files), "file")
    said = f"counted again from {counted(len(recount.raw_files), 'raw file')}: {days}"
    if not recount.raw_files and recount.clean_files:
        said = (
            "counted again from clean rows alone, which says nothing of how files were read: "
            f"{days} (raw files gone, changed, or of another contract: {clean})"
        )
    elif recount.clean_files:
        said += f"; of {clean} more the clean rows: gone, changed, or of another contract"
    for source_id, reason in sorted(recount.refused.items()):
        said += f"\naccepted, but refused by the second implementation: {source_id}: {reason}"
    return said


def _summarize(found: Audit) -> str:
    """Say in one sentence what was compared with what."""
    left_out = f"; left out: {found.unsettled} being published" if found.unsettled else ""
    if not found.days:
        # Rows outside of every order would be differences.
        if not (found.as_of or found.unsettled or found.unpublished):
            return "nothing to compare: no file was accepted yet"
        return f"compared 0 days as of {found.as_of}" + (left_out or ": no day has orders or rows")
    differ = counted(len(found.differences), "row differs", "rows differ") + left_out
    days = counted(found.days, "day")
    if found.as_of:
        return f"compared {days} as of {found.as_of}: {differ}"
    return (
        f"compared {days}, each as of when it was published: {differ}; which other days "
        "should be there is not known, since no transform of all days has ended"
    )
