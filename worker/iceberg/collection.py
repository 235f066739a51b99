"""Forget old snapshots, and delete the files that none of those kept has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

from worker.clean import Workspace
from worker.errors import SourceMissing
from worker.iceberg.catalogs import FOLDER
from worker.iceberg.damage import DamagedFileError, read_snapshot
from worker.iceberg.file_io import key_of
from worker.iceberg.tables import AGE_PROPERTY, SNAPSHOT_AGE, CommitConflictError
from worker.objects import StoredName, list_names
from worker.state.shop import shop_folder

MIN_AGE = timedelta(days=1)
"""Age of what is deleted, at least: its writer may be about to commit it."""

HINT_NAME = "version-hint.text"
"""Object that names the current metadata for readers without a catalog."""

METADATA_SUFFIX = ".metadata.json"

GENERATION = re.compile(r"-e[0-9a-f]{8}$")
"""End of a table's folder that names an erasure."""


def shop_prefix(workspace: Workspace) -> str:
    """Return the key of the folder of a shop's tables, with its slash."""
    return workspace.absolute(f"{FOLDER}/{shop_folder(workspace.shop)}")


async def table_objects(workspace: Workspace) -> list[StoredName]:
    """List the objects of a shop's tables."""
    prefix = shop_prefix(workspace)
    return [
        one
        async for one in list_names(workspace.store, prefix.rstrip("/"))
        if folder_of(workspace, one.key)
    ]


def folder_of(workspace: Workspace, key: str) -> str:
    """Return the folder of the table that an object is of; empty for none of this shop."""
    prefix = shop_prefix(workspace)
    below = key.removeprefix(prefix)
    folder, slash, _ = below.partition("/")
    is_ours = key.startswith(prefix) and slash and not folder.startswith("shop=")
    return folder if is_ours else ""


async def delete_outdated(workspace: Workspace, generation: str) -> int:
    """Delete the tables of before the last erasure of a customer, whatever their age.

    Args:
        workspace: Where they are.
        generation: Part of keys that names the last erasure; empty for none.

    Returns:
        The number of objects.

    Raises:
        StoreError: The store fails after retries.
    """
    count = 0
    for one in await table_objects(workspace):
        found = GENERATION.search(folder_of(workspace, one.key))
        if (found[0] if found else "") != generation:
            await workspace.store.delete(one.key)
            count += 1
    return count


def unused_snapshots(table: Any) -> set[int]:  # noqa: ANN401  (pyiceberg counts as untyped)
    """Return the snapshots that are neither the current one nor named by a branch or tag."""
    metadata = table.metadata
    used = {ref.snapshot_id for ref in metadata.refs.values()} | {metadata.current_snapshot_id}
    return {one.snapshot_id for one in metadata.snapshots} - used


def outdated_snapshots(table: Any, now: datetime) -> list[int]:  # noqa: ANN401
    """Return the snapshots that are too old, but never one that is in use."""
    milliseconds = table.metadata.properties.get(AGE_PROPERTY)
    age = timedelta(milliseconds=int(milliseconds)) if milliseconds else SNAPSHOT_AGE
    oldest = int((now - age).timestamp() * 1000)
    unused = unused_snapshots(table)
    return [
        one.snapshot_id
        for one in table.metadata.snapshots
        if one.timestamp_ms < oldest and one.snapshot_id in unused
    ]


def forget(table: Any, snapshots: Collection[int]) -> Any:  # noqa: ANN401
    """Forget snapshots; return the table.

    Raises:
        CommitConflictError: Another process has forgotten them.
    """
    if not snapshots:
        return table
    try:
        table.maintenance.expire_snapshots().by_ids(list(snapshots)).commit()
    except (CommitFailedException, NoSuchTableError, ValueError) as error:
        raise CommitConflictError(url=table.metadata_location) from error
    table.refresh()
    return table


@dataclass(frozen=True, kw_only=True)
class SnapshotFiles:
    """The files that a table's snapshots have.

    Attributes:
        keys: Keys of all of them, metadata included.
        data: Snapshot id -> its data files.
        unreadable: Snapshot id -> what is wrong with its manifests; never the current one.
    """

    keys: set[str]
    data: dict[int, list[Any]]
    unreadable: dict[int, DamagedFileError]


def snapshot_files(table: Any) -> SnapshotFiles:  # noqa: ANN401
    """Read which files the snapshots of a table have.

    Raises:
        DamagedFileError: Those of the current snapshot cannot be read.
    """
    metadata = table.metadata
    urls = {table.metadata_location, *(one.metadata_file for one in metadata.metadata_log)}
    manifests: dict[str, list[Any]] = {}
    data: dict[int, list[Any]] = {}
    unreadable: dict[int, DamagedFileError] = {}
    for snapshot in metadata.snapshots:
        urls.add(snapshot.manifest_list)
        try:
            files = read_snapshot(table, snapshot, manifests)
        except DamagedFileError as damage:
            if snapshot.snapshot_id == metadata.current_snapshot_id:
                raise
            unreadable[snapshot.snapshot_id] = damage
            continue
        data[snapshot.snapshot_id] = files
        urls.update(one.file_path for one in files)
    urls.update(manifests)
    return SnapshotFiles(keys={key_of(url) for url in urls}, data=data, unreadable=unreadable)


async def write_hint(workspace: Workspace, table: Any) -> None:  # noqa: ANN401
    """Name the current metadata for readers without a catalog, where they are not named.

    Raises:
        StoreError: The store fails after retries.
    """
    folder, _, name = table.metadata_location.rpartition("/")
    key, hint = f"{key_of(folder)}/{HINT_NAME}", name.removesuffix(METADATA_SUFFIX).encode()
    store = workspace.store
    with suppress(SourceMissing):
        info = await store.stat(key)
        if await store.read(info, 0, info.size_bytes) == hint:
            return
    async with store.create(key) as writer:
        await writer.write(hint)


async def collect(
    workspace: Workspace, objects: Iterable[StoredName], named: Collection[str], now: datetime
) -> tuple[int, int]:
    """Delete objects of a shop's tables that no snapshot has, and that are a day old.

    Args:
        workspace: Where they are.
        objects: What there is.
        named: Keys of the files that snapshots have.
        now: The present time.

    Returns:
        Their number and bytes.

    Raises:
        StoreError: The store fails after retries.
    """
    count, size_bytes = 0, 0
    for one in objects:
        is_named = one.key in named or one.key.endswith(f"/{HINT_NAME}")
        if not is_named and one.modified_at <= now - MIN_AGE:
            await workspace.store.delete(one.key)
            count, size_bytes = count + 1, size_bytes + one.size_bytes
    return count, size_bytes
