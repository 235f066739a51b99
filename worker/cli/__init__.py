"""The command `shopkpi`. Commands import what they work with when they run: help stays quick."""

from __future__ import annotations

import os
import sys
import traceback

import click

from worker.cli.admin import contract, tables
from worker.cli.pipeline import run, transform, validate
from worker.cli.questions import ledger, query, rejects
from worker.cli.sample import sample
from worker.cli.scale import archive, audit, plan


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 a verdict was reached; 1 a retry may cure it; 2 wrong use; "
    "3 an audit found differences.",
)
@click.version_option(package_name="shopkpi")
def shopkpi() -> None:
    """Daily KPIs from the flat files a shop drops into a folder or bucket.

    \b
    Try it:
      shopkpi sample shop --orders 5000 --dirty 0.01
      shopkpi run shop
      shopkpi query orders
    """


COMMANDS = (
    *(run, validate, transform, query, ledger, rejects, audit),
    *(plan, archive, sample, contract, tables),
)
for command in COMMANDS:
    shopkpi.add_command(command)


def main() -> None:
    """Run the command line; every outcome is an exit code, no user sees a traceback."""
    try:
        sys.exit(shopkpi(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Abort:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001  (the last place that can tell a person)
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Tell what went wrong on standard error; returns the exit code."""
    from kpi.errors import ContractError, KpiError  # noqa: PLC0415
    from worker.errors import WorkerError  # noqa: PLC0415

    if os.environ.get("SHOPKPI_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, WorkerError):
        click.echo(f"shopkpi: {error}", err=True)
        return error.exit_code
    if isinstance(error, KpiError):
        click.echo(f"shopkpi: {error}", err=True)
        return 2 if isinstance(error, ContractError) else 1
    kind = type(error).__name__
    click.echo(
        f"shopkpi: {kind}: {error}\nThis should not happen. SHOPKPI_DEBUG=1 shows where it did.",
        err=True,
    )
    return 1
