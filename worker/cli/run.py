"""`run`, `validate` and `transform`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_format,
    for_a_reader,
    format_option,
    kpis_option,
    read_all,
    store_options,
    utf8,
    utf8_or_path,
)

if TYPE_CHECKING:
    from datetime import date

    from worker.jobs import Session
    from worker.reporting.reporters import Reporter
    from worker.state import Effect, Entry
    from worker.transform import Report

sha256_option = click.option(
    "--sha256",
    is_flag=True,
    envvar="SHOPKPI_SHA256",
    show_envvar=True,
    help="Receipts tell the SHA-256 of each file too, for a tenth more CPU time.",
)

dataset_option = click.option(
    "--dataset",
    type=click.Choice(["orders", "order_items", "products"]),
    help="Dataset of every INPUT; by default its folder's name tells.",
)


@click.command(short_help="Files in, KPIs out.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=utf8_or_path)
@store_options
@kpis_option
@dataset_option
@sha256_option
@format_option("table", "json")
def run(
    inputs: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    contract: str | None,
    kpis: str,
    dataset: str | None,
    sha256: bool,
    form: str | None,
) -> None:
    """Validate files and bring the KPI tables up to date, in one process.

    INPUT is a folder with the folders orders/, order_items/ and products/, a single file in such a
    folder, or s3://bucket/prefix. Files that are in the ledger already are not read again.

    \b
    Examples:
      shopkpi run shop
      shopkpi run shop/orders/monday.csv.gz --format json
      shopkpi run s3://shop-input --workspace s3://shop-clean --state dynamodb://shop
    """
    from worker.objects.location import locate  # noqa: PLC0415
    from worker.settings import read_settings  # noqa: PLC0415

    settings, _ = read_all(
        lambda: read_settings(
            workspace=workspace, state=state, contract=contract, kpis=kpis, sha256=sha256
        ),
        lambda: [locate(text) for text in inputs],
    )
    form = choose_format(form, "table", "json")
    reporter = _reporter(form)

    async def work() -> None:
        from worker.jobs import open_all, validate_all  # noqa: PLC0415

        async with open_all(inputs, settings, dataset) as (sources, session):
            entries = await validate_all(session, sources, reporter)
            report, effects = await bring_up_to_date(session, reporter, entries)
            if form == "table":
                reporter.close()
                from worker.cli.render import show_run  # noqa: PLC0415

                with for_a_reader():
                    await show_run(session, entries, effects, report)

    try:
        run_async(work)
    finally:
        reporter.close()


@click.command(short_help="Raw files to clean rows: the validation task.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=utf8_or_path)
@store_options
@dataset_option
@sha256_option
@click.option(
    "--version-id", type=utf8, metavar="ID", help="S3 version of SOURCE, as an event names it."
)
@click.option("--range", "span", metavar="A-B", help="Only these bytes, as `plan` gives them.")
@click.option(
    "--batches",
    type=utf8_or_path,
    metavar="URL",
    help="Commit SOURCE, whose planned ranges are all in.",
)
@format_option("table", "json")
def validate(
    sources: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    contract: str | None,
    dataset: str | None,
    sha256: bool,
    version_id: str | None,
    span: str | None,
    batches: str | None,
    form: str | None,
) -> None:
    """Check and clean source objects, set bad rows aside, and commit each to the ledger.

    A verdict that refuses a file is a result, not an error: the exit code is 0.

    \b
    Examples:
      shopkpi validate shop/orders/monday.csv
      shopkpi validate s3://in/orders/1.csv --workspace s3://clean --state dynamodb://shop
      shopkpi validate year/order_items/2025.csv --range 0-268435398
    """
    one_only = [
        name
        for name, value in (("--version-id", version_id), ("--range", span), ("--batches", batches))
        if value is not None
    ]
    if one_only and len(sources) > 1:
        raise click.UsageError(f"{one_only[0]} goes with one SOURCE")
    from worker.settings import read_settings  # noqa: PLC0415

    settings = read_settings(workspace=workspace, state=state, contract=contract, sha256=sha256)
    form = choose_format(form, "table", "json")
    reporter = _reporter(form)

    async def work() -> list[Entry]:
        from worker.jobs import open_all, validate_all, validate_part  # noqa: PLC0415

        async with open_all(sources, settings, dataset, version_id) as (found, session):
            if span is None and batches is None:
                return await validate_all(session, found, reporter)
            return [await validate_part(session, found[0], span, reporter)]

    try:
        entries = run_async(work)
    finally:
        reporter.close()
    if form == "table":
        from worker.cli.render import show_receipts  # noqa: PLC0415

        show_receipts(entries, {})


@click.command(short_help="Clean rows to KPIs: the transformation task.")
@store_options
@kpis_option
@click.option(
    "--source-id", type=utf8, metavar="ID", help="Fail unless this source object is committed."
)
@click.option("--from", "first", metavar="DATE", help="Only days from this one on.")
@click.option("--to", "last", metavar="DATE", help="Only days up to this one.")
@click.option("--all", "everything", is_flag=True, help="Compute every day anew.")
@format_option("table", "json")
def transform(
    workspace: str | None,
    state: str | None,
    contract: str | None,
    kpis: str,
    source_id: str | None,
    first: str | None,
    last: str | None,
    everything: bool,
    form: str | None,
) -> None:
    """Publish the days that the ledger's newest entries have changed.

    With --from or --to it does a slice of days and leaves the rest to others; a last transform
    without them then only has to see that every day is there.

    \b
    Examples:
      shopkpi transform
      shopkpi transform --all --kpis order,category,product
      shopkpi transform --from 2025-03-01 --to 2025-03-31 --state dynamodb://shop \\
        --workspace s3://shop-clean
    """
    from worker.errors import ConfigError  # noqa: PLC0415
    from worker.settings import read_day, read_settings  # noqa: PLC0415

    settings, *days = read_all(
        lambda: read_settings(workspace=workspace, state=state, contract=contract, kpis=kpis),
        lambda: read_day(first, "--from"),
        lambda: read_day(last, "--to"),
    )
    form = choose_format(form, "table", "json")
    reporter = _reporter(form)

    async def work() -> Report:
        from worker.jobs import open_session  # noqa: PLC0415

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
    if form == "table":
        from worker.cli.render import show_report  # noqa: PLC0415

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
    """Transform and report; returns the effects of some entries too."""
    from worker.transform import transform as compute  # noqa: PLC0415

    settings = session.settings
    report = await compute(
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


def _reporter(form: str) -> Reporter:
    from worker.reporting.reporters import JsonReporter, SilentReporter  # noqa: PLC0415
    from worker.reporting.terminal import TerminalReporter  # noqa: PLC0415

    if form == "json":
        return JsonReporter()
    return TerminalReporter() if sys.stderr.isatty() else SilentReporter()
