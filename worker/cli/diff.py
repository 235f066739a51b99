"""`diff`: KPI rows that differ between two ledger sequences."""

from __future__ import annotations

import click

from worker.cli.as_of import question_of, read_moment, sequence_of, tell_deletions
from worker.cli.change_output import change_rows
from worker.cli.event_loop import run_async
from worker.cli.options import choose_format, format_option, read_all, store_options, utf8
from worker.cli.query import check_database_exists
from worker.cli.row_output import print_rows
from worker.errors import ConfigError
from worker.jobs import open_session
from worker.settings import read_day, read_settings


@click.command()
@click.argument("before", type=utf8)
@click.argument("after", type=utf8)
@store_options
@click.option("--from", "from_day", metavar="DATE", help="First order date.")
@click.option("--to", "to_day", metavar="DATE", help="Last order date.")
@format_option("table", "json", "csv")
def diff(
    before: str,
    after: str,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    from_day: str | None,
    to_day: str | None,
    output_format: str | None,
) -> None:
    """Print every KPI value that differs between BEFORE and AFTER: two ledger sequences, or times.

    The rows of both are computed from what the ledger has up to them, by the contract in force
    then, whatever was published. 0 is before the first file; of times see `query --as-of`.

    \b
    Examples:
      shopkpi diff 2 4
      shopkpi diff 2025-03-31 2025-04-01 --format csv
    """
    settings, *days = read_all(
        lambda: read_settings(workspace=workspace, state=state, shop=shop, contract=contract),
        lambda: read_day(from_day, "--from"),
        lambda: read_day(to_day, "--to"),
    )
    moments = read_moment(before, "BEFORE"), read_moment(after, "AFTER")
    output_format = choose_format(output_format)
    check_database_exists(settings)

    async def work() -> None:
        from worker.explain.as_of import changes_between  # Arrow, 0.3 s
        from worker.transform.day_ranges import DateRange

        async with open_session(settings, read_only=True) as session:
            first, last = [
                await sequence_of(session, moment, option)
                for moment, option in zip(moments, ("BEFORE", "AFTER"), strict=True)
            ]
            if first > last:
                raise ConfigError(
                    option="diff", expected="the earlier one first", actual=f"{before} {after}"
                )
            question = question_of(session, session.settings.tables)
            range_of_days = DateRange(first=days[0], last=days[1])
            with print_rows(output_format) as output:
                async for change in changes_between(question, first, last, range_of_days):
                    for row in change_rows(change):
                        output.add(row)
            await tell_deletions(session, first, range_of_days)

    run_async(work, clean_stop=False)
