"""`maintain --iceberg`: bring the Iceberg tables up to date, and show what was done."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from worker.cli.event_loop import run_async
from worker.errors import ConfigError
from worker.jobs import open_session
from worker.reporting.reporters import JsonReporter
from worker.runtime.wording import counted

if TYPE_CHECKING:
    from worker.iceberg.publish import PublishedTables
    from worker.settings import Settings


def check_option(catalog: str, settings: Settings) -> None:
    """Check the catalog and the packages, before anything else is done.

    Raises:
        ConfigError: The catalog is none for this workspace, or a package is missing.
    """
    try:
        import worker.iceberg.publish  # noqa: F401  (pyiceberg, 0.6 s)
        from worker.iceberg.catalogs import check_catalog
    except ImportError as error:
        raise ConfigError(
            f"a package is missing: {error.name}",
            option="--iceberg",
            hint="pip install 'shopkpi[iceberg]'",
        ) from error
    check_catalog(catalog, settings.workspace.bucket)


def publish_and_show(catalog: str, settings: Settings, *, rebuilds: bool, is_json: bool) -> None:
    """Publish the tables, and write what was done to standard output.

    Args:
        catalog: Value of `--iceberg`.
        settings: Settings of the command.
        rebuilds: Whether tables are made again that are up to date.
        is_json: Whether to write an event.
    """
    done = run_async(lambda: _publish(catalog, settings, rebuilds=rebuilds))
    if is_json:
        JsonReporter(sys.stdout).emit(
            "iceberg.finished",
            sequence=done.sequence,
            tables={
                name: {"rows": one.rows, "written_files": one.written, "removed_files": one.removed}
                for name, one in done.tables.items()
            },
            unchanged=list(done.unchanged),
            deleted_objects=done.deleted_objects,
            deleted_bytes=done.deleted_bytes,
            healed=[asdict(one) for one in done.healed],
        )
        return
    for one in done.healed:
        click.echo(f"Iceberg table {one.table}: {one.url} {one.problem}; {one.remedy}")
    if not done.sequence:
        click.echo("Iceberg tables: nothing was published yet")
    for name, table in done.tables.items():
        click.echo(
            f"Iceberg table {name}: {counted(table.rows, 'row')} as of {done.sequence}, "
            f"{counted(table.written, 'data file')} written, {table.removed} removed"
        )
    for name in done.unchanged:
        click.echo(f"Iceberg table {name}: as of {done.sequence}, unchanged")


async def _publish(catalog: str, settings: Settings, *, rebuilds: bool) -> PublishedTables:
    from worker.iceberg.publish import IcebergTask, publish_tables

    async with open_session(settings, compares="workspace") as session:
        workspace = session.workspace
        if session.in_force is not None:
            generation = session.in_force.erasures.generation
            workspace = replace(workspace, generation=generation)
        return await publish_tables(
            IcebergTask(
                state=session.state,
                workspace=workspace,
                contract=session.settings.contract,
                catalog=catalog,
                rebuilds=rebuilds,
            )
        )
