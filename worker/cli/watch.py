"""`watch`: read files as they arrive in a folder or below a prefix."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli.event_loop import run_async
from worker.cli.file_options import settle_option
from worker.cli.options import (
    choose_event_format,
    format_option,
    kpis_option,
    read_all,
    readers_option,
    store_options,
    utf8_or_path,
)
from worker.cli.run import run_files
from worker.cli.sanitize import one_line, without_secrets
from worker.errors import ConfigError, describe
from worker.inputs import open_all, open_inputs
from worker.objects.location import locate
from worker.reporting.reporters import ArrivalReporter, JsonReporter, Reporter, SilentReporter
from worker.settings import read_settings
from worker.validate.discovery import list_below
from worker.validate.folder_watch import FolderWatch, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.errors import WorkerError
    from worker.objects.location import Location
    from worker.settings import Settings

EVERY_S = 2.0
"""Seconds between two looks at a folder."""

EVERY_S_IN_S3 = 60.0
"""Seconds between two looks at a prefix. Each is a LIST request, $0.22 a month for 1,000 objects
($0.005 for 1,000 requests: Amazon S3 pricing, us-east-1, 2025)."""


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=utf8_or_path)
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.1, 86_400),
    metavar="SECONDS",
    help="Time between two looks.  [default: 2; 60 for s3://]",
)
@store_options
@kpis_option
@settle_option
@readers_option
@format_option("table", "json")
def watch(
    inputs: tuple[str, ...],
    every_s: float | None,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    settle_s: float,
    readers: str | None,
    output_format: str | None,
) -> None:
    """Read files as they arrive, and keep the KPI tables up to date, until SIGTERM or Ctrl-C.

    INPUT is as of `run`, and each change below it is followed by what `run` does: a file counts
    once it has not changed for --settle seconds, and once only, wherever it is moved. What cannot
    be read is told, and tried again. On a signal the exit code is 0: what was committed stays, and
    the next start goes on from there.

    \b
    Examples:
      shopkpi watch shop
      shopkpi watch s3://shop-input/exports --workspace s3://shop-clean --state dynamodb://shop
    """
    output_format = choose_event_format(output_format)
    settings, locations = read_all(
        lambda: read_settings(
            workspace=workspace,
            state=state,
            shop=shop,
            contract=contract,
            kpis=kpis,
            settle_s=settle_s,
            readers=readers,
        ),
        lambda: _check_folders([locate(text) for text in inputs]),
    )
    if every_s is None:
        every_s = EVERY_S_IN_S3 if any(one.bucket for one in locations) else EVERY_S
    run_async(lambda: _watch(inputs, settings, output_format, every_s))


def _check_folders(locations: Sequence[Location]) -> Sequence[Location]:
    """Check that folders of this machine exist: one that does not is a typing error, not empty.

    Raises:
        ConfigError: It names the folder.
    """
    for one in locations:
        if not one.bucket and not Path(f"/{one.key}").exists():
            raise ConfigError("nothing is there", url=one.url, hint="make the folder first")
    return locations


async def _watch(
    inputs: Sequence[str], settings: Settings, output_format: str, every_s: float
) -> None:
    """Watch until a signal cancels this; that is how it is meant to end."""
    events = JsonReporter() if output_format == "json" else None

    async def look() -> int:
        async with open_inputs(inputs) as places:
            return await fingerprint(list_below(places, settings.workspace))

    async def read() -> None:
        reporter: Reporter = SilentReporter() if events is None else ArrivalReporter()
        try:
            async with open_all(inputs, settings, None) as (found, session):
                result = await run_files(session, found, reporter, output_format, quiet=True)
            result.validated.check()
        finally:
            reporter.close()

    def tell(error: WorkerError, retry_s: float | None) -> None:
        problem = one_line(without_secrets(describe(error)))
        if events is not None:
            events.emit("watch.failed", level="warning", problem=problem, retry_s=retry_s)
        else:
            again = "at the next change" if retry_s is None else f"in {retry_s:.0f} s"
            click.echo(f"shopkpi: {problem}; tried again {again}", err=True)

    if events is not None:
        events.emit("watch.started", inputs=[without_secrets(one) for one in inputs])
    else:
        click.echo(f"Watching {', '.join(map(one_line, inputs))}; Ctrl-C ends it.", err=True)
    try:
        await FolderWatch(look=look, read=read, tell=tell, every_s=every_s).watch()
    except asyncio.CancelledError:
        if events is not None:
            events.emit("watch.stopped")
        sys.stdout.flush()
