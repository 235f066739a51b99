"""Check that what a validation wrote is still there when its entry is committed.

`shopkpi maintain` deletes objects that no entry names for a day. A process may sleep that long
between the write of a clean file and its commit, as on a laptop that was shut. It looks before the
commit, and the file is validated again. It looks once more where the commit itself took so long.
"""

from __future__ import annotations

from worker.clean import Workspace
from worker.errors import ObjectsCollected, SourceMissing
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import CONCURRENT_READS
from worker.state import Entry

UNCHECKED_S = 3600.0
"""Seconds after which objects are looked up: far less than a day, and more than most validations
take, so that these ask for nothing."""


async def missing_objects(entry: Entry, workspace: Workspace) -> list[str]:
    """Return the keys of an entry's objects that are gone.

    Raises:
        SourceError: The store refuses.
        StoreError: The store fails after retries.
    """
    missing: list[str] = []

    async def look(key: str) -> None:
        try:
            await workspace.store.stat(workspace.stored(key))
        except SourceMissing:
            missing.append(key)

    await each(entry.keys, look, CONCURRENT_READS)
    return sorted(missing)


async def check_objects(entry: Entry, workspace: Workspace, age_s: float) -> None:
    """Check that the objects of an entry are there, unless they are young.

    Args:
        entry: What is about to be committed.
        workspace: Where its objects are.
        age_s: Seconds since the first of them may have been written.

    Raises:
        ObjectsCollected: Some are gone: they must be made again.
        SourceError, StoreError: The store cannot say.
    """
    if age_s > UNCHECKED_S and (gone := await missing_objects(entry, workspace)):
        raise ObjectsCollected(url=workspace.absolute(gone[0]))
