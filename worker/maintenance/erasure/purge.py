"""Delete the objects that an erasure has replaced, and what no entry names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.clean import STORED_KEY, Workspace
from worker.clean.ledger_mark import MARK_NAME
from worker.errors import SourceError, SourceMissing
from worker.maintenance.erasure.journal import JOURNAL_NAME, keep_copies
from worker.maintenance.erasure.places import (
    ICEBERG_PREFIX,
    INDEX_PREFIX,
    PACKS_PREFIX,
    PIECES_PREFIX,
    STORED_PREFIXES,
)
from worker.maintenance.rebuild_progress import UNDER_WAY_NAME
from worker.objects import ObjectStore, OldVersion, SweepingStore, VersionedStore
from worker.state import Ledger
from worker.state.erasures import Erasures, former_generations, read_erasures
from worker.state.paging import entries_in_pages

GENERATION = re.compile(r"-e[0-9a-f]{8}(?=[-./]|$)")
"""Part of a key that names an erasure."""


OF_SHOP = re.compile(r"/shop=[^/]*/")
"""Part of a key that names the shop, which may look like one of an erasure."""

ICEBERG_CATALOG = "catalog.db"
"""Name below `iceberg/` of the catalog of Iceberg tables."""

KEPT_NAMES = (MARK_NAME, UNDER_WAY_NAME, ICEBERG_CATALOG)
"""Names of objects that say what the workspace has seen, or where tables are, and no id."""

_OF_OTHER_NAMES = (PIECES_PREFIX, PACKS_PREFIX, INDEX_PREFIX, ICEBERG_PREFIX)


@dataclass(kw_only=True)
class Purged:
    """What was deleted.

    Attributes:
        objects: Keys below the workspace.
        temporary: Files that dead processes were writing.
    """

    objects: list[str] = field(default_factory=list)
    temporary: int = 0


async def purge(
    workspace: Workspace, ledger: Ledger, prefixes: Sequence[str] = STORED_PREFIXES
) -> Purged:
    """Delete what may still hold erased customers.

    That are the objects that were replaced, and those that no entry names and that were made when
    fewer customers were erased. No worker can commit these any more: see `Ledger.commit`. What is
    made under the last erasure stays, and what is made for one that is not committed: a worker may
    be about to commit it.

    Args:
        workspace: Where the objects are.
        ledger: Its ledger.
        prefixes: Folders below the workspace that are looked through.

    Raises:
        StoreError: A store fails, after retries.
    """
    erasures = await read_erasures(ledger)
    purged = Purged()
    if not erasures.records:
        return purged
    # Before anything is deleted: a ledger that is put back names it.
    await keep_copies(workspace, ledger, erasures)
    former = former_generations(erasures.records)
    named = await _named_keys(ledger, erasures)
    for prefix in prefixes:
        for key in await _keys(workspace, prefix):
            if not workspace.owns(key) or key in named or not _is_outdated(key, former):
                continue
            if STORED_KEY.fullmatch(key) is None and prefix not in _OF_OTHER_NAMES:
                continue  # somebody else's
            if prefix in (INDEX_PREFIX, ICEBERG_PREFIX) and is_kept(key):
                continue
            await workspace.store.delete(workspace.absolute(key))
            if prefix != INDEX_PREFIX:
                purged.objects.append(key)
        if isinstance(workspace.store, SweepingStore):
            purged.temporary += await workspace.store.sweep(workspace.absolute(prefix))
    return purged


def is_kept(key: str) -> bool:
    """Return whether an object below `index/` or `iceberg/` has no id, and stays."""
    name = key.rpartition("/")[2]
    return name in KEPT_NAMES or JOURNAL_NAME.fullmatch(name) is not None


async def old_versions(store: ObjectStore, prefixes: Sequence[str]) -> list[OldVersion] | None:
    """List what a bucket keeps of objects that were replaced or deleted.

    Returns:
        None where the bucket must not be asked.

    Raises:
        StoreError: The store fails, after retries.
    """
    if not isinstance(store, VersionedStore):
        return []
    try:
        return [one for prefix in prefixes for one in await store.old_versions(prefix)]
    except SourceError:
        return None


def _is_outdated(key: str, former: set[str]) -> bool:
    """Return whether an object was made when fewer customers were erased.

    One of a generation that nobody knows is of an erasure that is under way.
    """
    found = GENERATION.search(OF_SHOP.sub("/", key, count=1))
    return (found[0] if found else "") in former


async def _named_keys(ledger: Ledger, erasures: Erasures) -> set[str]:
    """Return the keys that entries name, as they are in effect."""
    named: set[str] = set()
    async for page in entries_in_pages(ledger, await ledger.head()):
        for entry in page:
            if not entry.erasure:
                effective = erasures.effective(entry)
                named.update(effective.keys)
    return named


async def _keys(workspace: Workspace, prefix: str) -> list[str]:
    """List the keys of a folder of the workspace, relative to it."""
    base = workspace.absolute(prefix)
    try:
        return [
            f"{prefix}{info.key.removeprefix(base)}" async for info in workspace.store.list(base)
        ]
    except SourceMissing:
        return []
