"""The command `shopkpi`. Commands import what they work with when they run: help stays quick."""

from __future__ import annotations

import gc
import io
import os
import sys

from worker.cli.interrupts import EndedByCtrlC

with EndedByCtrlC():  # they take a moment
    import click

    from worker.cli.admin import contract, tables
    from worker.cli.archive import archive
    from worker.cli.audit import audit
    from worker.cli.plan import plan
    from worker.cli.query import ledger, query, rejects
    from worker.cli.run import run, transform, validate
    from worker.cli.sample import sample
    from worker.cli.serve import serve
    from worker.cli.stdio import take_over
    from worker.runtime.allocator import choose_allocator


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
    *(plan, archive, serve, sample, contract, tables),
)
for command in COMMANDS:
    shopkpi.add_command(command)


def main() -> None:
    """Run the command line; every outcome is an exit code, no user sees a traceback."""
    choose_allocator()
    # Modules leave no garbage when they are imported; to look for some takes a tenth of the time.
    gc.set_threshold(1_000_000)
    try:
        if sys.stdout is sys.__stdout__:  # else a test reads what its calls print
            take_over()
        sys.exit(shopkpi(standalone_mode=False) or 0)
    except click.ClickException as error:
        told = io.StringIO()
        error.show(told)
        click.echo(_shown(told.getvalue()), err=True, nl=False)
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
        import traceback  # noqa: PLC0415

        click.echo(_shown("".join(traceback.format_exception(error))), err=True)
    if isinstance(error, WorkerError):
        click.echo(f"shopkpi: {_shown(str(error))}", err=True)
        return error.exit_code
    if isinstance(error, KpiError):
        click.echo(f"shopkpi: {_shown(str(error))}", err=True)
        return 2 if isinstance(error, ContractError) else 1
    kind = type(error).__name__
    click.echo(f"shopkpi: {kind}: {_shown(str(error))}", err=True)
    click.echo("This should not happen. SHOPKPI_DEBUG=1 shows where it did.", err=True)
    return 1


def _shown(text: str) -> str:
    """An error as a person, and whoever collects what commands print, may see it."""
    from worker.cli.sanitize import visible, without_secrets  # noqa: PLC0415

    return visible(without_secrets(text))
