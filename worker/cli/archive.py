"""`archive`: move a raw object once the ledger has its verdict."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.cli.audit import version_id_option
from worker.cli.event_loop import run_async
from worker.cli.options import (
    store_options,
    utf8_or_path,
)

if TYPE_CHECKING:
    pass


@click.command(short_help="Move a raw file away once the ledger has its verdict.")
@click.argument("source", type=utf8_or_path)
@version_id_option
@store_options
@click.option(
    "--to",
    required=True,
    type=utf8_or_path,
    metavar="DIR_OR_URL",
    help="Where archive/ and quarantine/ are.",
)
def archive(
    source: str,
    version_id: str | None,
    workspace: str | None,
    state: str | None,
    contract: str | None,
    to: str,
) -> None:
    """Move SOURCE to archive/ if it was accepted, else to quarantine/ with its verdict beside it.

    \b
    Example:
      shopkpi archive s3://shop-in/orders/1.csv --to s3://shop-archive --state dynamodb://shop \\
        --workspace s3://shop-clean
    """
    from worker.settings import read_settings  # noqa: PLC0415

    settings = read_settings(workspace=workspace, state=state, contract=contract)

    async def work() -> None:
        from worker.maintenance.archive import archive as move  # noqa: PLC0415
        from worker.objects.location import locate  # noqa: PLC0415
        from worker.reporting.reporters import JsonReporter  # noqa: PLC0415
        from worker.stores import open_objects, open_state  # noqa: PLC0415

        place, target = locate(source), locate(to)
        opened = await open_state(settings.state_url)
        stores = await open_objects(place), await open_objects(target)
        try:
            entry, key = await move(
                stores[0],
                place,
                version_id=version_id,
                ledger=opened,
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
            await opened.close()

    run_async(work)
