"""`run`, `validate` and `transform`: the two tasks, together or one by one."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from kpi.contract.differences import describe_differences
from worker import jobs
from worker.cli.attention import Condition, check_attention, parse_conditions
from worker.cli.event_loop import run_async
from worker.cli.infer import answer_option, infer_settings
from worker.cli.options import (
    choose_event_format,
    format_option,
    kpis_option,
    read_all,
    readers_option,
    store_options,
    until_reader_leaves,
    utf8,
    utf8_or_path,
    version_id_option,
)
from worker.cli.render import Headers, show_receipts, show_refusals, show_report
from worker.cli.run_output import RunResult, order_rows, show_quietly, show_run
from worker.errors import ConfigError
from worker.jobs import Validated, only_source, open_all, open_session, validate_all
from worker.objects.location import locate
from worker.reporting.reporters import JsonReporter, QuietReporter, SilentReporter
from worker.settings import read_day, read_settings

if TYPE_CHECKING:
    from datetime import date

    from worker.jobs import Session
    from worker.objects.source import HeaderCallback, Source
    from worker.reporting.reporters import Reporter
    from worker.state import Effect, Entry, Row
    from worker.transform import Report
    from worker.validate.discovery import Inputs

sha256_option = click.option(
    "--sha256",
    is_flag=True,
    envvar="SHOPKPI_SHA256",
    show_envvar=True,
    help="Put the SHA-256 of all bytes of files above 8 MiB into receipts: a tenth more CPU time.",
)

settle_option = click.option(
    "--settle",
    "settle_s",
    type=click.FloatRange(0, 3600),
    default=2.0,
    show_default=True,
    envvar="SHOPKPI_SETTLE",
    show_envvar=True,
    metavar="SECONDS",
    help="Wait until no new file has changed for so long: one may still be being copied. 0 waits "
    "for none.",
)

dataset_option = click.option(
    "--dataset",
    type=click.Choice(["orders", "order_items", "products"]),
    help="Dataset of every INPUT; by default the name of its folder.",
)


quiet_option = click.option(
    "--quiet",
    is_flag=True,
    envvar="SHOPKPI_QUIET",
    show_envvar=True,
    help="Print one line for each new file, and nothing where nothing is new.",
)

again_option = click.option(
    "--again",
    is_flag=True,
    help="Validate files again that were refused under the contract in force.",
)

fail_on_option = click.option(
    "--fail-on",
    multiple=True,
    callback=parse_conditions,
    envvar="SHOPKPI_FAIL_ON",
    show_envvar=True,
    metavar="RESULTS",
    help="End with exit code 4 on: refused (a new file), rejects or 'rejects>RATE' (of the rows of "
    "a new file, as 0.01 or 1%), waiting (items without order), rollback (rows that replace newer "
    "ones). Several with commas.",
)


infer_option = click.option(
    "--infer",
    "infers",
    is_flag=True,
    help="Infer the contract from the files, where none is in force.",
)


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
@format_option("table", "json")
def run(
    inputs: tuple[str, ...],
    workspace: str | None,
    state: str | None,
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
    output_format: str | None,
) -> None:
    """Validate files and bring the KPI tables up to date, in one process.

    INPUT is a folder with the folders orders/, order_items/ and products/, a single file in such a
    folder, or s3://bucket/prefix. Files that are in the ledger already are not read again, but for
    refused ones under another contract, or with --again. A file that cannot be read keeps no other
    back: the exit code is 1, and the message names it. It is 4 where every file was refused, or on
    a result that --fail-on names; everything else is done then.

    With --infer, the first run proposes a contract as `contract infer` does, and takes it where no
    question is open. The ledger keeps it; later runs need no option.

    \b
    Examples:
      shopkpi run shop
      shopkpi run shop --quiet --fail-on "refused,rejects>5%"
      shopkpi run downloads --infer
      shopkpi run s3://shop-input --workspace s3://shop-clean --state dynamodb://shop
    """
    _check_use(inputs, answers, infers=infers)
    output_format = choose_event_format(output_format)
    settings, _ = read_all(
        lambda: read_settings(
            workspace=workspace,
            state=state,
            contract=contract,
            kpis=kpis,
            sha256=sha256,
            settle_s=settle_s,
            readers=readers,
            again=again,
        ),
        lambda: [locate(text) for text in inputs],
    )
    reporter = make_reporter(output_format, quiet=quiet)

    async def work() -> None:
        chosen = settings
        if infers:
            chosen, text = await infer_settings(inputs, answers, settings)
            if text is not None:
                reporter.inferred(text)
                if output_format == "table" and not quiet:
                    click.echo(text)
        async with open_all(inputs, chosen, dataset) as (found, session):
            result = await _run_files(session, found, reporter, output_format, quiet=quiet)
        check_attention(fail_on, result)
        result.validated.check()

    try:
        run_async(work)
    finally:
        reporter.close()


def _check_use(inputs: tuple[str, ...], answers: tuple[str, ...], *, infers: bool) -> None:
    """Check what options and arguments ask of each other.

    Raises:
        ConfigError, click.UsageError: An answer without a question, or no input.
    """
    if answers and not infers:
        raise ConfigError(option="--answer", expected="--infer beside it", actual=answers[0])
    if not inputs:
        raise click.UsageError("Missing argument 'INPUT...', or `input` in shopkpi.toml.")


async def _run_files(
    session: Session, found: Inputs, reporter: Reporter, output_format: str, *, quiet: bool
) -> RunResult:
    """Validate files, publish what they change, and print it."""
    headers: Headers = {}
    rows_before: dict[str, Row] = {}
    if output_format == "table" and not quiet:
        rows_before = await order_rows(session)
    validated = await validate_all(session, found, reporter, _keep_local(headers, output_format))
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


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=utf8_or_path)
@store_options
@dataset_option
@sha256_option
@settle_option
@readers_option
@again_option
@version_id_option
@click.option(
    "--range", "byte_range", metavar="A-B", help="Only these bytes, as `plan` prints them."
)
@click.option(
    "--commit-ranges",
    is_flag=True,
    help="Commit SOURCE, all of whose ranges have been validated.",
)
@format_option("table", "json")
def validate(
    sources: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    contract: str | None,
    dataset: str | None,
    sha256: bool,
    settle_s: float,
    readers: str | None,
    again: bool,
    version_id: str | None,
    byte_range: str | None,
    commit_ranges: bool,
    output_format: str | None,
) -> None:
    """Validate source objects: write clean rows and rejects, commit each to the ledger.

    A verdict that refuses a file is a result, not an error: the exit code is 0.

    \b
    Examples:
      shopkpi validate shop/orders/monday.csv
      shopkpi validate s3://in/orders/1.csv --workspace s3://clean --state dynamodb://shop
      shopkpi validate year/order_items/2025.csv --range 0-268435398
    """
    _check_single_source(sources, version_id, byte_range, commits=commit_ranges)
    output_format = choose_event_format(output_format)
    settings = read_settings(
        workspace=workspace,
        state=state,
        contract=contract,
        sha256=sha256,
        settle_s=settle_s,
        readers=readers,
        again=again,
    )
    reporter = make_reporter(output_format)
    headers: Headers = {}

    async def work() -> Validated:
        async with open_all(sources, settings, dataset, version_id) as (found, session):
            if not found.sources and not found.left:
                # The only object is a marker or temporary file: no failure, as in a folder.
                return await validate_all(session, found, reporter)
            if byte_range is not None:
                entry = await jobs.validate_range(session, only_source(found), byte_range, reporter)
            elif commit_ranges:
                entry = await jobs.commit_ranges(session, only_source(found), reporter)
            else:
                keep = _keep_local(headers, output_format)
                return await validate_all(session, found, reporter, keep)
            return Validated(entries=[entry], left={})

    try:
        validated = run_async(work)
    finally:
        reporter.close()
    if output_format == "table" and validated.entries:
        show_receipts(validated.entries, {})
        show_refusals(validated.entries, headers)
    validated.check()


def _check_single_source(
    sources: tuple[str, ...], version_id: str | None, byte_range: str | None, *, commits: bool
) -> None:
    """Refuse options that go with one source, or not with each other."""
    given = {
        "--version-id": version_id is not None,
        "--range": byte_range is not None,
        "--commit-ranges": commits,
    }
    for option, is_given in given.items():
        if is_given and len(sources) > 1:
            raise click.UsageError(f"{option} goes with one SOURCE")
    if byte_range is not None and commits:
        raise click.UsageError("expected --range or --commit-ranges, not both")


@click.command()
@store_options
@kpis_option
@readers_option
@click.option(
    "--source-id", type=utf8, metavar="ID", help="Fail unless this source object is committed."
)
@click.option("--from", "first", metavar="DATE", help="Only days from this one on.")
@click.option("--to", "last", metavar="DATE", help="Only days up to this one.")
@click.option("--all", "everything", is_flag=True, help="Recompute every day.")
@format_option("table", "json")
def transform(
    workspace: str | None,
    state: str | None,
    contract: str | None,
    kpis: str,
    readers: str | None,
    source_id: str | None,
    first: str | None,
    last: str | None,
    everything: bool,
    output_format: str | None,
) -> None:
    """Publish the days that the ledger's newest entries have changed.

    With --from or --to it publishes only those days; a last transform without them then only has to
    check that every day is there.

    \b
    Examples:
      shopkpi transform
      shopkpi transform --all --kpis order,category,product
      shopkpi transform --from 2025-03-01 --to 2025-03-31 --state dynamodb://shop \\
        --workspace s3://shop-clean
    """
    output_format = choose_event_format(output_format)
    settings, *days = read_all(
        lambda: read_settings(
            workspace=workspace, state=state, contract=contract, kpis=kpis, readers=readers
        ),
        lambda: read_day(first, "--from"),
        lambda: read_day(last, "--to"),
    )
    reporter = make_reporter(output_format)

    async def work() -> Report:
        async with open_session(settings) as session:
            entries = []
            if source_id is not None:
                entry = await session.state.find(source_id)
                if entry is None:
                    raise ConfigError(f"{source_id} is not in the ledger", option="--source-id")
                entries = [entry]
            report, _ = await bring_up_to_date(
                session, reporter, entries, *days, everything=everything
            )
            return report

    try:
        report = run_async(work)
    finally:
        reporter.close()
    if output_format == "table":
        show_report(report)


async def bring_up_to_date(
    session: Session,
    reporter: Reporter,
    entries: list[Entry],
    first: date | None = None,
    last: date | None = None,
    *,
    everything: bool = False,
) -> tuple[Report, dict[str, Effect]]:
    """Transform, report it, and return the effects of `entries` too."""
    # Arrow takes 0.3 s to import: `validate` does without, and `run` until files are read.
    from worker.transform import transform as publish_changed_days

    settings = session.settings
    proposed, adoption = settings.proposed, session.adoption
    if proposed is not None and adoption is not None and proposed.digest != adoption.digest:
        reporter.proposed(proposed, describe_differences(settings.contract, proposed))
    await _switch_on_tables(session)
    report = await publish_changed_days(
        contract=settings.contract,
        workspace=session.workspace,
        state=session.state,
        tables=settings.tables,
        first=first,
        last=last,
        everything=everything,
        progress=reporter.publishing,
    )
    effects = await session.state.effects([entry.source_id for entry in entries])
    reporter.transformed(report, effects)
    return report, effects


async def _show(session: Session, result: RunResult, *, quiet: bool) -> None:
    with until_reader_leaves():
        if quiet:
            show_quietly(result)
        else:
            await show_run(session, result)


def _keep_local(headers: Headers, output_format: str) -> HeaderCallback | None:
    """Keep the headers of refused files of this machine, for tables; a log gets none."""
    if output_format != "table":
        return None

    def keep(source: Source, header: tuple[str, ...]) -> None:
        if not source.info.bucket:
            headers[source.source_id] = header

    return keep


async def _switch_on_tables(session: Session) -> None:
    """Record KPI tables that are published for the first time, so that none is left behind."""
    adoption = await session.state.adoption()
    if adoption is None or session.settings.tables <= set(adoption.tables):
        return
    tables = tuple(sorted(session.settings.tables | set(adoption.tables)))
    wider = replace(adoption, tables=tables, recorded_at=datetime.now(UTC))
    await session.state.adopt(wider, replaces=adoption.sequence)


def make_reporter(output_format: str, *, quiet: bool = False) -> Reporter:
    """Build the reporter of a command: JSON lines, progress bars on a terminal, or silence."""
    if output_format == "json":
        return QuietReporter() if quiet else JsonReporter()
    if quiet or not sys.stderr.isatty():
        return SilentReporter()
    from worker.reporting.terminal import TerminalReporter  # rich takes 0.1 s

    return TerminalReporter()
