"""`plan`: divide work among many workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import orjson

from worker.cli.audit import version_id_option
from worker.cli.event_loop import run_async
from worker.cli.options import (
    kpis_option,
    store_options,
    utf8_or_path,
)

if TYPE_CHECKING:
    pass


@click.command(short_help="Divide a huge file, or the days to publish, for many tasks.")
@click.argument("source", required=False, type=utf8_or_path)
@version_id_option
@store_options
@kpis_option
@click.option(
    "--split-bytes",
    type=click.IntRange(1),
    default=2**30,
    show_default=True,
    metavar="N",
    help="Bytes of a range, about.",
)
@click.option("--days", type=click.IntRange(1), metavar="N", help="Days of a slice; no SOURCE.")
@click.option(
    "--batches",
    type=utf8_or_path,
    metavar="URL",
    help="Write the plan there instead of printing it.",
)
def plan(
    source: str | None,
    version_id: str | None,
    workspace: str | None,
    state: str | None,
    contract: str | None,
    kpis: str,
    split_bytes: int,
    days: int | None,
    batches: str | None,
) -> None:
    """Print a JSON array: byte ranges of SOURCE that begin and end between records, for `validate
    --range`; or, with --days, slices of the days to be published, for `transform --from --to`.

    \b
    Examples:
      shopkpi plan year/order_items/2025.csv --split-bytes 268435456
      shopkpi plan --days 31
    """
    if (source is None) == (days is None):
        raise click.UsageError("expected SOURCE or --days, one of them")
    from worker.settings import read_settings  # noqa: PLC0415

    settings = read_settings(workspace=workspace, state=state, contract=contract, kpis=kpis)

    async def work() -> list[dict[str, str]]:
        from worker.jobs import open_session, open_sources  # noqa: PLC0415
        from worker.transform import plan_days  # noqa: PLC0415
        from worker.validate.range_planner import plan_ranges  # noqa: PLC0415

        if source is not None:
            async with open_sources([source], settings, None, version_id) as (found, *_):
                ranges = await plan_ranges(found, settings.contract, split_bytes)
                return [{"range": str(one)} for one in ranges]
        async with open_session(settings) as session:
            slices = await plan_days(
                contract=settings.contract,
                workspace=session.workspace,
                state=session.state,
                tables=settings.tables,
                days=days or 1,
            )
            return [{"from": str(first), "to": str(last)} for first, last in slices]

    async def planned() -> None:
        from worker.objects.location import locate  # noqa: PLC0415
        from worker.stores import open_objects  # noqa: PLC0415

        text = orjson.dumps(await work(), option=orjson.OPT_INDENT_2)
        if batches is None:
            click.echo(text)
            return
        place = locate(batches)
        store = await open_objects(place)
        try:
            async with store.create(place.key) as writer:
                await writer.write(text)
        finally:
            await store.close()

    run_async(planned)
