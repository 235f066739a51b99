"""Open the key index, look keys up, and extend it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from kpi.index.pointers import Pointers
from kpi.kernels.arrays import Words
from kpi.kernels.keys import keys_of
from worker.clean import Workspace
from worker.errors import SourceError
from worker.index.levels import Levels
from worker.index.manifest import Manifest, Run
from worker.index.merging import merged_pointers
from worker.index.run_object import RunReader, encode_run, merge_tables
from worker.index.stored import read_manifest

if TYPE_CHECKING:
    from kpi.kernels.key_hashing import KeyHasher

MANIFEST_NAME = "current.json"
"""Name of the manifest in the folder of the index."""

LEVELS = Levels(head=16_384, merged=2_000_000)
"""Pointers, of 16 bytes: 256 KiB that each extension writes again. Runs that are merged beside a
transform have 32 MB at most, held thrice."""

Identify = Callable[[int], str]
"""Identifies a ledger and its clean files up to a sequence."""


class IndexDamaged(SourceError):
    """Report a run that cannot be read as it was written; the index can be built again."""


class KeyIndex:
    """Finds the places of keys, in the files up to one ledger sequence.

    Attributes:
        manifest: What it holds.
    """

    def __init__(
        self,
        workspace: Workspace,
        secret: bytes,
        identify: Identify,
        manifest: Manifest,
        read: Manifest,
    ) -> None:
        self.manifest = manifest
        self._read = read  # what the workspace had, of which this one is perhaps nothing
        self._workspace = workspace
        self._secret = secret
        self._identify = identify
        self._readers = [
            RunReader(workspace.store, workspace.absolute(workspace.index(run.name)), run)
            for run in manifest.runs
        ]

    @classmethod
    async def open(
        cls, workspace: Workspace, secret: bytes, tables: Sequence[str], identify: Identify
    ) -> Self:
        """Open the index of a workspace; an empty one where there is none of these files.

        Args:
            workspace: Where it is.
            secret: 16 bytes of the ledger under which ids are hashed.
            tables: Names of the wanted tables.
            identify: Identifies the ledger and its clean files up to a sequence.

        Raises:
            StoreError: The store fails after retries.
        """
        read = (
            await read_manifest(workspace, workspace.index(MANIFEST_NAME), Manifest.from_json)
            or Manifest()
        )
        manifest = read
        if set(read.tables) != set(tables) or identify(read.up_to) != read.files:
            manifest = Manifest(tables=tuple(sorted(tables)), retired=(*read.retired, *read.names))
        return cls(workspace, secret, identify, manifest, read)

    async def opened_again(self) -> KeyIndex:
        """Return the index without what this one could not read.

        That is the present one, where another writer has replaced it meanwhile, else an empty one.

        Raises:
            StoreError: The store fails after retries.
        """
        mine = self.manifest
        again = await KeyIndex.open(self._workspace, self._secret, mine.tables, self._identify)
        if again.manifest != mine:
            return again
        empty = Manifest(tables=mine.tables, retired=(*mine.retired, *mine.names))
        return KeyIndex(self._workspace, self._secret, self._identify, empty, mine)

    def words(self, column: pa.ChunkedArray) -> Words:
        """Return the word of each key of a column without null."""
        return keys_of([column], None if pa.types.is_integer(column.type) else self._hasher).high

    @cached_property
    def _hasher(self) -> KeyHasher:
        from kpi.kernels.key_hashing import KeyHasher  # noqa: PLC0415  (cryptography, 10 ms)

        return KeyHasher(self._secret)

    async def find(self, table: str, values: pa.Array) -> Words:
        """Return the places of all rows up to `manifest.up_to` that may have one of some keys.

        Raises:
            SourceError: A run is missing or damaged.
            StoreError: The store fails after retries.
        """
        wanted = np.unique(self.words(pa.chunked_array([values])))
        found = [await reader.find(table, wanted) for reader in self._readers]
        return np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))

    def pointers(self, table: str) -> AsyncIterator[Pointers]:
        """Yield all pointers of a table, ascending, each once.

        Raises:
            SourceError: A run is missing or damaged.
            StoreError: The store fails after retries.
        """
        return merged_pointers(self._readers, table)

    async def extend(self, tables: Mapping[str, Pointers], *, up_to: int) -> KeyIndex:
        """Add pointers, and return the index that has them.

        Args:
            tables: Table -> pointers of all files after `manifest.up_to` and up to `up_to`.
            up_to: Ledger sequence.

        Raises:
            IndexDamaged: A run is missing or damaged.
            StoreError: The store fails after retries.
        """
        runs = list(self.manifest.runs)
        count = sum(map(len, tables.values()))
        merged = [tables]
        retired = []
        for at in range(LEVELS.to_merge(count, [run.pointers for run in runs])):
            try:
                merged.append(await self._readers[at].load())
            except SourceError as error:
                raise IndexDamaged(str(error), url=runs[at].name) from error
            retired.append(runs[at].name)
        runs = runs[len(retired) :]
        if count or retired:
            runs.insert(0, await self._write_run(merge_tables(merged)))
        manifest = replace(
            self.manifest,
            up_to=up_to,
            files=self._identify(up_to),
            runs=tuple(runs),
            retired=tuple(retired),
        )
        if await self._replace_manifest(manifest):
            kept = {*(run.name for run in runs), *retired}
            for name in sorted(set(self.manifest.retired) - kept):
                await self._workspace.store.delete(self._absolute(name))
        return KeyIndex(self._workspace, self._secret, self._identify, manifest, manifest)

    def _absolute(self, name: str) -> str:
        return self._workspace.absolute(self._workspace.index(name))

    async def _write_run(self, tables: Mapping[str, Pointers]) -> Run:
        data, sections = encode_run(tables)
        name = f"{hashlib.sha256(data).hexdigest()[:32]}.run"
        async with self._workspace.store.create(self._absolute(name)) as writer:
            await writer.write(data)
        return Run(name=name, size_bytes=len(data), crc=zlib.crc32(data), sections=sections)

    async def _replace_manifest(self, manifest: Manifest) -> bool:
        """Write the manifest, unless another writer has written one that knows more.

        Returns:
            Whether it was written.
        """
        present = (
            await read_manifest(
                self._workspace, self._workspace.index(MANIFEST_NAME), Manifest.from_json
            )
            or Manifest()
        )
        if (
            present != self._read
            and present.tables == manifest.tables
            and present.up_to > manifest.up_to
        ):
            return False
        async with self._workspace.store.create(self._absolute(MANIFEST_NAME)) as writer:
            await writer.write(manifest.to_json())
        return True
