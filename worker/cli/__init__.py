"""The command `shopkpi`: the table of its commands, and the exit code of every outcome."""

from __future__ import annotations

import gc
import sys

from worker.cli.interrupts import EndedByCtrlC

with EndedByCtrlC():  # these imports take a moment
    import click

    from worker.cli.command_table import CommandTable, Row, defaults_from_file
    from worker.cli.error_output import ErrorOutput
    from worker.cli.stdio import take_over
    from worker.runtime.allocator import choose_allocator

COMMANDS = {
    "archive": Row("worker.cli.archive", "Move a raw file away once the ledger has its verdict."),
    "audit": Row("worker.cli.audit", "Recompute published days and compare."),
    "config": Row("worker.cli.config", "Where the value of each setting comes from."),
    "contract": Row("worker.cli.admin", "What the columns of a shop's files are."),
    "current": Row("worker.cli.current", "The orders behind the KPIs of a day."),
    "diff": Row("worker.cli.diff", "KPI values that differ between two ledger sequences."),
    "erase-customer": Row("worker.cli.erase", "Erase a customer from everything that is stored."),
    "explain": Row("worker.cli.explain", "What moved the KPIs of a day, file by file."),
    "ledger": Row("worker.cli.receipts", "Receipts of source objects."),
    "maintain": Row("worker.cli.maintain", "Keep the index small, or build it and the KPIs again."),
    "plan": Row("worker.cli.plan", "Divide a huge file, or the days to publish, for many tasks."),
    "query": Row("worker.cli.query", "KPI rows."),
    "redrive": Row("worker.cli.redrive", "Bring uploads that failed five times back to the queue."),
    "rejects": Row("worker.cli.receipts", "Rejected rows, and why."),
    "repair": Row("worker.cli.repair", "Let corrected rows of a sheet count in their places."),
    "restore": Row("worker.cli.retract", "Put retracted uploads back into the KPIs."),
    "retract": Row("worker.cli.retract", "Take uploads out of the KPIs."),
    "run": Row("worker.cli.run", "Files in, KPIs out."),
    "sample": Row("worker.cli.sample", "Sample data of any size."),
    "serve": Row("worker.cli.serve", "Take commands from a queue: the warm service in AWS."),
    "status": Row("worker.cli.status", "What came, what was refused, what waits: one screen."),
    "tables": Row("worker.cli.admin", "Tables of the ledger and the KPIs."),
    "transform": Row("worker.cli.transform", "Clean rows to KPIs: the transformation task."),
    "validate": Row("worker.cli.validate", "Raw files to clean rows: the validation task."),
    "waiting": Row("worker.cli.waiting", "Items that wait for their order, and since when."),
    "watch": Row("worker.cli.watch", "Read files as they arrive, until it is stopped."),
}
"""Name -> module. A module is imported when its command is named, so that help stays quick."""

IMPORT_GC_THRESHOLD = 1_000_000
"""Allocations before a garbage collection during imports: modules leave no garbage, and looking for
some takes a tenth of the time."""


@click.group(
    cls=CommandTable,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 a verdict was reached; 1 a retry may cure it; 2 wrong use; "
    "3 an audit found differences; 4 a person has to look; 5 not now, another contract came into "
    "force.",
)
@click.version_option(package_name="shopkpi")
@click.pass_context
def shopkpi(context: click.Context) -> None:
    """Compute daily KPIs from the flat files a shop drops into a folder or bucket.

    \b
    Try it:
      shopkpi sample shop --orders 5000 --dirty 0.01
      shopkpi run shop
      shopkpi query orders
    """
    if not {"-h", "--help"} & set(sys.argv):  # help has to work with a file that does not
        context.default_map = defaults_from_file(COMMANDS)


def main() -> None:
    """Run the command line; every outcome is an exit code, no user sees a traceback."""
    choose_allocator()
    gc.set_threshold(IMPORT_GC_THRESHOLD)
    errors = ErrorOutput()
    try:
        if sys.stdout is sys.__stdout__:  # else a test reads what its calls print
            take_over()
        sys.exit(shopkpi(standalone_mode=False, obj=errors) or 0)
    except click.ClickException as error:
        errors.write_usage(error)
        sys.exit(2)
    except click.exceptions.Abort:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001  (nothing above could report it)
        sys.exit(errors.write(error))
