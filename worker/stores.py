"""Open the store of a URL; only this module and the command line know the concrete ones."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from kpi.aggregation.tables import DEFAULT_SHOP
from worker.errors import ConfigError
from worker.objects import ObjectStore
from worker.objects.location import Location, locate
from worker.objects.readers import Readers
from worker.state import State

# Stores are imported when they are opened: an AWS client takes 0.3 s, which a local run can do
# without, and a local store has no use in AWS.


async def open_objects(location: Location) -> ObjectStore:
    """Open the object store of a location."""
    if location.bucket:
        from worker.objects.s3 import S3Store  # noqa: PLC0415

        return await S3Store.open(location.bucket)
    from worker.objects.local import FolderStore  # noqa: PLC0415

    return FolderStore()


@asynccontextmanager
async def open_overlay(base: ObjectStore) -> AsyncIterator[ObjectStore]:
    """Open a store over another one for a dry run: what is written is gone after the block."""
    from worker.objects.overlay import OverlayStore  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="shopkpi-") as name:
        folder = locate(name)
        written = await open_objects(folder)
        try:
            yield OverlayStore(base, written, folder)
        finally:
            await written.close()


async def open_state(
    url: str,
    *,
    shop: str = DEFAULT_SHOP,
    read_only: bool = False,
    readers: Readers | None = None,
) -> State:
    """Open the ledger and KPI tables of a shop behind a URL.

    Args:
        url: `sqlite:///path` or `dynamodb://prefix`.
        shop: Its name, as `read_shop` has checked it.
        read_only: Whether to change nothing, not even to create a database.
        readers: Who may read a local database from now on; None leaves that as it is.

    Raises:
        ConfigError: It is neither `sqlite:///path` nor `dynamodb://prefix`.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:  # such as half an IPv6 address
        raise ConfigError(f"not a URL: {error}", url=url) from error
    if parts.scheme == "sqlite" and not parts.netloc and parts.path not in ("", "/"):
        from worker.state.sqlite.store import SqliteState  # noqa: PLC0415

        path = Path(url.removeprefix("sqlite://"))
        return await SqliteState.open(path, shop=shop, read_only=read_only, readers=readers)
    if parts.scheme == "dynamodb" and parts.netloc and parts.path in ("", "/"):
        from worker.state.dynamodb.store import DynamoDBState  # noqa: PLC0415

        return await DynamoDBState.open(parts.netloc, shop=shop)
    raise ConfigError(url=url, expected="sqlite:///path or dynamodb://table-prefix")
