"""`contract` and `tables`: what is set up before files come."""

from __future__ import annotations

from pathlib import Path

import click

from kpi.contract.layouts import built_in_layouts, describe_left_out
from kpi.contract.loading import built_in, built_in_names
from kpi.contract.translation import to_language_2
from worker.cli.adopt import adopt
from worker.cli.against import try_against
from worker.cli.event_loop import run_async
from worker.cli.infer import infer
from worker.cli.options import utf8_or_path
from worker.cli.propose import propose
from worker.cli.sanitize import one_line
from worker.settings import read_contract
from worker.stores import open_state


@click.group()
def contract() -> None:
    """Show the built-in contracts, check one of your own, or infer one from files."""


@contract.command(short_help="Print a built-in contract.")
@click.argument("name", default="default")
@click.option(
    "--language",
    type=click.Choice(["2"]),
    help="Write a contract of language 1 in language 2; limits of values become comments.",
)
def show(name: str, language: str | None) -> None:
    """Print the TOML of the built-in contract NAME; `shopkpi contract list` lists them.

    With --language, NAME may be a file too.

    \b
    Examples:
      shopkpi contract show
      shopkpi contract show olist > my-contract.toml
      shopkpi contract show my-contract.toml --language 2
    """
    if language is None:
        click.echo(built_in(name).text, nl=False)
        return
    found = read_contract(name)
    click.echo(found.text if found.shop else to_language_2(found), nl=False)


@contract.command("list", short_help="List the built-in contracts and layouts.")
def list_contracts() -> None:
    """List the built-in contracts, and what each layout leaves out of the numbers.

    The files of a layout are recognised by their header; `shopkpi run` then uses its contract.

    \b
    Example:
      shopkpi contract list
    """
    for name in built_in_names():
        click.echo(f"{name}: folders orders/, order_items/ and products/")
    for layout in built_in_layouts():
        click.echo(f"{layout.key}: {layout.title}")
        for line in describe_left_out(layout.shop):
            click.echo(f"    leaves out {line}")


@contract.command(short_help="Check a contract file.")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--against",
    "inputs",
    multiple=True,
    metavar="INPUT",
    type=utf8_or_path,
    help="Try the contract on these files, without a workspace; may be given again.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --against: write the verdict as a page of HTML too, with the rejected rows, for the "
    "supplier of the files.",
)
def check(file: str, inputs: tuple[str, ...], page: Path | None) -> None:
    """Check a contract; every problem is listed, and the exit code is 2 where there is one.

    With --against it is tried on files: receipts are printed, and how many rows each KPI table
    gets. Nothing is kept. The exit code is 2 where it refuses a file.

    \b
    Examples:
      shopkpi contract check my-contract.toml
      shopkpi contract check shop.toml --against downloads
      shopkpi contract check shop.toml --against downloads/orders.csv --html verdict.html
    """
    if page is not None and not inputs:
        raise click.UsageError("--html goes with --against")
    found = read_contract(file)
    for name, dataset in found.datasets.items():
        columns = ", ".join(f"{one.name} {one.type}" for one in dataset.columns.values())
        click.echo(one_line(f"{name}: key {', '.join(dataset.key)}; columns {columns}"))
    if found.shop is not None:
        for layout in found.shop.files:
            click.echo(one_line(f"files {layout.match.text}: feed {', '.join(layout.feeds)}"))
        for name, one in found.shop.all_datasets.items():
            parts = f"key {', '.join(one.key)}; columns {', '.join(one.columns)}"
            click.echo(one_line(f"{name}: {parts}"))
    click.echo(one_line(f"contract {found.name!r} is usable"))
    if inputs:
        try_against(file, inputs, page)


contract.add_command(adopt)
contract.add_command(propose)
contract.add_command(infer)


@click.group()
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
        store = await open_state(state)
        try:
            return await store.create_tables()
        finally:
            await store.close()

    created = run_async(work)
    for name in created:
        click.echo(f"created {name}")
    if not created:
        click.echo("every table is there")
