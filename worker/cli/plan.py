"""`plan`: divide work among many workers."""

from __future__ import annotations

import click
import orjson

from worker.cli.event_loop import run_async
from worker.cli.options import kpis_option, store_options, utf8_or_path, version_id_option
from worker.inputs import only_source, open_sources
from worker.jobs import open_session
from worker.objects.location import locate
from worker.settings import Settings, read_settings
from worker.stores import open_objects


@click.command()
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
    "--output",
    type=utf8_or_path,
    metavar="PATH_OR_URL",
    help="Write the plan there instead of printing it.",
)
def plan(
    source: str | None,
    version_id: str | None,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
    split_bytes: int,
    days: int | None,
    output: str | None,
) -> None:
    """Plan byte ranges of SOURCE, or slices of the days to publish, as a JSON array.

    Ranges begin and end between records, for `validate --range`; slices are for `transform --from
    --to`.

    \b
    Examples:
      shopkpi plan year/order_items/2025.csv --split-bytes 268435456
      shopkpi plan --days 31
    """
    settings = read_settings(
        workspace=workspace, state=state, shop=shop, contract=contract, kpis=kpis
    )

    async def work() -> None:
        if source is not None and days is None:
            parts = await _plan_ranges(settings, source, version_id, split_bytes)
        elif source is None and days is not None:
            parts = await _plan_days(settings, days)
        else:
            raise click.UsageError("expected SOURCE or --days, one of them")
        await write_output(orjson.dumps(parts, option=orjson.OPT_INDENT_2), output)

    run_async(work)


async def _plan_ranges(
    settings: Settings, source: str, version_id: str | None, split_bytes: int
) -> list[dict[str, str]]:
    from worker.validate.range_planner import plan_ranges  # Arrow, 0.3 s

    async with open_sources([source], settings, None, version_id) as found:
        if not found.sources and not found.left:
            return []
        ranges = await plan_ranges(only_source(found), settings.contract, split_bytes)
    return [{"range": str(one)} for one in ranges]


async def _plan_days(settings: Settings, days: int) -> list[dict[str, str]]:
    from worker.transform import plan_days  # Arrow, 0.3 s

    async with open_session(settings, read_only=True) as session:
        slices = await plan_days(
            contract=settings.contract,
            workspace=session.workspace,
            state=session.state,
            tables=settings.tables,
            days=days,
        )
    return [{"from": str(first), "to": str(last)} for first, last in slices]


async def write_output(text: bytes, output: str | None) -> None:
    """Write to an object, or print where none is named."""
    if output is None:
        click.echo(text)
        return
    location = locate(output)
    store = await open_objects(location)
    try:
        async with store.create(location.key) as writer:
            await writer.write(text)
    finally:
        await store.close()
