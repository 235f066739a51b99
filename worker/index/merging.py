"""Merge runs of any size in bounded memory, block by block."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncIterator, Sequence

import numpy as np

from kpi.index.pointers import POINTER, Pointers, merge_pointers
from worker.clean import Workspace
from worker.index.manifest import Run, Section
from worker.index.run_object import BLOCK_POINTERS, RunReader, fences_of
from worker.objects import ObjectWriter

READ_BLOCKS = 32
"""Blocks of one run that are held at once: 1 MiB."""


async def merge_runs(workspace: Workspace, runs: Sequence[Run]) -> Run:
    """Write one run with the pointers of several.

    Its name is made from theirs. So whoever merges the same runs writes the same bytes to it.

    Raises:
        SourceError: A run is missing or damaged.
        StoreError: The store fails after retries.
    """
    store = workspace.store
    readers = [RunReader(store, workspace.absolute(workspace.index(run.name)), run) for run in runs]
    tables = sorted({table for run in runs for table in run.sections})
    joined = "\n".join(run.name for run in runs)
    name = f"{hashlib.sha256(joined.encode()).hexdigest()[:32]}.run"
    async with store.create(workspace.absolute(workspace.index(name))) as writer:
        output = _Output(writer)
        sections = {
            table: await output.write_table(merged_pointers(readers, table)) for table in tables
        }
    return Run(name=name, size_bytes=output.size_bytes, crc=output.crc, sections=sections)


class _Output:
    """Writes the bytes of a run; see `worker.index.run_object`."""

    def __init__(self, writer: ObjectWriter) -> None:
        self._writer = writer
        self.size_bytes = 0
        self.crc = 0

    async def write_table(self, parts: AsyncIterator[Pointers]) -> Section:
        """Write the pointers of a table, then its fences."""
        offset, pointers = self.size_bytes, 0
        fences: list[bytes] = []
        rest = np.empty(0, POINTER)
        async for part in parts:
            rest = np.concatenate([rest, part])
            whole = len(rest) - len(rest) % BLOCK_POINTERS
            pointers += whole
            await self._write_blocks(rest[:whole], fences)
            rest = rest[whole:]
        await self._write_blocks(rest, fences)
        data = b"".join(fences)
        await self._write(data)
        return Section(offset=offset, pointers=pointers + len(rest), crc=zlib.crc32(data))

    async def _write_blocks(self, pointers: Pointers, fences: list[bytes]) -> None:
        if len(pointers):
            data = pointers.tobytes()
            fences.append(fences_of(pointers, data).tobytes())
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        await self._writer.write(data)
        self.size_bytes += len(data)
        self.crc = zlib.crc32(data, self.crc)


class _Cursor:
    """What was read of a table of a run and not merged yet."""

    def __init__(self, reader: RunReader, table: str) -> None:
        self._reader = reader
        self._table = table
        self._next = 0
        self.held: Pointers = np.empty(0, POINTER)

    @property
    def has_more(self) -> bool:
        """Whether there are blocks that were not read."""
        return self._next < self._reader.blocks(self._table)

    async def fill(self) -> None:
        """Read the next blocks once all before are merged."""
        if not len(self.held) and self.has_more:
            self.held = await self._reader.read_blocks(self._table, self._next, READ_BLOCKS)
            self._next += READ_BLOCKS

    def take(self, last: Pointers) -> Pointers:
        """Return the held pointers up to one, and hold the rest."""
        keys = self.held["key"]
        start, end = (int(np.searchsorted(keys, last["key"], side)) for side in ("left", "right"))
        places = self.held["place"][start:end]
        count = start + int(np.searchsorted(places, last["place"], "right"))
        taken, self.held = self.held[:count], self.held[count:]
        return taken


async def merged_pointers(readers: Sequence[RunReader], table: str) -> AsyncIterator[Pointers]:
    """Yield the pointers of a table of all runs, ascending."""
    cursors = [_Cursor(reader, table) for reader in readers]
    while True:
        for cursor in cursors:
            await cursor.fill()
        held = [cursor for cursor in cursors if len(cursor.held)]
        if not held:
            return
        # Behind the last one that is held of a run, others of it may follow.
        lasts = [cursor.held[-1] for cursor in held if cursor.has_more]
        lasts = lasts or [max((cursor.held[-1] for cursor in held), key=_order)]
        last = min(lasts, key=_order)
        yield merge_pointers([cursor.take(last) for cursor in held])


def _order(pointer: Pointers) -> tuple[int, int]:
    return int(pointer["key"]), int(pointer["place"])
