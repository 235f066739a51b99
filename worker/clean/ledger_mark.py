"""The mark of a workspace: up to where the ledger has been published with its clean zone.

`index/ledger.json`, below the folder of the shop. It is written after each transform, and compared
when a command opens the workspace: a ledger that was put back to an earlier time is noticed before
anything is written to it. Without a mark nothing is compared.
"""

from __future__ import annotations

from dataclasses import asdict

import orjson

from worker.clean import Workspace
from worker.errors import SourceError
from worker.objects import SweepingStore
from worker.state import Ledger
from worker.state.marks import Mark
from worker.state.same_ledger import identify_ledger

MARK_NAME = "ledger.json"
"""Name of the mark in the folder of the index."""


async def read_mark(workspace: Workspace) -> Mark | None:
    """Read the mark of a workspace; None where there is none that can be read.

    Raises:
        StoreError: The store fails after retries.
    """
    store, key = workspace.store, workspace.absolute(workspace.index(MARK_NAME))
    try:
        info = await store.stat(key)
        fields = orjson.loads(await store.read(info, 0, info.size_bytes))
        return Mark(begun=int(fields["begun"]), ledger=str(fields["ledger"]))
    except (SourceError, ValueError, TypeError, KeyError):
        return None  # missing, damaged, or being replaced by a transform


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
