"""`maintain`: keep what derives from ledger and clean zone small, or build it again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_event_format,
    format_option,
    kpis_option,
    store_options,
    utf8_or_path,
)
from worker.cli.pipeline import make_reporter
from worker.cli.query import check_database_exists
from worker.cli.render import show_report, show_rows
from worker.errors import SourceMissing
from worker.inputs import open_all
from worker.jobs import open_session, validate_all, validation_context
from worker.reporting.reporters import JsonReporter
from worker.runtime.wording import counted
from worker.settings import read_settings
from worker.state.contract_in_force import contract_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.jobs import Session, Validated
    from worker.maintenance.rebuild import Rebuilt
    from worker.maintenance.upkeep import Upkeep
    from worker.objects import StoredName
    from worker.reporting.reporters import Reporter
    from worker.settings import Settings
    from worker.validate.discovery import Inputs


@click.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...", type=utf8_or_path)
@store_options
@kpis_option
@click.option(
    "--rebuild",
    is_flag=True,
    help="Delete index and packs, compute every day, and build them again, for the ledger as it "
    "is. INPUT: raw files to make a lost ledger of.",
)
@click.option("--dry-run", is_flag=True, help="List what would be deleted; change nothing.")
@click.option(
    "--iceberg",
    "catalog",
    metavar="CATALOG",
    help="Also bring Iceberg tables of the current rows up to date: `sqlite` for a workspace in a "
    "folder, glue://DATABASE for one in S3.",
)
@format_option("table", "json")
def maintain(
    inputs: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    rebuild: bool,
    dry_run: bool,
    catalog: str | None,
    output_format: str | None,
) -> None:
    """Merge the key index, write a checkpoint of the ledger, and delete unused objects.

    Unused is what no manifest and no entry of the ledger names for a day. All of it may run beside
    everything else, as often as you like; no KPI depends on it.

    --rebuild also follows a restored ledger, KPI table or workspace: it takes the ledger as it is.
    Days that only lost entries made go away. Killed, it goes on where it was.

    \b
    Examples:
      shopkpi maintain
      shopkpi maintain --dry-run
      shopkpi maintain --iceberg sqlite
      shopkpi maintain --rebuild
      shopkpi maintain --rebuild shop
    """
    output_format = choose_event_format(output_format)
    settings = read_settings(
        workspace=workspace, state=state, shop=shop, contract=contract, kpis=kpis
    )
    if inputs and not rebuild:
        raise click.UsageError("INPUT goes with --rebuild")
    if rebuild and dry_run:
        raise click.UsageError("expected --rebuild or --dry-run, not both")
    if catalog and dry_run:
        raise click.UsageError("expected --iceberg or --dry-run, not both")
    if not inputs:
        check_database_exists(settings)
    if catalog:
        from worker.cli.iceberg import check_option

        check_option(catalog, settings)
    reporter = make_reporter(output_format)
    is_json = output_format == "json"
    try:
        if rebuild:
            rebuilt = run_async(lambda: _rebuild(settings, inputs, reporter))
        else:
            upkeep, unused = run_async(lambda: _keep_up(settings, dry_run=dry_run))
    finally:
        reporter.close()
    if rebuild:
        _show_rebuilt(rebuilt, is_json=is_json)
    else:
        _show_upkeep(upkeep, unused if dry_run else [], is_json=is_json)
    if catalog:
        from worker.cli.iceberg import publish_and_show

        publish_and_show(catalog, settings, rebuilds=rebuild, is_json=is_json)


async def _keep_up(settings: Settings, *, dry_run: bool) -> tuple[Upkeep, list[StoredName]]:
    from worker.maintenance.upkeep import keep_up  # Arrow, 0.3 s

    unused: list[StoredName] = []
    async with open_session(settings, compares="workspace") as session:
        done = await keep_up(
            session.settings.contract,
            session.workspace,
            session.state,
            dry_run=dry_run,
            found=unused.append if dry_run else lambda _: None,
        )
    return done, unused


async def _rebuild(settings: Settings, inputs: Sequence[str], reporter: Reporter) -> Rebuilt:
    validated: Validated | None = None
    async with open_all(inputs, settings, None, compares="nothing") as (found, session):
        if inputs:
            validated = await validate_all(session, found, reporter)
            await _remake_lost_objects(session, found, reporter)
        try:
            done = await _rebuild_session(session, reporter)
        except SourceMissing as error:
            error.hint = (
                "name the raw files, from which clean files are made again: "
                "`shopkpi maintain --rebuild INPUT...`"
            )
            raise
    if validated is not None:
        validated.check()
    return done


async def _remake_lost_objects(session: Session, found: Inputs, reporter: Reporter) -> None:
    """Make clean files again that a workspace that was put back has lost."""
    from worker.maintenance.lost_objects import remake_lost_objects  # Arrow, 0.3 s

    state = session.state
    in_force = await contract_of(state, await state.adoption(), session.settings.contract)
    remade = await remake_lost_objects(
        found.sources, validation_context(session, reporter), in_force
    )
    remade.check()


async def _rebuild_session(session: Session, reporter: Reporter) -> Rebuilt:
    from worker.maintenance.rebuild import rebuild
    from worker.transform.task import TransformTask  # Arrow, 0.3 s

    task = TransformTask(
        contract=session.settings.contract,
        workspace=session.workspace,
        state=session.state,
        tables=session.settings.tables,
    )
    done = await rebuild(task, progress=reporter.publishing)
    reporter.transformed(done.report, {})
    return done


def _show_rebuilt(done: Rebuilt, *, is_json: bool) -> None:
    if is_json:
        JsonReporter(sys.stdout).emit(
            "rebuild.finished",
            as_of=done.report.as_of,
            days=len(done.report.days),
            deleted_objects=done.deleted_objects,
            deleted_bytes=done.deleted_bytes,
            deleted_rows=done.deleted_rows,
            repeated_erasures=done.erasures,
            resumed=done.resumed,
        )
        return
    show_report(done.report)
    if done.resumed:
        click.echo("went on with a rebuild that had been ended")
    if done.erasures:
        verb = "was" if done.erasures == 1 else "were"
        erasures = counted(done.erasures, "erasure of a customer", "erasures of customers")
        click.echo(f"{erasures} {verb} repeated, which the ledger did not know any more")
    click.echo(
        f"deleted: {counted(done.deleted_objects, 'object')} of index and packs "
        f"({done.deleted_bytes} bytes), {counted(done.deleted_rows, 'KPI row')} of lost records"
    )


def _show_upkeep(done: Upkeep, unused: Sequence[StoredName], *, is_json: bool) -> None:
    collected = done.collected
    if is_json:
        reporter = JsonReporter(sys.stdout)
        for one in unused:
            reporter.emit(
                "object.unused",
                key=one.key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
                bytes=one.size_bytes,
                written_at=one.modified_at.isoformat(),
            )
        reporter.emit(
            "maintenance.finished",
            merged_runs=done.merged.runs,
            merged_pointers=done.merged.pointers,
            merged_bytes=done.merged.size_bytes,
            index_damaged=done.index_damaged,
            checkpoint=done.checkpoint,
            unused_objects=collected.objects,
            unused_bytes=collected.size_bytes,
        )
        return
    if unused:
        show_rows(
            {"object": one.key, "bytes": str(one.size_bytes), "written": str(one.modified_at)}
            for one in unused
        )
    merged = done.merged
    click.echo(
        f"key index: {counted(merged.runs, 'run')} merged"
        + (f", {merged.pointers} pointers, {merged.size_bytes} bytes" if merged.runs else "")
        + ("; one was damaged, the next transform builds the index again" * done.index_damaged)
    )
    as_of = f"written as of {done.checkpoint}" if done.checkpoint else "up to date"
    click.echo(f"checkpoint of the ledger: {as_of}")
    for zone in ("index", "packs", "clean", "rejects"):
        count, size_bytes = collected.objects.get(zone, 0), collected.size_bytes.get(zone, 0)
        click.echo(f"unused below {zone}/: {counted(count, 'object')}, {size_bytes} bytes")
