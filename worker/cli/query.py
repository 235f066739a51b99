"""`query`, `ledger` and `rejects`: what came out, and where every row went."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kpi.aggregation.tables import KPI_TABLES
from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_format,
    format_option,
    read_all,
    store_options,
    until_reader_leaves,
    utf8,
)
from worker.cli.render import show_receipts, show_refusals, show_rows, shown_attributes
from worker.cli.row_output import BATCH_ROWS, print_rows
from worker.errors import ConfigError, StoreError
from worker.jobs import open_session
from worker.maintenance.rulings import has_name
from worker.settings import read_day, read_settings
from worker.state.paging import entries_in_pages
from worker.state.receipt import receipt
from worker.stores import open_state

if TYPE_CHECKING:
    from worker.clean import Workspace
    from worker.settings import Settings
    from worker.state import Effect, Entry, Row, Ruling, State

TABLES = {"orders": "order_kpis", "category": "category_kpis", "product": "product_kpis"}
REVENUE = {
    "order_kpis": "total_revenue",
    "category_kpis": "daily_revenue",
    "product_kpis": "revenue",
}


@click.command()
@click.argument("table", type=click.Choice(list(TABLES)))
@store_options
@click.option("--from", "first", metavar="DATE", help="First order date.")
@click.option("--to", "last", metavar="DATE", help="Last order date.")
@click.option("--category", type=utf8, metavar="NAME", help="One category (of `category`).")
@click.option("--product", type=utf8, metavar="ID", help="One product (of `product`).")
@click.option("--top", type=click.IntRange(1), metavar="N", help="The N rows of most revenue.")
@format_option("table", "json", "csv")
def query(
    table: str,
    workspace: str | None,
    state: str | None,
    contract: str | None,
    first: str | None,
    last: str | None,
    category: str | None,
    product: str | None,
    top: int | None,
    output_format: str | None,
) -> None:
    """Print KPI rows, ascending by day.

    JSON is a list of objects; money and rates are strings that keep every digit.

    \b
    Examples:
      shopkpi query orders --from 2025-03-01 --to 2025-03-31
      shopkpi query category --category Beauty --format csv
      shopkpi query category --top 10
    """
    settings, *days = read_all(
        lambda: read_settings(workspace=workspace, state=state, contract=contract),
        lambda: read_day(first, "--from"),
        lambda: read_day(last, "--to"),
    )
    groups = {"category": category, "product": product}
    misplaced = [name for name, value in groups.items() if value is not None and name != table]
    if misplaced:
        raise click.UsageError(f"--{misplaced[0]} goes with `query {misplaced[0]}`")
    name = TABLES[table]
    check_database_exists(settings)
    output_format = choose_format(output_format)

    async def work() -> None:
        store = await open_state(settings.state_url, read_only=True)
        try:
            rows = store.rows(name, group=groups.get(table), first=days[0], last=days[1])
            if top is not None:
                rows = _top_rows(rows, REVENUE[name], top)
            with print_rows(output_format) as output:
                names: list[str] = []
                async for row in rows:
                    names = names or shown_attributes(KPI_TABLES[name], row, settings.contract)
                    output.add({key: row.get(key) for key in names})
                if not names:
                    await _check_published(store, name)
        finally:
            await store.close()

    run_async(work, clean_stop=False)


@click.command()
@click.argument("source", required=False)
@store_options
@format_option("table", "json")
def ledger(
    source: str | None,
    workspace: str | None,
    state: str | None,
    contract: str | None,
    output_format: str | None,
) -> None:
    """Print the receipts of all source objects, or of SOURCE: an id, or the end of a path or URL.

    \b
    Examples:
      shopkpi ledger
      shopkpi ledger orders/monday.csv --format json
    """
    settings = read_settings(workspace=workspace, state=state, contract=contract)
    output_format = choose_format(output_format)
    check_database_exists(settings)

    rulings: dict[str, Ruling] = {}

    async def work() -> list[tuple[Entry, Effect | None]]:
        store = await open_state(settings.state_url, read_only=True)
        try:
            rulings.update({ruling.source_id: ruling for ruling in await store.rulings()})
            found = _find_with_effects(store, source)
            if output_format == "table":
                return [pair async for pair in found]
            with print_rows(output_format) as output:
                async for entry, effect in found:
                    output.add(receipt(entry, effect, rulings.get(entry.source_id)))
            return []
        finally:
            await store.close()

    found = run_async(work, clean_stop=False)
    if output_format == "table":
        with until_reader_leaves():
            effects = {entry.source_id: effect for entry, effect in found if effect is not None}
            show_receipts([entry for entry, _ in found], effects, rulings, when=" at first")
            show_refusals(entry for entry, _ in found)
            if source is not None and len(found) == 1:
                one = receipt(*found[0], rulings.get(found[0][0].source_id))
                show_rows({"field": key, "value": str(value)} for key, value in one.items())


@click.command()
@click.argument("source")
@store_options
@format_option("table", "json", "csv")
def rejects(
    source: str,
    workspace: str | None,
    state: str | None,
    contract: str | None,
    output_format: str | None,
) -> None:
    """Print the rejected rows of SOURCE: an id, or the end of a path or URL.

    `row` counts the rows from the header on, which is row 1 (blank lines are none); `byte_offset`
    is where the row starts in the decompressed file. Bytes that are not UTF-8 are shown as \\xNN.

    \b
    Examples:
      shopkpi rejects orders/monday.csv
      shopkpi rejects 0f3a1c2d4e5b6a79 --format csv > monday-rejects.csv
    """
    settings = read_settings(workspace=workspace, state=state, contract=contract)
    output_format = choose_format(output_format)

    async def work() -> None:
        async with open_session(settings, read_only=True) as session:
            entries = [one async for page in _find(session.state, source) for one in page]
            with print_rows(output_format) as output:
                for entry in entries:
                    async for reject in _read_rejects(entry, session.workspace):
                        output.add(reject)

    run_async(work, clean_stop=False)


async def _check_published(state: State, table: str) -> None:
    """Tell an empty answer from a table that nobody has published.

    Raises:
        ConfigError: No transform has published the table.
    """
    if (await state.progress()).published.get(table):
        return
    if any(table in published for published in (await state.days()).values()):
        return
    short = table.removesuffix("_kpis")
    raise ConfigError(
        f"{table} was never published",
        hint=f"`shopkpi transform --kpis {short}` publishes it from what the ledger has",
    )


async def _top_rows(rows: AsyncIterator[Row], attribute: str, count: int) -> AsyncIterator[Row]:
    """Select the rows of the largest values; of equal ones the first."""
    most: list[Row] = []

    def keep() -> None:
        most.sort(key=lambda row: Decimal(row[attribute] or 0), reverse=True)
        del most[count:]

    async for row in rows:
        most.append(row)
        if len(most) >= 2 * count + BATCH_ROWS:
            keep()
    keep()
    for row in most:
        yield row


def check_database_exists(settings: Settings) -> None:
    """Refuse a misspelt path: a question must not create an empty database."""
    path = settings.state_url.removeprefix("sqlite://")
    if path != settings.state_url and not _exists(Path(path)):
        raise ConfigError(
            "nothing is there",
            url=settings.state_url,
            hint="`shopkpi run` makes it, --workspace or --state names another place",
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except ValueError:  # no name that a file could have
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise StoreError(f"cannot read: {error.strerror}", url=path) from error


async def _find(state: State, source: str | None) -> AsyncIterator[list[Entry]]:
    """Find entries of the source objects of a name, or all of them, page by page."""
    missing = source is not None
    async for entries in entries_in_pages(state, await state.head()):
        found = [entry for entry in entries if source is None or has_name(entry, source)]
        if found:
            missing = False
            yield found
    if missing:
        raise ConfigError("no source object in the ledger has this id or name", url=source)


async def _find_with_effects(
    state: State, source: str | None
) -> AsyncIterator[tuple[Entry, Effect | None]]:
    async for entries in _find(state, source):
        effects = await state.effects([entry.source_id for entry in entries])
        for entry in entries:
            yield entry, effects.get(entry.source_id)


async def _read_rejects(entry: Entry, workspace: Workspace) -> AsyncIterator[dict[str, object]]:
    from worker.clean.reader import CleanObject  # noqa: PLC0415  (Arrow, 0.3 s)

    before = entry.rows_before or (0,) * len(entry.rejects)
    for key, rows_before in zip(entry.rejects, before, strict=True):
        rejects = CleanObject(workspace.store, workspace.stored(key))
        for group in range((await rejects.footer()).num_row_groups):
            rows = await rejects.read([group], ["row", "byte_offset", "raw", "reasons"])
            for batch in rows.to_batches(BATCH_ROWS):
                for row in batch.to_pylist():
                    yield _format_reject(entry, row, rows_before)


def _format_reject(entry: Entry, row: Mapping[str, Any], rows_before: int) -> dict[str, object]:
    return {
        "file": entry.url.rsplit("/", 1)[-1],
        "row": row["row"] + rows_before,
        "byte_offset": row["byte_offset"],
        "reasons": [
            f"{one['reason']}: {(one['column'] + ': ') if one['column'] else ''}"
            f"expected {one['expected']}"
            for one in row["reasons"]
        ],
        "raw": row["raw"].decode("utf-8", "backslashreplace"),
    }
