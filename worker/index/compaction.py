"""Merge the runs of the key index: what transforms leave, so that look-ups read few of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from worker.clean import Workspace
from worker.index.key_index import MANIFEST_NAME
from worker.index.levels import LEVEL_FACTOR
from worker.index.manifest import Manifest, Run
from worker.index.merging import merge_runs
from worker.index.stored import read_manifest


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What was merged.

    Attributes:
        runs: Number of runs that became one; 0 where they are few.
        pointers: Their pointers.
        size_bytes: Their bytes.
    """

    runs: int = 0
    pointers: int = 0
    size_bytes: int = 0


async def compact_index(workspace: Workspace, *, dry_run: bool) -> Merged:
    """Merge runs of the key index, where newer ones have an eighth of the rows of an older one.

    The manifest moves only where it still names all of them. So a transform that has extended the
    index meanwhile loses nothing.

    Raises:
        SourceError: A run is missing or damaged: the next transform that needs it builds the index.
        StoreError: The store fails after retries.
    """
    manifest = await _read(workspace)
    runs = manifest.runs[: count_to_merge([run.pointers for run in manifest.runs])]
    merged = Merged(
        runs=len(runs),
        pointers=sum(run.pointers for run in runs),
        size_bytes=sum(run.size_bytes for run in runs),
    )
    if not runs or dry_run:
        return merged
    new = await merge_runs(workspace, runs)
    if await _move(workspace, runs, new):
        return merged
    await workspace.store.delete(workspace.absolute(workspace.index(new.name)))
    return Merged()


def count_to_merge(sizes: Sequence[int]) -> int:
    """Return how many of the newest runs become one, given the rows of each; 0 for none."""
    newer, count = 0, 0
    for number, size in enumerate(sizes):
        if number and newer * LEVEL_FACTOR >= size:
            count = number + 1
        newer += size
    return count


async def _read(workspace: Workspace) -> Manifest:
    key = workspace.index(MANIFEST_NAME)
    return await read_manifest(workspace, key, Manifest.from_json) or Manifest()


async def _move(workspace: Workspace, runs: Sequence[Run], new: Run) -> bool:
    """Let the manifest name a run instead of others; False where it names them no more."""
    present = await _read(workspace)
    names = [run.name for run in present.runs]
    wanted = [run.name for run in runs]
    at = names.index(wanted[0]) if wanted[0] in names else 0
    if names[at : at + len(wanted)] != wanted:
        return False
    kept = (*present.runs[:at], new, *present.runs[at + len(wanted) :])
    manifest = replace(present, runs=kept, retired=tuple(wanted))
    async with workspace.store.create(workspace.absolute(workspace.index(MANIFEST_NAME))) as writer:
        await writer.write(manifest.to_json())
    live = {*wanted, *(run.name for run in kept)}
    for name in sorted(set(present.retired) - live):
        await workspace.store.delete(workspace.absolute(workspace.index(name)))
    return True
