"""Iceberg tables of a workspace: published by the worker, read by pyiceberg's own reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

from tests.support.shops import Pipeline
from worker.clean import Workspace
from worker.iceberg.publish import IcebergTask, PublishedTables, publish_tables
from worker.objects import ObjectStore
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits

NAMES = ("current_orders", "current_order_items", "current_products")


async def publish(
    pipeline: Pipeline,
    *,
    store: ObjectStore | None = None,
    limits: TransformLimits = DEFAULT_LIMITS,
    span_rows: int = 1_000_000,
    rebuilds: bool = False,
    now: datetime | None = None,
) -> PublishedTables:
    """Bring the tables up to date."""
    assert pipeline.state is not None
    workspace = pipeline.workspace
    return await publish_tables(
        IcebergTask(
            state=pipeline.state,
            workspace=workspace if store is None else replace(workspace, store=store),
            contract=pipeline.contract,
            catalog="sqlite",
            limits=limits,
            span_rows=span_rows,
            rebuilds=rebuilds,
            now=lambda: now or datetime.now(UTC),
        )
    )


@contextmanager
def catalog_of(workspace: Workspace) -> Iterator[SqlCatalog]:
    """Open the catalog as any other program would."""
    catalog = SqlCatalog("shopkpi", uri=f"sqlite:////{workspace.absolute('iceberg/catalog.db')}")
    try:
        yield catalog
    finally:
        catalog.close()


def read(workspace: Workspace, name: str, namespace: str = "default") -> pa.Table:
    """Read all rows of a table."""
    with catalog_of(workspace) as catalog:
        return catalog.load_table((namespace, name)).scan().to_arrow()


def load(workspace: Workspace, name: str, namespace: str = "default") -> Any:
    """Load a table."""
    with catalog_of(workspace) as catalog:
        return catalog.load_table((namespace, name))


def is_hinted(table: Any) -> bool:
    """Return whether readers without a catalog find the current metadata of a table."""
    folder, _, file = table.metadata_location.removeprefix("file://").rpartition("/")
    hint = Path(folder, "version-hint.text")
    return hint.exists() and f"{hint.read_text()}.metadata.json" == file


def stamp_of(table: Any) -> int:
    """Return the ledger sequence that a table says it is of."""
    return int(table.current_snapshot().summary["shopkpi.sequence"])


def data_files(workspace: Workspace, name: str) -> set[str]:
    """Return the paths of the data files of the current snapshot."""
    return {task.file.file_path for task in load(workspace, name).scan().plan_files()}


def sequences(workspace: Workspace) -> dict[str, int]:
    """Return the ledger sequence that each table says it is of."""
    return {name: stamp_of(load(workspace, name)) for name in NAMES}


def orders(pipeline: Pipeline) -> dict[int, str]:
    """Return the status of each order, as the table has it."""
    rows = read(pipeline.workspace, "current_orders").to_pylist()
    assert len({row["order_id"] for row in rows}) == len(rows)
    return {row["order_id"]: row["status"] for row in rows}
