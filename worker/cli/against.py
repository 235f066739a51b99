"""`contract check --against`: try a contract on files, in a workspace that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli.event_loop import run_async
from worker.cli.pipeline import bring_up_to_date
from worker.cli.render import (
    describe_reasons,
    show_doubts,
    show_receipts,
    show_refusals,
    show_report,
)
from worker.cli.sanitize import one_line
from worker.errors import ConfigError
from worker.inputs import open_all
from worker.jobs import validate_all
from worker.reporting.reporters import SilentReporter
from worker.runtime.wording import counted
from worker.settings import read_settings

if TYPE_CHECKING:
    from worker.clean.rejects import RejectedRow
    from worker.jobs import Session, Validated
    from worker.state import Entry


def try_against(file: str, inputs: Sequence[str], page: Path | None = None) -> None:
    """Run a contract on files; print receipts, and the shape of the KPI tables.

    Args:
        file: The contract.
        inputs: The files.
        page: Where the verdict is written as HTML too; None for nowhere.

    Raises:
        ConfigError: A file is refused.
        SourcesLeft: A file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="shopkpi-check-") as folder:
        settings = read_settings(
            workspace=str(Path(folder) / "workspace"),
            state=None,
            contract=file,
            kpis="order,category,product",
            settle_s=0.0,
        )

        async def work() -> Validated:
            async with open_all(inputs, settings, None) as (found, session):
                reporter = SilentReporter()
                validated = await validate_all(session, found, reporter)
                report, effects = await bring_up_to_date(session, reporter, validated.entries)
                show_receipts(validated.entries, effects)
                show_report(report)
                await _show_shapes(session)
                show_refusals(validated.entries)
                show_doubts(validated.entries)
                reasons = describe_reasons(validated.entries)
                if reasons:
                    click.echo(one_line(f"reasons of rejects: {reasons}"))
                if page is not None:
                    await _write_page(session, validated.entries, page)
                for one in found.ignored:
                    click.echo(one_line(f"not read: {one.url}: {one.reason}"))
            return validated

        validated = run_async(work)
        validated.check()
        refused = [one.url for one in validated.entries if one.verdict == "refused"]
        if refused:
            raise ConfigError(
                f"the contract refuses {len(refused)} of {counted(len(validated.entries), 'file')}",
                url=refused[0],
            )


async def _write_page(session: Session, entries: Sequence[Entry], page: Path) -> None:
    """Write the verdict for the supplier of the files."""
    from worker.clean.rejects import read_rejects  # Arrow, 0.3 s
    from worker.cli.verdict_page import MOST_ROWS, FileVerdict, write_page

    files: list[FileVerdict] = []
    for entry in entries:
        rejects: list[RejectedRow] = []
        async for one in read_rejects(entry, session.workspace):
            if len(rejects) == MOST_ROWS:
                break
            rejects.append(one)
        files.append(FileVerdict(entry=entry, rejects=rejects))
    write_page(page, session.settings.contract.name, files)
    click.echo(one_line(f"for the supplier of the files: {page}"))


async def _show_shapes(session: Session) -> None:
    """Print the rows of each KPI table, and its first and last day."""
    for name in sorted(session.settings.tables):
        days = [str(row["order_date"]) async for row in session.state.rows(name)]
        span = f", {min(days)} to {max(days)}" if days else ""
        click.echo(one_line(f"{name}: {counted(len(days), 'row')}{span}"))
