"""`transform`: the transformation task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from worker.cli.batches import BatchPlace, batch_options, transform_batch
from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_event_format,
    format_option,
    kpis_option,
    read_all,
    readers_option,
    store_options,
    utf8,
)
from worker.cli.pipeline import bring_up_to_date, make_reporter
from worker.cli.render import show_report
from worker.errors import ConfigError
from worker.jobs import open_session
from worker.settings import read_day, read_settings

if TYPE_CHECKING:
    from worker.transform import Report


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
@click.option(
    "--part-of",
    type=utf8,
    metavar="NAME",
    help="Share the lease with the transforms of this name: slices of one.",
)
@batch_options
@format_option("table", "json")
def transform(
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    readers: str | None,
    source_id: str | None,
    first: str | None,
    last: str | None,
    everything: bool,
    part_of: str | None,
    batch: BatchPlace | None,
    output_format: str | None,
) -> None:
    """Publish the days that the ledger's newest entries have changed.

    With --from or --to it publishes only those days; a last transform without them then only has to
    check that every day is there. With --part-of all of them hold one lease, for which the other
    transforms of the shop wait. With --queue and --batch the messages of that batch stay
    invisible meanwhile.

    \b
    Examples:
      shopkpi transform
      shopkpi transform --all --kpis order,category,product
      shopkpi transform --from 2025-03-01 --to 2025-03-31 --state dynamodb://shop \\
        --workspace s3://shop-clean
    """
    if batch is not None:
        of_files = {"--from": first, "--to": last, "--all": everything, "--part-of": part_of}
        batch.check_alone(**of_files)
    output_format = choose_event_format(output_format)
    settings, *days = read_all(
        lambda: read_settings(
            workspace=workspace,
            state=state,
            shop=shop,
            contract=contract,
            kpis=kpis,
            readers=readers,
        ),
        lambda: read_day(first, "--from"),
        lambda: read_day(last, "--to"),
    )
    if batch is not None:
        run_async(lambda: transform_batch(settings, batch))
        return
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
                session, reporter, entries, *days, everything=everything, part_of=part_of
            )
            return report

    try:
        report = run_async(work)
    finally:
        reporter.close()
    if output_format == "table":
        show_report(report)
