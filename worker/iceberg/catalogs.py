"""Open the catalog of Iceberg tables: an SQLite file in the workspace, or AWS Glue."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from kpi.aggregation.tables import DEFAULT_SHOP
from worker.clean import Workspace
from worker.errors import ConfigError, StoreError
from worker.objects.fsync import PRIVATE_FILE, make_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

P = ParamSpec("P")
T = TypeVar("T")

SQLITE, GLUE = "sqlite", "glue://"

FOLDER = "iceberg"
"""Folder of the tables below the workspace."""

CATALOG_NAME = "catalog.db"
"""Name of the SQLite catalog in it."""

PREFIX = "current_"
"""What the name of a table begins with; the dataset follows."""


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """An open catalog.

    Attributes:
        tables: pyiceberg's catalog.
        namespace: Namespace, or database, of the shop's tables.
    """

    tables: Any
    namespace: str

    def identifier(self, dataset: str) -> tuple[str, str]:
        """Name the table of a dataset."""
        return self.namespace, f"{PREFIX}{dataset}"


def check_catalog(text: str, workspace_bucket: str) -> None:
    """Check the value of `--iceberg`.

    Raises:
        ConfigError: It names no catalog, or not one for this workspace.
    """
    if text != SQLITE and not (text.startswith(GLUE) and text != GLUE):
        raise ConfigError(option="--iceberg", expected="sqlite or glue://DATABASE", actual=text)
    if (text == SQLITE) == bool(workspace_bucket):
        place, wanted = ("S3", "glue://DATABASE") if workspace_bucket else ("a folder", SQLITE)
        raise ConfigError(
            option="--iceberg", expected=f"{wanted} for a workspace in {place}", actual=text
        )


@asynccontextmanager
async def open_catalog(
    text: str, workspace: Workspace, file_io: Mapping[str, str]
) -> AsyncIterator[Catalog]:
    """Open a catalog; its namespace is created where it is missing.

    Args:
        text: `sqlite` or `glue://DATABASE`.
        workspace: Where the tables are.
        file_io: Properties of `worker.iceberg.file_io.bridged`.

    Raises:
        ConfigError: The packages of the extra `iceberg` are missing.
    """
    opened = await in_catalog(_open, text, workspace, dict(file_io))
    try:
        yield opened
    finally:
        await in_catalog(opened.tables.close)


async def in_catalog(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Call pyiceberg in a thread, since it waits for files that this loop reads and writes.

    Raises:
        StoreError: The catalog fails.
    """
    try:
        return await asyncio.to_thread(work, *args, **options)
    except Exception as error:
        if not is_of_catalog(error):
            raise
        # SQLAlchemy words the statement below the first line.
        cause = str(error).splitlines()[0]
        is_damaged = type(getattr(error, "orig", None)) is sqlite3.DatabaseError
        hint = f"delete {FOLDER}/{CATALOG_NAME}; the tables of each shop are then made again"
        raise StoreError(
            f"the Iceberg catalog fails: {cause}",
            hint=hint if is_damaged else None,
            retryable=not is_damaged,
        ) from error


def is_of_catalog(error: Exception) -> bool:
    """Return whether an error is one of AWS or of the SQLite catalog."""
    # SQLAlchemy is installed where the catalog is SQLite.
    is_of_sqlite = type(error).__module__.startswith("sqlalchemy.")
    return is_of_sqlite or isinstance(error, BotoCoreError | ClientError)


def _open(text: str, workspace: Workspace, properties: dict[str, str]) -> Catalog:
    if text == SQLITE:
        tables, namespace = _sqlite(workspace, properties), workspace.shop
    else:
        database = text.removeprefix(GLUE)
        is_default = workspace.shop == DEFAULT_SHOP
        namespace = database if is_default else f"{database}_{workspace.shop}"
        tables = _glue(properties)
    try:
        if not tables.namespace_exists(namespace):
            tables.create_namespace(namespace)
    except Exception:
        if not tables.namespace_exists(namespace):  # else another process was quicker
            raise
    return Catalog(tables=tables, namespace=namespace)


def _sqlite(workspace: Workspace, properties: dict[str, str]) -> Any:  # noqa: ANN401
    from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415

    path = Path("/") / workspace.absolute(f"{FOLDER}/{CATALOG_NAME}")
    make_folder(path.parent)
    with _locked(path.parent):
        with suppress(FileExistsError):  # SQLite would make it with the rights of the umask
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
        return SqlCatalog("shopkpi", uri=f"sqlite:///{path}", **properties)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder, since pyiceberg looks for its tables and creates them in two steps.

    A lock on the file would end SQLite's own locks on it where it is released.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _glue(properties: dict[str, str]) -> Any:  # noqa: ANN401
    from pyiceberg.catalog.glue import GlueCatalog  # noqa: PLC0415

    return GlueCatalog("shopkpi", **properties)
