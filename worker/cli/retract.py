"""`retract` and `restore`: take an upload out of the KPIs, and put it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from worker.cli.change_output import print_changes
from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_event_format,
    format_option,
    kpis_option,
    store_options,
    utf8,
    utf8_or_path,
)
from worker.cli.pipeline import bring_up_to_date, make_reporter
from worker.cli.query import check_database_exists
from worker.jobs import open_session
from worker.maintenance.rulings import plan_rulings
from worker.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from worker.settings import Settings
    from worker.state.records import Decision


def _ruling_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.argument(
                "sources", nargs=-1, required=True, metavar="SOURCE...", type=utf8_or_path
            ),
            store_options,
            kpis_option,
            click.option(
                "--reason", type=utf8, default="", metavar="TEXT", help="Why, for the ledger."
            ),
            click.option(
                "--dry-run", is_flag=True, help="Print the rows that would change; write nothing."
            ),
            format_option("table", "json"),
        )
    ):
        function = option(function)
    return function


@click.command()
@_ruling_options
def retract(
    sources: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    reason: str,
    dry_run: bool,
    output_format: str | None,
) -> None:
    """Take uploads out of the KPIs, as if they had never come.

    SOURCE is an id, or the end of a path or URL, as `shopkpi ledger` prints them. Earlier versions
    of the rows count again. Nothing is deleted: `shopkpi restore` puts an upload back.

    \b
    Examples:
      shopkpi retract orders/monday.csv --reason "test orders"
      shopkpi retract 0f3a1c2d4e5b6a79 --dry-run
      shopkpi retract s3://shop-in/orders/1.csv --workspace s3://shop-clean --state dynamodb://shop
    """
    output_format = choose_event_format(output_format)
    settings = read_settings(
        workspace=workspace, state=state, shop=shop, contract=contract, kpis=kpis
    )
    _rule(sources, settings, "retraction", reason, dry_run=dry_run, output_format=output_format)


@click.command()
@_ruling_options
def restore(
    sources: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    reason: str,
    dry_run: bool,
    output_format: str | None,
) -> None:
    """Put retracted uploads back into the KPIs.

    \b
    Example:
      shopkpi restore orders/monday.csv
    """
    output_format = choose_event_format(output_format)
    settings = read_settings(
        workspace=workspace, state=state, shop=shop, contract=contract, kpis=kpis
    )
    _rule(sources, settings, "restoration", reason, dry_run=dry_run, output_format=output_format)


def _rule(
    sources: tuple[str, ...],
    settings: Settings,
    kind: Decision,
    reason: str,
    *,
    dry_run: bool,
    output_format: str,
) -> None:
    check_database_exists(settings)
    reporter = make_reporter(output_format)

    async def work() -> None:
        from worker.transform.preview import preview_records
        from worker.transform.task import TransformTask  # Arrow, 0.3 s

        async with open_session(settings) as session:
            rulings = await plan_rulings(session.state, sources, kind, reason, session.in_force)
            task = TransformTask(
                contract=session.settings.contract,
                workspace=session.workspace,
                state=session.state,
                tables=session.settings.tables,
            )
            if not rulings:
                done = "retracted" if kind == "retraction" else "in the KPIs"
                click.echo(f"nothing to do: it is {done} already", err=True)
            changes = await preview_records(task, rulings) if rulings else []
            if not dry_run:
                for ruling in rulings:
                    reporter.ruled(await session.state.rule(ruling))
                await bring_up_to_date(session, reporter, [])
        if output_format == "json" and not dry_run:
            return  # events have said it
        reporter.close()
        print_changes(changes, output_format)

    try:
        run_async(work)
    finally:
        reporter.close()
