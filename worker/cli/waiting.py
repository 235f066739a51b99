"""`waiting`: items that wait for their order: how long, of which file, for which order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from worker.cli.event_loop import run_async
from worker.cli.options import choose_format, format_option, store_options
from worker.cli.query import check_database_exists
from worker.cli.row_output import print_rows
from worker.jobs import open_session
from worker.settings import read_settings

if TYPE_CHECKING:
    from worker.maintenance.waiting_orders import WaitingOrder


@click.command()
@store_options
@click.option("--keys", "with_keys", is_flag=True, help="Print the ids of orders unmasked.")
@format_option("table", "json", "csv")
def waiting(
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    with_keys: bool,
    output_format: str | None,
) -> None:
    """Print the items that wait for their order, those that wait longest first.

    They are read from the clean zone as it is now, of the 1,000 files of most waiting items as of
    the last transform. Ids of orders are masked without --keys.

    \b
    Examples:
      shopkpi waiting
      shopkpi waiting --keys --format csv
    """
    settings = read_settings(workspace=workspace, state=state, shop=shop, contract=contract)
    output_format = choose_format(output_format)
    check_database_exists(settings)

    async def work() -> list[WaitingOrder]:
        from worker.maintenance.shop_status import find_waiting_files  # Arrow, 0.3 s
        from worker.maintenance.waiting_orders import find_waiting_orders

        async with open_session(settings, read_only=True) as session:
            files = await find_waiting_files(session.state, await session.state.progress())
            return await find_waiting_orders(
                session.state, session.workspace, session.settings.contract, files
            )

    found = run_async(work, clean_stop=False)
    now = datetime.now(UTC)
    from worker.explain.row_changes import mask_key

    with print_rows(output_format) as output:
        for one in found:
            order_id = one.order_id
            if order_id is not None and not with_keys:
                order_id = mask_key(order_id)
            hours = max((now - one.file.uploaded_at).total_seconds(), 0) / 3600
            output.add(
                {
                    "file": one.file.url.rsplit("/", 1)[-1]
                    if output_format == "table"
                    else one.file.url,
                    "source": one.file.source_id,
                    "uploaded_at": one.file.uploaded_at.isoformat(timespec="seconds"),
                    "hours": round(hours, 1),
                    "dataset": one.dataset,
                    "rows": one.rows,
                    "order_id": order_id,
                }
            )
