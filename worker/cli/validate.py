"""`validate`: the validation task."""

from __future__ import annotations

import click

from worker import jobs
from worker.cli.batches import (
    BatchPlace,
    batch_options,
    batch_size_options,
    take_and_validate,
)
from worker.cli.event_loop import run_async
from worker.cli.file_options import again_option, dataset_option, settle_option, sha256_option
from worker.cli.options import (
    choose_event_format,
    format_option,
    readers_option,
    store_options,
    utf8_or_path,
    version_id_option,
)
from worker.cli.pipeline import keep_local_headers, make_reporter
from worker.cli.render import Headers, show_doubts, show_receipts, show_refusals
from worker.inputs import only_source, open_all
from worker.jobs import Session, Validated, validate_all
from worker.objects.source import Source
from worker.reporting.reporters import Reporter
from worker.settings import read_settings

MISSING = "Missing argument 'SOURCE...'."


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", type=utf8_or_path)
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
@batch_size_options
@batch_options
@format_option("table", "json")
def validate(
    sources: tuple[str, ...],
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    dataset: str | None,
    sha256: bool,
    settle_s: float,
    readers: str | None,
    again: bool,
    version_id: str | None,
    byte_range: str | None,
    commit_ranges: bool,
    batch: BatchPlace | None,
    output_format: str | None,
) -> None:
    """Validate source objects: write clean rows and rejects, commit each to the ledger.

    A verdict that refuses a file is a result, not an error: the exit code is 0. In a batch, a file
    that fails is left to its message.

    \b
    Examples:
      shopkpi validate shop/orders/monday.csv
      shopkpi validate s3://in/orders/1.csv --workspace s3://clean --state dynamodb://shop
      shopkpi validate year/order_items/2025.csv --range 0-268435398
    """
    if batch is not None:
        batch.check_alone(SOURCE=sources, dataset=dataset, version_id=version_id, range=byte_range)
    else:
        _check_sources(sources, version_id, byte_range, commits=commit_ranges)
    output_format = choose_event_format(output_format)
    settings = read_settings(
        workspace=workspace,
        state=state,
        shop=shop,
        contract=contract,
        sha256=sha256,
        settle_s=settle_s,
        readers=readers,
        again=again,
    )
    if batch is not None:
        run_async(lambda: take_and_validate(settings, batch))
        return
    reporter = make_reporter(output_format)
    headers: Headers = {}

    async def work() -> Validated:
        # A validation task has no right to KPI tables; the transform after it compares them.
        opened = open_all(sources, settings, dataset, version_id, compares="workspace")
        async with opened as (found, session):
            if not found.sources and not found.left:
                # The only object is a marker or temporary file: no failure, as in a folder.
                return await validate_all(session, found, reporter)
            if byte_range is None and not commit_ranges:
                keep = keep_local_headers(headers, output_format)
                return await validate_all(session, found, reporter, keep)
            return await _validate_part(session, only_source(found), byte_range, reporter)

    try:
        validated = run_async(work)
    finally:
        reporter.close()
    if output_format == "table" and validated.entries:
        show_receipts(validated.entries, {})
        show_refusals(validated.entries, headers)
        show_doubts(validated.new_entries)
    validated.check()


async def _validate_part(
    session: Session, source: Source, byte_range: str | None, reporter: Reporter
) -> Validated:
    """Validate one range of a source, or commit it, all of whose ranges are validated."""
    if byte_range is None:
        entry = await jobs.commit_ranges(session, source, reporter)
    else:
        entry = await jobs.validate_range(session, source, byte_range, reporter)
    return Validated(entries=[entry], left={})


def _check_sources(
    sources: tuple[str, ...], version_id: str | None, byte_range: str | None, *, commits: bool
) -> None:
    """Refuse no source, and options that go with one source, or not with each other."""
    if not sources:
        raise click.UsageError(MISSING)
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
