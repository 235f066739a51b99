"""A checkpoint of the ledger: its accepted uploads in columns, and which of them count.

A transform reads a checkpoint and the records after it, instead of all records. As the key index,
it is never needed: where there is none, or none that fits, the whole ledger is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from worker.clean import Workspace
from worker.errors import SourceError
from worker.index.checkpoint_manifest import CheckpointManifest
from worker.index.checkpoint_uploads import CheckpointUploads
from worker.index.levels import Levels
from worker.index.stored import read_manifest
from worker.index.upload_segments import NoRoomError, read_segment, store_rows, write_segment
from worker.index.upload_table import UploadTable
from worker.state import Ledger, Ruling
from worker.state.contract_in_force import ContractInForce
from worker.state.earlier_uploads import Sequences
from worker.state.same_ledger import identify_ledger

MANIFEST_NAME = "uploads.json"
"""Name of the manifest in the folder of the index."""

LEVELS = Levels(head=4_096, merged=4_000_000)
"""Rows of some 150 bytes: 600 KB that are written again each time."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it was read, and what may be used of it.

    Attributes:
        manifest: The manifest in the workspace.
        uploads: Its uploads; those of an empty ledger where it does not fit.
        failure: Why it cannot be read though it fits; None where that is not so.
    """

    manifest: CheckpointManifest
    uploads: CheckpointUploads
    failure: Exception | None = None


async def open_checkpoint(
    workspace: Workspace, ledger: Ledger, in_force: ContractInForce, up_to: int
) -> Checkpoint:
    """Read the checkpoint of a workspace.

    Args:
        workspace: Where it is.
        ledger: Its ledger.
        in_force: The contract, by which its entries must have been chosen.
        up_to: Ledger sequence that it must not be beyond.

    Raises:
        StoreError: A store fails after retries.
    """
    manifest = (
        await read_manifest(workspace, workspace.index(MANIFEST_NAME), CheckpointManifest.from_json)
        or CheckpointManifest()
    )
    failure: Exception | None = None
    if 0 < manifest.up_to <= up_to and manifest.contract == identify_contract(in_force):
        try:
            if manifest.ledger == await identify_ledger(ledger, manifest.up_to):
                return Checkpoint(manifest, await _read_uploads(workspace, manifest))
        except (SourceError, NoRoomError) as error:
            failure = error  # a segment is missing or damaged, or cannot be held
    nothing = CheckpointUploads(0, UploadTable(), np.zeros(0, np.int64), ())
    return Checkpoint(manifest, nothing, failure)


async def extend_checkpoint(
    checkpoint: Checkpoint,
    workspace: Workspace,
    ledger: Ledger,
    in_force: ContractInForce,
    *,
    rows: UploadTable,
    uncounted: Sequences,
    rulings: Iterable[Ruling],
    up_to: int,
) -> None:
    """Write a checkpoint with the records that follow on one.

    Args:
        checkpoint: As it was opened.
        workspace: Where it is.
        ledger: Its ledger.
        in_force: The contract at `up_to`.
        rows: Rows of all entries up to there, those of the checkpoint too.
        uncounted: Sequences of those of them that do not count, ascending.
        rulings: All rulings up to there, or the last one on each source object; ascending.
        up_to: Ledger sequence.

    Raises:
        StoreError: A store fails after retries, or a temporary file cannot be written.
    """
    before = checkpoint.manifest
    kept = before.segments if checkpoint.uploads.up_to else ()
    new_rows = len(rows) - len(checkpoint.uploads.rows)
    merged = LEVELS.to_merge(new_rows, [one.rows for one in reversed(kept)])
    kept = kept[: len(kept) - merged]
    start = sum(one.rows for one in kept)
    segments = kept
    if start < len(rows):
        new = store_rows(rows, start)
        segments = (*kept, await write_segment(workspace, new, len(rows) - start))
    names = {one.name for one in segments}
    manifest = CheckpointManifest(
        up_to=up_to,
        ledger=await identify_ledger(ledger, up_to),
        contract=identify_contract(in_force),
        uncounted=uncounted,
        rulings=list({one.source_id: one for one in rulings}.values()),
        segments=segments,
        retired=tuple(one for one in before.names if one not in names),
    )
    key = workspace.absolute(workspace.index(MANIFEST_NAME))
    async with workspace.store.create(key) as writer:
        await writer.write(manifest.to_json())
    for name in sorted(set(before.retired) - names - set(manifest.retired)):
        await workspace.store.delete(workspace.absolute(workspace.index(name)))


def identify_contract(in_force: ContractInForce) -> str:
    """Identify by what entries are chosen and their rows replaced."""
    stands_for = in_force.stands_for

    def firsts(digests: Iterable[str]) -> list[str]:
        return sorted({stands_for.get(one, one) for one in digests})

    parts = [
        *firsts([in_force.contract.digest]),
        *firsts(in_force.same_rows),
        "",
        *firsts(in_force.other_rows),
        *map(str, (in_force.first, in_force.serves_first, in_force.erasures.last)),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


async def _read_uploads(workspace: Workspace, manifest: CheckpointManifest) -> CheckpointUploads:
    segments = [await read_segment(workspace, one) for one in manifest.segments]
    rows = UploadTable([chunk for chunks in segments for chunk in chunks])
    return CheckpointUploads(manifest.up_to, rows, manifest.uncounted, manifest.rulings)
