"""`plan`, `archive` and `audit`: what the cloud adds around the two tasks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import orjson

from worker.cli.common import (
    choose_format,
    format_option,
    kpis_option,
    read_all,
    run_async,
    store_options,
    utf8,
    utf8_or_path,
)
from worker.errors import StoreError

if TYPE_CHECKING:
    from worker.audit import Audit

DIFFERENCES = 3
"""Exit code of an audit that found some."""

version_id_option = click.option(
    "--version-id", type=utf8, metavar="ID", help="S3 version of SOURCE, as an event names it."
)


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
        from worker.pipeline import open_session, open_sources  # noqa: PLC0415
        from worker.plan import plan as plan_ranges  # noqa: PLC0415
        from worker.transform import plan_days  # noqa: PLC0415

        if source is not None:
            async with open_sources([source], settings, None, version_id) as (found, *_):
                spans = await plan_ranges(found, settings.contract, split_bytes)
                return [{"range": f"{start}-{end}"} for start, end in spans]
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
        from worker.urls import locate, open_objects  # noqa: PLC0415

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
        from worker.archive import archive as move  # noqa: PLC0415
        from worker.report import JsonReporter  # noqa: PLC0415
        from worker.urls import locate, open_objects, open_state  # noqa: PLC0415

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


@click.command(short_help="Hold published days against the clean zone.")
@store_options
@kpis_option
@click.option("--from", "first", metavar="DATE", help="First order date.")
@click.option("--to", "last", metavar="DATE", help="Last order date.")
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="N published days, chosen by chance, and up to N that may have been left out.",
)
@format_option("table", "json")
def audit(
    workspace: str | None,
    state: str | None,
    contract: str | None,
    kpis: str,
    first: str | None,
    last: str | None,
    sample: int | None,
    form: str | None,
) -> None:
    """Compute published days anew from the clean zone and report every row that differs: values,
    rows that are missing or should not be there, an as_of that is not that of the day.

    The exit code is 3 where one does; `shopkpi transform --all` puts right what transforms write,
    and a row of a day that they never wrote has to be deleted. It is 1 where a table was never
    published though files were accepted, or where every day was just being published.

    \b
    Examples:
      shopkpi audit
      shopkpi audit --sample 7
    """
    from worker.settings import read_day, read_settings  # noqa: PLC0415

    settings, *days = read_all(
        lambda: read_settings(workspace=workspace, state=state, contract=contract, kpis=kpis),
        lambda: read_day(first, "--from"),
        lambda: read_day(last, "--to"),
    )

    async def work() -> Audit:
        from worker.audit import audit as compare  # noqa: PLC0415
        from worker.pipeline import open_session  # noqa: PLC0415

        async with open_session(settings) as session:
            return await compare(
                contract=settings.contract,
                workspace=session.workspace,
                state=session.state,
                tables=settings.tables,
                first=days[0],
                last=days[1],
                sample=sample,
            )

    found = run_async(work)
    _report(found, as_json=choose_format(form, "table", "json") == "json")
    if found.differences:
        sys.exit(DIFFERENCES)
    if found.unpublished:
        raise StoreError(
            f"{', '.join(found.unpublished)}: never published, though the ledger has accepted "
            f"files; `shopkpi transform --kpis {kpis}` does it"
        )
    if found.failed:
        told = "; ".join(f"{day}: {error}" for day, error in sorted(found.failed.items())[:10])
        raise StoreError(f"{len(found.failed)} days could not be compared: {told}")
    if found.unsettled and not found.days:
        raise StoreError(
            f"nothing was compared: {found.unsettled} days were being published; try again"
        )


def _report(found: Audit, *, as_json: bool) -> None:
    """Print what an audit found."""
    rows = [
        {
            "table": one.table,
            "order_date": str(one.order_date),
            "group": one.group,
            "published": one.published,
            "expected": one.expected,
        }
        for one in found.differences
    ]
    if as_json:
        from worker.report import JsonReporter  # noqa: PLC0415

        reporter = JsonReporter(sys.stdout)
        for row in rows:
            # KPI values may stand in a log; rows of the shop's files never do.
            reporter.emit("audit.difference", **row)
        reporter.emit(
            "audit.finished",
            as_of=found.as_of,
            days=found.days,
            differences=len(rows),
            unsettled=found.unsettled,
            unpublished=found.unpublished,
            failed=sorted(map(str, found.failed)),
        )
        return
    from worker.cli.tables import show_rows  # noqa: PLC0415

    if rows:
        show_rows({key: str(value) for key, value in row.items()} for row in rows)
    click.echo(_summary(found))


def _summary(found: Audit) -> str:
    """One sentence: what was compared with what."""
    left_out = f"; left out: {found.unsettled} being published" if found.unsettled else ""
    if not found.days:
        # Rows outside of every order would be differences.
        return f"compared 0 days as of {found.as_of}" + (left_out or ": no day has orders or rows")
    differ = f"{len(found.differences)} rows differ{left_out}"
    if found.as_of:
        return f"compared {found.days} days as of {found.as_of}: {differ}"
    return (
        f"compared {found.days} days, each as of when it was published: {differ}; which other days "
        "should be there is not known, since no transform of all days has ended"
    )
