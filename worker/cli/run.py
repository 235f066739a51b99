"""`run`: validate files and bring the KPI tables up to date, in one process."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from worker.cli.attention import Condition, check_attention
from worker.cli.dry_run import preview_run
from worker.cli.event_loop import run_async
from worker.cli.file_options import (
    again_option,
    dataset_option,
    fail_on_option,
    infer_option,
    quiet_option,
    settle_option,
    sha256_option,
)
from worker.cli.infer import answer_option, ask_until_answered, infer_settings
from worker.cli.options import (
    choose_event_format,
    format_option,
    kpis_option,
    read_all,
    readers_option,
    store_options,
    until_reader_leaves,
    utf8_or_path,
)
from worker.cli.pipeline import bring_up_to_date, keep_local_headers, make_reporter
from worker.cli.run_output import RunResult, order_rows, show_quietly, show_run
from worker.errors import ConfigError
from worker.inputs import open_all
from worker.jobs import validate_all
from worker.objects.location import locate
from worker.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.cli.render import Headers
    from worker.jobs import Session
    from worker.reporting.reporters import Reporter
    from worker.settings import Settings
    from worker.state import Row
    from worker.validate.discovery import Inputs


@click.command()
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=utf8_or_path)
@store_options
@kpis_option
@dataset_option
@sha256_option
@settle_option
@readers_option
@again_option
@quiet_option
@fail_on_option
@infer_option
@answer_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show each value that the files would change, and write nothing.",
)
@format_option("table", "json")
def run(
    inputs: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    dataset: str | None,
    sha256: bool,
    settle_s: float,
    readers: str | None,
    again: bool,
    quiet: bool,
    fail_on: tuple[Condition, ...],
    infers: bool,
    answers: tuple[str, ...],
    dry_run: bool,
    output_format: str | None,
) -> None:
    """Validate files and bring the KPI tables up to date, in one process.

    INPUT is a folder with the folders orders/, order_items/ and products/, a single file in such a
    folder, or s3://bucket/prefix. Files that are in the ledger already are not read again, but for
    refused ones under another contract, or with --again. A file that cannot be read keeps no other
    back: the exit code is 1, and the message names it. It is 4 where every file was refused, or on
    a result that --fail-on names; everything else is done then.

    With --infer, the first run proposes a contract as `contract infer` does, and takes it where no
    question is open; on a terminal it asks. The ledger keeps it.

    \b
    Examples:
      shopkpi run shop
      shopkpi run shop --quiet --fail-on "refused,rejects>5%"
      shopkpi run shop --dry-run
      shopkpi run downloads --infer
      shopkpi run s3://shop-input --workspace s3://shop-clean --state dynamodb://shop
    """
    _check_use(inputs, answers, infers=infers)
    output_format = choose_event_format(output_format)
    settings, _ = read_all(
        lambda: read_settings(
            workspace=workspace,
            state=state,
            shop=shop,
            contract=contract,
            kpis=kpis,
            sha256=sha256,
            settle_s=settle_s,
            readers=readers,
            again=again,
        ),
        lambda: [locate(text) for text in inputs],
    )
    reporter = make_reporter(output_format, quiet=quiet, silent=dry_run)

    async def work(given: Sequence[str]) -> None:
        chosen = settings
        if infers:
            chosen, text = await infer_settings(inputs, given, settings)
            _show_inferred(text, reporter, is_printed=output_format == "table" and not quiet)
        if dry_run:
            result = await preview_run(inputs, chosen, dataset, output_format)
        else:
            result = await _run(inputs, chosen, dataset, reporter, output_format, quiet=quiet)
        check_attention(fail_on, result)
        result.validated.check()

    with closing(reporter):
        ask_until_answered(lambda given: run_async(lambda: work(given)), answers)


async def _run(
    inputs: Sequence[str],
    settings: Settings,
    dataset: str | None,
    reporter: Reporter,
    output_format: str,
    *,
    quiet: bool,
) -> RunResult:
    async with open_all(inputs, settings, dataset) as (found, session):
        return await run_files(session, found, reporter, output_format, quiet=quiet)


def _show_inferred(text: str | None, reporter: Reporter, *, is_printed: bool) -> None:
    """Tell the contract that was inferred; None where one is in force."""
    if text is None:
        return
    reporter.inferred(text)
    if is_printed:
        click.echo(text)


def _check_use(inputs: tuple[str, ...], answers: tuple[str, ...], *, infers: bool) -> None:
    """Check what options and arguments ask of each other.

    Raises:
        ConfigError, click.UsageError: An answer without a question, or no input.
    """
    if answers and not infers:
        raise ConfigError(option="--answer", expected="--infer beside it", actual=answers[0])
    if not inputs:
        raise click.UsageError("Missing argument 'INPUT...', or `input` in shopkpi.toml.")


async def run_files(
    session: Session, found: Inputs, reporter: Reporter, output_format: str, *, quiet: bool
) -> RunResult:
    """Validate files, publish what they change, and print it."""
    headers: Headers = {}
    rows_before: dict[str, Row] = {}
    if output_format == "table" and not quiet:
        rows_before = await order_rows(session)
    validated = await validate_all(
        session, found, reporter, keep_local_headers(headers, output_format)
    )
    report, effects = await bring_up_to_date(session, reporter, validated.entries)
    result = RunResult(
        validated=validated,
        report=report,
        effects=effects,
        ignored=found.ignored,
        headers=headers,
        rows_before=rows_before,
    )
    if output_format == "table":
        reporter.close()
        await _show(session, result, quiet=quiet)
    return result


async def _show(session: Session, result: RunResult, *, quiet: bool) -> None:
    with until_reader_leaves():
        if quiet:
            show_quietly(result)
        else:
            await show_run(session, result)
