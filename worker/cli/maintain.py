"""`maintain`: keep the index small, and build it again."""

from __future__ import annotations

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
from worker.inputs import open_all
from worker.jobs import open_session, validate_all
from worker.settings import read_settings

if TYPE_CHECKING:
    from worker.jobs import Session
    from worker.maintenance.rebuild import Rebuilt
    from worker.reporting.reporters import Reporter


@click.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...", type=utf8_or_path)
@store_options
@kpis_option
@click.option("--rebuild", is_flag=True, help="Build index and KPIs again.")
@format_option("table", "json")
def maintain(
    inputs: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    rebuild: bool,
    output_format: str | None,
) -> None:
    """x"""
    output_format = choose_event_format(output_format)
    settings = read_settings(
        workspace=workspace, state=state, shop=shop, contract=contract, kpis=kpis
    )
    if inputs and not rebuild:
        raise click.UsageError("INPUT goes with --rebuild")
    reporter = make_reporter(output_format)

    async def work() -> Rebuilt:
        if not inputs:
            async with open_session(settings, compares="nothing") as session:
                return await _rebuild(session, reporter)
        async with open_all(inputs, settings, None, compares="nothing") as (found, session):
            validated = await validate_all(session, found, reporter)
            done = await _rebuild(session, reporter)
        validated.check()
        return done

    try:
        done = run_async(work)
    finally:
        reporter.close()
    click.echo(done)


async def _rebuild(session: Session, reporter: Reporter) -> Rebuilt:
    from worker.maintenance.rebuild import rebuild  # Arrow, 0.3 s
    from worker.transform.task import TransformTask

    task = TransformTask(
        contract=session.settings.contract,
        workspace=session.workspace,
        state=session.state,
        tables=session.settings.tables,
    )
    done = await rebuild(task, progress=reporter.publishing)
    reporter.transformed(done.report, {})
    return done
