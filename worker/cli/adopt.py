"""`contract adopt`: bring another contract into force."""

from __future__ import annotations

from dataclasses import replace

import click

from kpi.contract.differences import describe_differences, same_clean_rows
from worker.cli.change_output import print_changes
from worker.cli.event_loop import run_async
from worker.cli.options import choose_format, format_option, state_options
from worker.cli.query import check_database_exists
from worker.cli.run import bring_up_to_date, make_reporter
from worker.cli.sanitize import one_line
from worker.errors import ConfigError
from worker.jobs import open_session, proposed_adoption
from worker.settings import read_contract, read_settings


@click.command(short_help="Bring another contract into force.")
@click.argument("file")
@state_options
@click.option("--dry-run", is_flag=True, help="Print the values that would change; write nothing.")
@format_option("table", "json")
def adopt(
    file: str,
    workspace: str | None,
    state: str | None,
    dry_run: bool,
    output_format: str | None,
) -> None:
    """Bring the contract FILE (or a built-in one) into force, and recompute what it changes.

    The first file that is accepted adopts its contract. Every later command takes that one from the
    ledger, and refuses another. Adoption is an entry of the ledger: tables that were switched on
    stay on, and every day is published again under the new contract.

    A contract that changes the clean rows themselves (types, columns, delimiters, limits) cannot be
    adopted yet: use another workspace for it.

    \b
    Examples:
      shopkpi contract adopt berlin.toml --dry-run
      shopkpi contract adopt berlin.toml
    """
    proposed = read_contract(file)
    settings = read_settings(workspace=workspace, state=state, contract=None)
    check_database_exists(settings)
    output_format = choose_format(output_format)
    reporter = make_reporter(output_format)

    async def work() -> None:
        from worker.transform.pending_work import TransformTask  # noqa: PLC0415  (Arrow, 0.3 s)
        from worker.transform.preview import preview_records  # noqa: PLC0415

        async with open_session(settings) as session:
            in_force = session.settings
            if session.adoption is None:
                raise ConfigError(
                    "no file was accepted yet, so no contract is in force",
                    url=settings.state_url,
                    hint=f"`shopkpi run INPUT --contract {file}` adopts it",
                )
            differences = describe_differences(in_force.contract, proposed)
            if not same_clean_rows(in_force.contract, proposed):
                raise ConfigError(
                    f"it changes the clean rows: {'; '.join(differences)}",
                    url=file,
                    hint="use another workspace for it",
                )
            for difference in differences:
                click.echo(one_line(difference), err=True)
            adoption = replace(
                proposed_adoption(replace(in_force, contract=proposed)),
                tables=session.adoption.tables,
            )
            if dry_run:
                task = TransformTask(
                    contract=proposed,
                    workspace=session.workspace,
                    state=session.state,
                    tables=in_force.tables,
                )
                print_changes(await preview_records(task, [adoption]), output_format)
                return
            if adoption.digest != session.adoption.digest:
                await session.state.adopt(adoption, replaces=session.adoption.sequence)
            await bring_up_to_date(session, reporter, [])

    try:
        run_async(work)
    finally:
        reporter.close()
