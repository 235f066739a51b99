"""Open the packs, read small clean files from them, and extend them."""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_left
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator
from typing import Self

from worker.clean import Workspace
from worker.clean.reader import FOOTER_BYTES
from worker.errors import SourceError
from worker.index.levels import Levels
from worker.index.stored import read_manifest
from worker.objects import ObjectInfo, open_range
from worker.packs.manifest import Pack, PackManifest, manifest_name
from worker.packs.pack_object import (
    Contents,
    Directory,
    PackedFile,
    directory_start,
    find_file,
    join_contents,
    pack_files,
    parse_directory,
)
from worker.runtime.memory_budget import PACK_CHUNK_BYTES, PACK_CHUNKS

PACKED_FILE_BYTES = FOOTER_BYTES
"""Length up to which clean files are packed: these are read whole, with their footer."""

LEVELS = Levels(head=2**18, merged=2**25)
"""Bytes: 256 KiB that each extension writes again, and 32 MiB of packs that are merged."""

STRIDE_BYTES = 2**23
"""Bytes of files that are packed before the manifest is written: what a killed process loses."""


class Packs:
    """Small clean files of a workspace, under the last erasure of a customer.

    Once a pack cannot be read, nothing is found in any of them.

    Attributes:
        manifest: Which packs there are.
        generation: Part of names that names the last erasure.
        failure: Why a pack could not be read; None where all could.
    """

    def __init__(
        self,
        workspace: Workspace,
        generation: str,
        manifest: PackManifest,
        stored: PackManifest | None = None,
    ) -> None:
        self.manifest = manifest
        self._stored = stored or manifest  # what the workspace had, where this one is empty
        self.failure: SourceError | None = None
        self.generation = generation
        self._workspace = workspace
        self._ordered = manifest.packs[::-1]
        self._lasts = [pack.last for pack in self._ordered]
        self._directories: dict[str, Directory] = {}
        self._chunks = _Chunks(workspace)

    @classmethod
    async def open(cls, workspace: Workspace, generation: str) -> Self:
        """Open the packs of a workspace; none where there is no manifest that can be read.

        Args:
            workspace: Where they are.
            generation: Part of names that names the last erasure.

        Raises:
            StoreError: The store fails after retries.
        """
        key = workspace.pack(manifest_name(generation))
        found = await read_manifest(workspace, key, PackManifest.from_json)
        return cls(workspace, generation, found or PackManifest())

    async def find(self, sequence: int, key: str) -> bytes | None:
        """Return the bytes of a small clean file; None where no pack has it.

        Args:
            sequence: Ledger sequence of its entry.
            key: Its key below the workspace.

        Raises:
            StoreError: The store fails after retries.
        """
        at = bisect_left(self._lasts, sequence)
        if self.failure is not None or at == len(self._lasts):
            return None
        pack = self._ordered[at]
        try:
            return await find_file(
                pack,
                self._absolute(pack.name),
                await self._directory(pack),
                lambda start, end: self._chunks.read(pack, start, end),
                sequence=sequence,
                key=key,
            )
        except SourceError as error:
            self.failure = error
            return None

    async def extend(self, files: AsyncIterator[PackedFile], up_to: int) -> Packs:
        """Add files, and return the packs that have them.

        Args:
            files: All small clean files of entries after `manifest.up_to` and up to `up_to` that
                can be read, ascending by sequence.
            up_to: Ledger sequence.

        Raises:
            SourceError: A pack is missing or damaged.
            StoreError: A store fails after retries.
        """
        packs, stride, size = self, list[PackedFile](), 0
        async for file in files:
            # Files of one entry stay together: a pack has all of a range of sequences.
            if size >= STRIDE_BYTES and file.sequence != stride[-1].sequence:
                packs = await packs._add(stride, stride[-1].sequence)
                stride, size = [], 0
            stride.append(file)
            size += len(file.data)
        return await packs._add(stride, up_to)

    async def without_contents(self) -> Packs:
        """Return the packs without those that this one could not read.

        That are the present ones, where another writer has replaced these meanwhile, else none.

        Raises:
            StoreError: The store fails after retries.
        """
        again = await Packs.open(self._workspace, self.generation)
        if again.manifest != self.manifest:
            return again
        mine = self.manifest
        empty = PackManifest(retired=(*mine.retired, *mine.names))
        return Packs(self._workspace, self.generation, empty, mine)

    async def delete(self) -> None:
        """Delete manifest and packs: a customer was erased since their files were read.

        Raises:
            StoreError: The store fails after retries.
        """
        names = (manifest_name(self.generation), *self.manifest.names, *self.manifest.retired)
        for name in names:
            await self._workspace.store.delete(self._absolute(name))

    async def _add(self, files: list[PackedFile], up_to: int) -> Packs:
        kept = list(self.manifest.packs)
        parts = [pack_files(files)] if files else []
        added = sum(len(part.data) for part in parts)
        if files:
            for pack in kept[: LEVELS.to_merge(added, [one.size_bytes for one in kept])]:
                parts.insert(0, await self._contents(pack))
            kept = kept[len(parts) - 1 :]
            kept.insert(0, await self._write(join_contents(parts)))
        names = {pack.name for pack in kept}
        before = self.manifest
        manifest = PackManifest(
            up_to=up_to,
            packs=tuple(kept),
            retired=tuple(name for name in before.names if name not in names),
        )
        if await self._replace_manifest(manifest):
            for name in sorted(set(before.retired) - names - set(manifest.retired)):
                await self._workspace.store.delete(self._absolute(name))
        return Packs(self._workspace, self.generation, manifest)

    async def _replace_manifest(self, manifest: PackManifest) -> bool:
        """Write the manifest, unless another writer has written one that knows more."""
        present = (await Packs.open(self._workspace, self.generation)).manifest
        if present != self._stored and present.up_to > manifest.up_to:
            return False
        key = self._absolute(manifest_name(self.generation))
        async with self._workspace.store.create(key) as writer:
            await writer.write(manifest.to_json())
        return True

    async def _contents(self, pack: Pack) -> Contents:
        store, key = self._workspace.store, self._absolute(pack.name)
        _, whole = await open_range(store, key, 0, pack.size_bytes)
        start = directory_start(pack)
        return Contents(data=whole[:start], directory=parse_directory(pack, key, whole[start:]))

    async def _write(self, contents: Contents) -> Pack:
        data = contents.to_bytes()
        name = f"{hashlib.sha256(data).hexdigest()[:32]}{self.generation}.pack"
        async with self._workspace.store.create(self._absolute(name)) as writer:
            await writer.write(data)
        return contents.describe(name)

    async def _directory(self, pack: Pack) -> Directory:
        if pack.name not in self._directories:
            data = await self._chunks.read(pack, directory_start(pack), pack.size_bytes)
            self._directories[pack.name] = parse_directory(pack, self._absolute(pack.name), data)
        return self._directories[pack.name]

    def _absolute(self, name: str) -> str:
        return self._workspace.absolute(self._workspace.pack(name))


class _Chunks:
    """Chunks of packs, of which the last used are held: files of one day lie together."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._infos: dict[str, ObjectInfo] = {}
        self._held: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._loading: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, pack: Pack, start: int, end: int) -> bytes:
        """Read some bytes of a pack.

        Raises:
            SourceError: The pack is missing or shorter.
            StoreError: The store fails after retries.
        """
        first, last = start // PACK_CHUNK_BYTES, -(-end // PACK_CHUNK_BYTES)
        chunks = [await self._chunk(pack, number) for number in range(first, last)]
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        skipped = first * PACK_CHUNK_BYTES
        return data[start - skipped : end - skipped]

    async def _chunk(self, pack: Pack, number: int) -> bytes:
        place = (pack.name, number)
        async with self._loading[place]:
            if place not in self._held:
                self._held[place] = await self._load(pack, number)
                if len(self._held) > PACK_CHUNKS:
                    self._held.popitem(last=False)
            self._held.move_to_end(place)
            return self._held[place]

    async def _load(self, pack: Pack, number: int) -> bytes:
        store = self._workspace.store
        key = self._workspace.absolute(self._workspace.pack(pack.name))
        start = number * PACK_CHUNK_BYTES
        end = min(start + PACK_CHUNK_BYTES, pack.size_bytes)
        if key not in self._infos:
            self._infos[key], data = await open_range(store, key, start, end)
            return data
        return await store.read(self._infos[key], start, end)
