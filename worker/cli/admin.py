"""`contract` and `tables`."""

from __future__ import annotations

import click

from worker.cli.event_loop import run_async
from worker.cli.options import utf8_or_path


@click.group(short_help="What the columns of a shop's files are.")
def contract() -> None:
    """Show the built-in contracts, check one of your own."""


@contract.command(short_help="Print a built-in contract.")
@click.argument("name", default="default")
def show(name: str) -> None:
    """Print the TOML of the built-in contract NAME: default, string-ids, uuid-ids or olist.

    \b
    Examples:
      shopkpi contract show
      shopkpi contract show olist > my-contract.toml
    """
    from kpi.contract.loading import built_in  # noqa: PLC0415

    click.echo(built_in(name).text, nl=False)


@contract.command(short_help="Check a contract file.")
@click.argument("file", type=click.Path(dir_okay=False))
def check(file: str) -> None:
    """Check a contract; every problem is listed, and the exit code is 2 where there is one.

    \b
    Example:
      shopkpi contract check my-contract.toml
    """
    from worker.settings import read_contract  # noqa: PLC0415

    found = read_contract(file)
    for name, dataset in found.datasets.items():
        columns = ", ".join(f"{one.name} {one.type}" for one in dataset.columns.values())
        click.echo(f"{name}: key {', '.join(dataset.key)}; columns {columns}")
    click.echo(f"contract {found.name!r} is usable")


@click.group(short_help="Tables of the ledger and the KPIs.")
def tables() -> None:
    """Tables of the ledger and the KPIs."""


@tables.command(short_help="Create the tables that are missing.")
@click.option(
    "--state",
    type=utf8_or_path,
    envvar="SHOPKPI_STATE",
    show_envvar=True,
    required=True,
    metavar="URL",
    help="sqlite:///path or dynamodb://table-prefix.",
)
def create(state: str) -> None:
    """Create what is missing of the ledger and KPI tables (in AWS, `cdk deploy` does it).

    \b
    Example:
      shopkpi tables create --state dynamodb://shop
    """

    async def work() -> list[str]:
        from worker.stores import open_state  # noqa: PLC0415

        opened = await open_state(state)
        try:
            return await opened.create_tables()
        finally:
            await opened.close()

    created = run_async(work)
    for name in created:
        click.echo(f"created {name}")
    if not created:
        click.echo("every table is there")
