"""Read small clean files from packs, and pack those that no pack has yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress

from worker.clean import Workspace
from worker.clean.reader import read_end
from worker.errors import SourceError, StoreError
from worker.packs.pack_object import PackedFile
from worker.packs.packs import Packs
from worker.runtime.concurrency import each
from worker.state import Ledger
from worker.state.erasures import read_erasures
from worker.transform.catalog import CONCURRENT_FOOTER_READS, Catalog
from worker.transform.file_table import FileTable, SmallFile

FILES_READ_AT_ONCE = 512
"""Small files read before the first of them is packed: 32 MiB at most."""


async def use_packs(workspace: Workspace, generation: str, tables: Iterable[FileTable]) -> None:
    """Have small files read from packs, where these have them.

    Args:
        workspace: Where the packs are.
        generation: Part of names that names the last erasure.
        tables: The files.

    Raises:
        StoreError: The store fails after retries.
    """
    packs = await Packs.open(workspace, generation)
    for table in tables:
        table.packs = packs


async def extend_packs(
    workspace: Workspace, ledger: Ledger, catalogs: Iterable[Catalog], up_to: int
) -> dict[str, int]:
    """Pack the small files that have no copy yet, where there are many; all where one is damaged.

    Nothing that goes wrong here raises: the KPIs are published, and need no pack.

    Args:
        workspace: Where the packs are.
        ledger: Says whether a customer was erased meanwhile.
        catalogs: All datasets at a ledger sequence.
        up_to: The sequence.

    Returns:
        `packs_rebuilt` where a pack was damaged; `packs_incomplete` where none can be written.
    """
    every = list(catalogs)
    packs = every[0].packs
    if packs is None:
        return {}
    notes: dict[str, int] = {}
    try:
        if packs.failure is None and packs.manifest.up_to <= up_to:
            with suppress(SourceError):
                await _extend(workspace, ledger, packs, every, up_to)
                return notes
        packs = await packs.without_contents()
        notes = {} if packs.manifest.up_to else {"packs_rebuilt": 1}
        await _extend(workspace, ledger, packs, every, up_to)
    except (SourceError, StoreError):
        return notes | {"packs_incomplete": 1}
    return notes


async def _extend(
    workspace: Workspace, ledger: Ledger, packs: Packs, catalogs: Sequence[Catalog], up_to: int
) -> None:
    missing = sorted(
        (file for one in catalogs for file in one.small_files(packs.manifest.up_to)),
        key=lambda file: file.sequence,
    )
    if len(missing) < catalogs[0].limits.unpacked_files:
        return
    extended = await packs.extend(_read(workspace, missing), up_to)
    # A transform that slept through an erasure must bring nobody back.
    if (await read_erasures(ledger)).generation != packs.generation:
        await extended.delete()


async def _read(workspace: Workspace, files: Sequence[SmallFile]) -> AsyncIterator[PackedFile]:
    """Read files that can be read; whoever needs another one reports it."""

    async def read(file: SmallFile) -> PackedFile | None:
        data = b"" if file.file is None else file.file.held
        if not data:
            try:
                key = workspace.stored(file.key)
                data = await read_end(workspace.store, key)
            except SourceError:
                return None
        return PackedFile(sequence=file.sequence, key=file.key, data=data)

    for at in range(0, len(files), FILES_READ_AT_ONCE):
        some = files[at : at + FILES_READ_AT_ONCE]
        for file in await each(some, read, CONCURRENT_FOOTER_READS):
            if file is not None:
                yield file
