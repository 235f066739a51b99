"""`sample`: write made-up shops."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from worker.cli.options import choose_event_format, format_option
from worker.cli.render import show_rows
from worker.errors import WorkerError
from worker.reporting.reporters import JsonReporter
from worker.settings import read_day


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--orders", type=click.IntRange(0), default=5000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--dirty",
    type=click.FloatRange(0, 0.5),
    default=0.0,
    show_default=True,
    metavar="FRACTION",
    help="Share of rows with a wrong value, of every kind.",
)
@click.option("--days", type=click.IntRange(1), default=365, show_default=True)
@click.option("--start", default="2025-01-01", show_default=True, help="First order date.")
@click.option("--files", type=click.IntRange(1), default=1, show_default=True, help="Per dataset.")
@click.option("--products", type=click.IntRange(1), default=10_000, show_default=True)
@click.option(
    "--layout",
    type=click.Choice(["default", "olist"]),
    default="default",
    help="Columns as in the built-in contract of that name.",
)
@click.option(
    "--ids",
    type=click.Choice(["integer", "uuid"]),
    default="integer",
    help="uuid goes with --contract uuid-ids.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "gz", "zst"]),
    default="none",
    help="Of every file.",
)
@format_option("table", "json")
def sample(
    folder: Path,
    orders: int,
    seed: int,
    dirty: float,
    days: int,
    start: str,
    files: int,
    products: int,
    layout: str,
    ids: str,
    compression: str,
    output_format: str | None,
) -> None:
    """Write orders, order items and products of a made-up shop below FOLDER.

    \b
    Examples:
      shopkpi sample shop --orders 5000 --dirty 0.01 --files 3
      shopkpi sample year --orders 4000000
      shopkpi sample olist --layout olist   # then: shopkpi run olist --contract olist
    """
    output_format = choose_event_format(output_format)
    first = read_day(start, "--start")
    from worker.sample import SampleSpec, write_sample  # Arrow, 0.3 s

    spec = SampleSpec(
        orders=orders,
        seed=seed,
        dirty=dirty,
        days=days,
        start=first,
        files=files,
        products=products,
        layout=layout,  # type: ignore[arg-type]  # click.Choice has checked it
        ids=ids,  # type: ignore[arg-type]
        compression=compression,  # type: ignore[arg-type]
    )
    try:
        report = write_sample(folder, spec)
    except OSError as error:
        url = error.filename or folder
        raise WorkerError(f"cannot write: {error.strerror}", url=url) from error
    rows = [
        {
            "file": str(file.path.relative_to(folder)),
            "rows": file.rows,
            "dirty": file.dirty_rows,
            "nulled": file.nulled_rows,
            "duplicate": file.duplicate_rows,
            "bytes": file.bytes,
        }
        for file in report.files
    ]
    if output_format == "json":
        reporter = JsonReporter(sys.stdout)
        for row in rows:
            reporter.emit("sample.written", **row)
    else:
        show_rows(rows, f"Sample data in {folder}")
