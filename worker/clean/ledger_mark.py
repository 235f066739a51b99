"""The mark of a workspace: up to where the ledger has been published with its clean zone.

`index/ledger.json`, below the folder of the shop. It is written after each transform, and compared
when a command opens the workspace: a ledger that was put back to an earlier time is noticed before
anything is written to it. Without a mark nothing is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from worker.clean import Workspace
from worker.errors import SourceError, SourceMissing, StateRestored
from worker.objects import SweepingStore, open_range
from worker.state import Entry, Ledger
from worker.state.erasures import read_erasures
from worker.state.marks import Mark
from worker.state.same_ledger import identify_ledger

MARK_NAME = "ledger.json"
"""Name of the mark in the folder of the index."""

MARK_BYTES = 4096
"""Length of a mark, at most."""

CHECKED_RECORDS = 4
"""Last records whose clean files are looked up where the mark is behind: a workspace that was put
back lacks those of every record since."""


async def read_mark(workspace: Workspace) -> Mark | None:
    """Read the mark of a workspace; None where there is none that can be read.

    Raises:
        StoreError: The store fails after retries.
    """
    store, key = workspace.store, workspace.absolute(workspace.index(MARK_NAME))
    try:
        _, data = await open_range(store, key, 0, MARK_BYTES)
        fields = orjson.loads(data)
        return Mark(begun=int(fields["begun"]), ledger=str(fields["ledger"]))
    except (SourceError, ValueError, TypeError, KeyError):
        return None  # missing, damaged, or being replaced by a transform


async def check_clean_files(
    workspace: Workspace, ledger: Ledger, mark: Mark | None, published: int
) -> None:
    """Check that a workspace whose mark is behind the KPI tables has the clean files they are of.

    A transform was killed before it wrote the mark, or the workspace was put back to an earlier
    time: then what came since is gone. Where the mark is not behind, nothing is asked for.

    Args:
        workspace: Where they are.
        ledger: Its ledger.
        mark: The mark of the workspace; None where there is none.
        published: Ledger sequence that KPI tables have come to.

    Raises:
        StateRestored: It is.
        SourceError: The store refuses.
        StoreError: A store fails after retries.
    """
    after = max(mark.begun if mark else 0, published - CHECKED_RECORDS)
    if after >= published:
        return
    records = await ledger.records(after=after, up_to=published)
    keys = [part.key for one in records if isinstance(one, Entry) for part in one.parts]
    if not keys or (await _are_there(workspace, keys)):
        return
    erasures = await read_erasures(ledger)
    entries = [one for one in erasures.select(records) if isinstance(one, Entry)]
    keys = [part.key for one in entries for part in one.parts]
    if not await _are_there(workspace, keys):
        raise StateRestored(
            "the workspace was put back to an earlier time, or has lost clean files",
            url=workspace.location.url,
            expected=f"the clean files of records up to sequence {published}",
            actual=f"some are missing of those after {after}",
            hint="put the later one back, or make them again from the raw files: "
            "`shopkpi maintain --rebuild INPUT...`",
        )


async def _are_there(workspace: Workspace, keys: Sequence[str]) -> bool:
    for key in keys:
        try:
            await workspace.store.stat(workspace.stored(key))
        except SourceMissing:
            return False
    return True


async def write_mark(workspace: Workspace, ledger: Ledger, as_of: int) -> None:
    """Mark a workspace as published up to a sequence, unless it is marked beyond it.

    Of two transforms that end at once the earlier one may win: then less is noticed.

    Raises:
        StoreError: A store fails after retries.
    """
    before = await read_mark(workspace)
    if before is None or before.begun < as_of:
        await replace_mark(workspace, ledger, as_of)
    elif isinstance(workspace.store, SweepingStore):
        # Whoever wrote this mark may have been killed before its temporary file was gone.
        await workspace.store.sweep(workspace.absolute("index"))


async def replace_mark(workspace: Workspace, ledger: Ledger, as_of: int) -> None:
    """Mark a workspace as published from this ledger, whatever it has seen before.

    Raises:
        StoreError: A store fails after retries.
    """
    mark = Mark(begun=as_of, ledger=await identify_ledger(ledger, as_of))
    fields = {name: value for name, value in asdict(mark).items() if name != "whole"}
    async with workspace.store.create(workspace.absolute(workspace.index(MARK_NAME))) as writer:
        await writer.write(orjson.dumps(fields))
