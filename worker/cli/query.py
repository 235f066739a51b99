"""`query`: what came out."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from kpi.aggregation.completeness import MONEY_OF_ITEMS, has_no_items
from kpi.aggregation.completeness import State as DayStateName
from kpi.aggregation.tables import KPI_TABLES, KpiTable
from worker.clean import Workspace
from worker.cli.as_of import Moment, read_moment, with_rows_as_of
from worker.cli.day_states import (
    COMPLETENESS_RANKS,
    read_day_states,
    state_of,
    with_state,
)
from worker.cli.event_loop import run_async
from worker.cli.options import (
    choose_format,
    format_option,
    read_all,
    store_options,
    utf8,
)
from worker.cli.render import shown_attributes
from worker.cli.row_output import BATCH_ROWS, print_rows
from worker.errors import ConfigError, NotYet, StoreError
from worker.settings import read_day, read_settings
from worker.state.contract_in_force import adopted_contract
from worker.state.same_ledger import check_tables
from worker.stores import open_objects, open_state

if TYPE_CHECKING:
    from datetime import date

    from kpi.aggregation.completeness import DayState
    from worker.settings import Settings
    from worker.state import Row, State

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
@click.option(
    "--only",
    type=click.Choice(get_args(DayStateName)),
    help="Only days of that state: `final` has all of their items.",
)
@click.option("--top", type=click.IntRange(1), metavar="N", help="The N rows of most revenue.")
@click.option(
    "--as-of",
    type=utf8,
    metavar="N|TIME",
    help="The rows as of a ledger sequence, or of all that was uploaded until a time, computed.",
)
@format_option("table", "json", "csv")
def query(
    table: str,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    first: str | None,
    last: str | None,
    category: str | None,
    product: str | None,
    only: str | None,
    top: int | None,
    as_of: str | None,
    output_format: str | None,
) -> None:
    """Print KPI rows, ascending by day.

    JSON is a list of objects; money and rates are strings that keep every digit.

    `state` says whether all of the day has come, and `why` what has not. Money of a day whose items
    have not come is not shown.

    With --as-of rows are computed from what the ledger had then, by the contract in force then,
    whatever was published, without their states. A time (2025-03-31, or 2025-03-31T06:00+02:00;
    UTC without an offset) is the last sequence before the first file that was uploaded later.

    \b
    Examples:
      shopkpi query orders --from 2025-03-01 --to 2025-03-31
      shopkpi query orders --only final
      shopkpi query category --category Beauty --format csv
      shopkpi query category --top 10
      shopkpi query orders --as-of 4 --from 2025-03-01
    """
    settings, *days = read_all(
        lambda: read_settings(workspace=workspace, state=state, shop=shop, contract=contract),
        lambda: read_day(first, "--from"),
        lambda: read_day(last, "--to"),
    )
    groups = {"category": category, "product": product}
    _check_options(table, groups, only, as_of)
    name = TABLES[table]
    check_database_exists(settings)
    output_format = choose_format(output_format)

    wanted = _Wanted(
        table=KPI_TABLES[name],
        group=groups.get(table),
        days=(days[0], days[1]),
        only=only,
        top=top,
        output_format=output_format,
    )
    if as_of is None:
        run_async(lambda: _print_published(settings, wanted), clean_stop=False)
    else:
        moment = read_moment(as_of, "--as-of")
        run_async(lambda: _print_as_of(settings, moment, wanted), clean_stop=False)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """Which rows are wanted, and how."""

    table: KpiTable
    group: str | None
    days: tuple[date | None, date | None]
    only: str | None
    top: int | None
    output_format: str

    def top_rows(self, rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
        """Select the rows of most revenue, where these are wanted."""
        if self.top is None:
            return rows
        return _top_rows(rows, REVENUE[self.table.name], self.top)


async def _print_published(settings: Settings, wanted: _Wanted) -> None:
    """Print published rows, with the states of their days."""
    table, days = wanted.table, wanted.days
    store = await open_state(settings.state_url, shop=settings.shop, read_only=True)
    objects = await open_objects(settings.workspace)
    try:
        await check_contract(store, settings)
        await check_tables(store)
        workspace = Workspace(store=objects, location=settings.workspace, shop=settings.shop)
        contract = adopted_contract(await store.adoption(), settings.contract)
        states = await read_day_states(store, workspace, contract, *days)
        times = await store.publication_times(first=days[0], last=days[1])
        rows = store.rows(table.name, group=wanted.group, first=days[0], last=days[1])
        if wanted.only is not None:
            rows = _rows_of_state(rows, states, wanted.only)
        with print_rows(wanted.output_format, COMPLETENESS_RANKS) as output:
            names: list[str] = []
            async for row in wanted.top_rows(rows):
                names = names or shown_attributes(table, row, settings.contract)
                output.add(with_state(table.name, row, states, names, times))
            if not names and wanted.only is None:
                await _check_published(store, table.name)
    finally:
        await store.close()
        await objects.close()


async def _print_as_of(settings: Settings, moment: Moment, wanted: _Wanted) -> None:
    """Print the rows as of a moment."""
    from worker.transform.day_ranges import DateRange  # Arrow, 0.3 s

    table = wanted.table

    async def show(rows: AsyncIterator[Row]) -> None:
        with print_rows(wanted.output_format, COMPLETENESS_RANKS) as output:
            names: list[str] = []
            async for row in wanted.top_rows(rows):
                names = names or shown_attributes(table, row, settings.contract)
                unknown = MONEY_OF_ITEMS if table.completeness and has_no_items(row) else ()
                known = {key: None if key in unknown else row.get(key) for key in names}
                more = (*table.completeness, "as_of")
                output.add({**known, **{key: row.get(key) for key in more}})

    date_range = DateRange(first=wanted.days[0], last=wanted.days[1])
    await with_rows_as_of(settings, moment, table.name, wanted.group, date_range, show)


def _check_options(
    table: str, groups: Mapping[str, str | None], only: str | None, as_of: str | None
) -> None:
    """Refuse options that do not go together."""
    misplaced = [name for name, value in groups.items() if value is not None and name != table]
    if misplaced:
        raise click.UsageError(f"--{misplaced[0]} goes with `query {misplaced[0]}`")
    if only is not None and as_of is not None:
        raise click.UsageError("--only goes with the states of now, so not with --as-of")


async def _check_published(state: State, table: str) -> None:
    """Tell an empty answer from a table that nobody has published.

    Raises:
        ConfigError: No transform has published the table.
        NotYet: An earlier format has, and no transform has filled the table of this one.
    """
    reached = (await state.progress()).published.get(table)
    if reached:
        return
    if any(table in published for published in (await state.days()).values()):
        return
    if reached == 0:
        raise NotYet(
            f"{table} is of an earlier format",
            hint="`shopkpi transform` fills the table of this one from the clean zone",
        )
    short = table.removesuffix("_kpis")
    raise ConfigError(
        f"{table} was never published",
        hint=f"`shopkpi transform --kpis {short}` publishes it from what the ledger has",
    )


async def _rows_of_state(
    rows: AsyncIterator[Row], states: Mapping[date, DayState], wanted: str
) -> AsyncIterator[Row]:
    """Select the rows of the days that have a state."""
    async for row in rows:
        if state_of(row, states).state == wanted:
            yield row


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


async def check_contract(state: State, settings: Settings) -> None:
    """Refuse a contract that was named and is not the one in force.

    Raises:
        ConfigError: It says the differences.
    """
    adoption = await state.adoption() if settings.contract_name is not None else None
    if adoption is not None:
        from worker.jobs import apply_adoption

        apply_adoption(settings, adoption)


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
