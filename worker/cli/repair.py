"""`repair`: let corrected rows count in the places of their rejects."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_event_format,
    format_option,
    kpis_option,
    raw_option,
    store_options,
)
from worker.cli.pipeline import bring_up_to_date, make_reporter
from worker.cli.query import check_database_exists
from worker.cli.render import short_name
from worker.cli.sanitize import one_line
from worker.errors import ConfigError
from worker.jobs import open_session, validation_context
from worker.maintenance.raw_objects import RawObjects
from worker.objects.location import locate
from worker.reporting.reporters import SilentReporter
from worker.runtime.wording import counted
from worker.settings import read_settings
from worker.stores import open_objects

if TYPE_CHECKING:
    from worker.cli.repair_sheet import Sheet
    from worker.jobs import Session
    from worker.maintenance.repair.repair import Repaired


@click.command()
@click.argument("sheet", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@store_options
@kpis_option
@raw_option
@format_option("table", "json")
def repair(
    sheet: Path,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    raw: tuple[str, ...],
    output_format: str | None,
) -> None:
    """Take the corrected rows of FILE, which `shopkpi rejects SOURCE --repair FILE` has written.

    Each row counts as if it had stood in its file so: a later file that has its key wins. A row
    that is still wrong stays rejected, and so does one that was left as it was, or whose line was
    deleted. The same FILE twice changes nothing. Retracting the upload takes the repair out with
    it, and restoring it brings both back.

    \b
    Examples:
      shopkpi repair corrected.csv
      shopkpi repair corrected.csv --raw moved
    """
    from worker.cli.repair_sheet import read_sheet  # Arrow, 0.3 s

    output_format = choose_event_format(output_format)
    settings = read_settings(
        workspace=workspace, state=state, shop=shop, contract=contract, kpis=kpis
    )
    check_database_exists(settings)
    corrected = read_sheet(sheet)
    reporter = make_reporter(output_format)

    async def work() -> None:
        async with open_session(settings) as session:
            async with aclosing(RawObjects(open_objects, [locate(one) for one in raw])) as found:
                found.ledger = session.state
                done = await _repair(session, sheet, corrected, found)
            reporter.repaired(done.entry, done.new)
            await bring_up_to_date(session, reporter, [])
        reporter.close()
        if output_format == "table":
            _show(done)

    try:
        run_async(work)
    finally:
        reporter.close()


async def _repair(session: Session, path: Path, sheet: Sheet, raw: RawObjects) -> Repaired:
    from worker.maintenance.repair.form import counting_entry, find_source, read_form
    from worker.maintenance.repair.repair import RepairTask

    context = validation_context(session, SilentReporter())
    entry = await counting_entry(sheet.source_id, context)
    source = await find_source(entry, raw)
    form = await read_form(source, context)
    if sheet.headers != form.headers:
        raise ConfigError(
            "its columns are not those of the rejected rows' file",
            url=path,
            expected=", ".join(map(repr, form.headers)),
            actual=", ".join(map(repr, sheet.headers)),
            hint="columns keep their names and their order",
        )
    return await RepairTask(source=source, form=form, rows=sheet.rows, context=context).run()


def _show(done: Repaired) -> None:
    entry = done.entry
    repaired = 0 if entry.repair is None else entry.repair.rows
    click.echo(
        one_line(
            f"{short_name(entry.url)}: rejected {entry.rows_rejected + repaired:,}, "
            f"repaired {repaired:,}, open {entry.rows_rejected:,}"
        )
    )
    click.echo(
        f"of this sheet {counted(done.new, 'row')} repaired"
        + (f", {done.unchanged:,} left as they were" if done.unchanged else "")
        + (f", {len(done.still):,} still wrong:" if done.still else "")
    )
    for row, reasons in sorted(done.still.items()):
        click.echo(one_line(f"  row {row}: {'; '.join(reasons)}"))
