"""Forget old snapshots, and delete the files that none of those kept has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.clean import Workspace
from worker.iceberg.catalogs import FOLDER
from worker.iceberg.file_io import key_of
from worker.iceberg.tables import AGE_PROPERTY, SNAPSHOT_AGE
from worker.objects import StoredName, list_names
from worker.state.shop import shop_folder

MIN_AGE = timedelta(days=1)
"""Age of what is deleted, at least: its writer may be about to commit it."""

HINT_NAME = "version-hint.text"
"""Object that names the current metadata for readers without a catalog."""

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


def expire(table: Any, now: datetime) -> Any:  # noqa: ANN401  (pyiceberg counts as untyped)
    """Forget the snapshots that are too old, but never the current one; return the table."""
    milliseconds = table.metadata.properties.get(AGE_PROPERTY)
    age = timedelta(milliseconds=int(milliseconds)) if milliseconds else SNAPSHOT_AGE
    oldest = int((now - age).timestamp() * 1000)
    current = table.metadata.current_snapshot_id
    kept = {ref.snapshot_id for ref in table.metadata.refs.values()} | {current}
    old = [
        one.snapshot_id
        for one in table.metadata.snapshots
        if one.timestamp_ms < oldest and one.snapshot_id not in kept
    ]
    if old:
        table.maintenance.expire_snapshots().by_ids(old).commit()
        table.refresh()
    return table


def named_files(table: Any) -> set[str]:  # noqa: ANN401
    """Return the keys of all files that a table's snapshots have, metadata included."""
    metadata = table.metadata
    urls = {table.metadata_location, *(one.metadata_file for one in metadata.metadata_log)}
    read: set[str] = set()
    for snapshot in metadata.snapshots:
        urls.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in read:
                continue
            read.add(manifest.manifest_path)
            urls.add(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                urls.add(entry.data_file.file_path)
    return {key_of(url) for url in urls}


async def collect(
    workspace: Workspace, named: Iterable[str], now: datetime | None = None
) -> tuple[int, int]:
    """Delete the objects of a shop's tables that no snapshot has, and that are a day old.

    Returns:
        Their number and bytes.

    Raises:
        StoreError: The store fails after retries.
    """
    latest = (now or datetime.now(UTC)) - MIN_AGE
    kept, count, size_bytes = set(named), 0, 0
    for one in await table_objects(workspace):
        is_named = one.key in kept or one.key.endswith(f"/{HINT_NAME}")
        if not is_named and one.modified_at <= latest:
            await workspace.store.delete(one.key)
            count, size_bytes = count + 1, size_bytes + one.size_bytes
    return count, size_bytes
