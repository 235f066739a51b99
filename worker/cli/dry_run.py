"""`run --dry-run`: what files would change, before anything is written."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli.change_output import print_changes
from worker.cli.run_output import RunResult, describe_entry
from worker.cli.sanitize import one_line
from worker.inputs import open_all
from worker.jobs import is_missing, validate_all
from worker.objects.location import locate
from worker.reporting.reporters import SilentReporter
from worker.state.supposed import SupposedState
from worker.stores import open_overlay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.jobs import Session, Validated
    from worker.settings import Settings
    from worker.transform.preview import RowChange
    from worker.validate.discovery import Inputs


async def preview_run(
    inputs: Sequence[str], settings: Settings, dataset: str | None, output_format: str
) -> RunResult:
    """Print the verdicts on new files, and each value that publishing them would change.

    The result has no effects: what would wait for its order, or roll rows back, is not computed.
    """
    from worker.transform.report import Report  # Arrow, 0.3 s

    with ExitStack() as opened:
        if is_missing(settings):  # then nothing is there that could be changed, nor is it made
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="shopkpi-"))
            database = f"sqlite://{Path(folder) / 'shopkpi.db'}"
            settings = replace(settings, workspace=locate(folder), state_url=database)
        async with open_all(inputs, settings, dataset) as (found, session):
            validated, changes = await _suppose(session, found)
        for entry in validated.new_entries:
            click.echo(one_line(f"would be {describe_entry(entry, None)}"), err=True)
        print_changes(changes, output_format)
        return RunResult(validated=validated, report=Report(as_of=0), effects={})


async def _suppose(session: Session, found: Inputs) -> tuple[Validated, list[RowChange]]:
    """Validate files into a workspace that is thrown away, and preview what they change."""
    from worker.transform.preview import preview_records  # Arrow, 0.3 s
    from worker.transform.task import TransformTask

    async with open_overlay(session.workspace.store) as store:
        workspace = replace(session.workspace, store=store)
        state = SupposedState(session.state, await session.state.head())
        supposed = replace(session, workspace=workspace, state=state)  # type: ignore[arg-type]
        validated = await validate_all(supposed, found, SilentReporter())
        task = TransformTask(
            contract=session.settings.contract,
            workspace=workspace,
            state=session.state,
            tables=session.settings.tables,
        )
        return validated, await preview_records(task, state.supposed)
