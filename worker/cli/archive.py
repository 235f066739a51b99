"""`archive`: move a raw object once the ledger has its verdict."""

from __future__ import annotations

import sys

import click

from worker.cli.batches import BatchPlace, archive_batch, batch_options
from worker.cli.event_loop import run_async
from worker.cli.options import report_errors_as_json, store_options, utf8_or_path, version_id_option
from worker.maintenance.archive import archive as move_object
from worker.maintenance.archive import check_outside
from worker.objects.location import locate
from worker.reporting.reporters import JsonReporter
from worker.settings import read_settings
from worker.stores import open_objects, open_state


@click.command()
@click.argument("source", required=False, type=utf8_or_path)
@version_id_option
@store_options
@click.option(
    "--to",
    required=True,
    type=utf8_or_path,
    metavar="DIR_OR_URL",
    help="Where archive/ and quarantine/ are.",
)
@batch_options
def archive(
    source: str | None,
    version_id: str | None,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    to: str,
    batch: BatchPlace | None,
) -> None:
    """Move SOURCE to archive/ if it was accepted, else to quarantine/ with its verdict beside it.

    With --queue and --batch it moves the files of that batch which the KPIs have, and deletes their
    messages; all others stay.

    \b
    Example:
      shopkpi archive s3://shop-in/orders/1.csv --to s3://shop-archive --state dynamodb://shop \\
        --workspace s3://shop-clean
    """
    if batch is not None:
        batch.check_alone(SOURCE=source, version_id=version_id)
    report_errors_as_json()
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=contract)
    if batch is not None:
        run_async(lambda: archive_batch(settings, batch, locate(to)))
        return
    if source is None:
        raise click.UsageError("Missing argument 'SOURCE'.")

    async def work() -> None:
        place, target = locate(source), locate(to)
        folders = (dataset.folder for dataset in settings.contract.datasets.values())
        check_outside(place, target, folders)
        ledger = await open_state(settings.state_url, shop=settings.shop, read_only=True)
        stores = await open_objects(place), await open_objects(target)
        try:
            entry, key = await move_object(
                stores[0],
                place,
                version_id=version_id,
                ledger=ledger,
                store=stores[1],
                to=target,
            )
            # As in a URL: bytes that are not UTF-8.
            shown = key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            JsonReporter(sys.stdout).emit(
                "source.moved", source_id=entry.source_id, url=entry.url, key=shown
            )
        finally:
            for store in stores:
                await store.close()
            await ledger.close()

    run_async(work)
