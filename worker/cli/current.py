"""`current`: the rows that the KPIs are made of."""

from __future__ import annotations

import uuid
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from worker.cli.as_of import question_of
from worker.cli.event_loop import run_async
from worker.cli.options import choose_format, format_option, read_all, store_options, utf8
from worker.cli.query import check_database_exists
from worker.cli.row_output import BATCH_ROWS, print_rows
from worker.jobs import open_session
from worker.settings import read_day, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


@click.command()
@click.argument("dataset", type=click.Choice(["orders"]))
@store_options
@click.option("--day", required=True, metavar="DATE", help="The order date.")
@click.option(
    "--category", type=utf8, metavar="NAME", help="Orders with an item of it; of language 1."
)
@format_option("table", "json", "csv")
def current(
    dataset: str,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    day: str,
    category: str | None,
    output_format: str | None,
) -> None:
    """Print all orders behind the KPIs of a day: the latest version of each, with all columns.

    They are those of the ledger's last sequence, published or not.

    \b
    Examples:
      shopkpi current orders --day 2025-03-30
      shopkpi current orders --day 2025-03-30 --category Beauty --format csv
    """
    del dataset
    settings, wanted = read_all(
        lambda: read_settings(workspace=workspace, state=state, shop=shop, contract=contract),
        lambda: read_day(day, "--day"),
    )
    output_format = choose_format(output_format)
    check_database_exists(settings)

    async def work() -> None:
        from kpi.aggregation.calendar import to_day  # Arrow, 0.3 s
        from worker.explain.current_orders import current_orders

        async with open_session(settings, read_only=True) as session:
            question = question_of(session, session.settings.tables)
            with print_rows(output_format) as output:
                async for table in current_orders(question, to_day(wanted), category):
                    for row in _rows_of(table, ids_as_texts=output_format == "table"):
                        output.add(row)

    run_async(work, clean_stop=False)


def _rows_of(table: pa.Table, *, ids_as_texts: bool) -> Iterator[dict[str, Any]]:
    """Yield rows as they are printed.

    Args:
        table: The rows.
        ids_as_texts: Whether ids are no numbers, which get separators in a table for people.
    """
    for batch in table.to_batches(BATCH_ROWS):
        for row in batch.to_pylist():
            yield {
                name: str(shown) if ids_as_texts and name.endswith("_id") else shown
                for name, value in row.items()
                for shown in [_shown(value)]
            }


def _shown(value: object) -> object:
    """Return a value as it is printed: a UUID as a text, a time in UTC."""
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value))
    return value.isoformat() if isinstance(value, date) else value
