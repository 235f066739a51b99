"""Read raw objects for the recount: their bytes, decompressed, in a temporary file."""

from __future__ import annotations

import asyncio
import codecs
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.clean.corrections import read_corrections
from worker.errors import ConfigError, SourceError
from worker.objects import ObjectInfo, ObjectStore
from worker.objects.location import Location, locate
from worker.state import Entry
from worker.state.entry import Repair
from worker.validate.codecs import PARQUET, ZIP
from worker.validate.stream import SourceStream
from worker.validate.verdict import ForeignFormat, Unreadable

READ_BYTES = 2**20
"""Bytes of a raw object that are read at once."""

TEMPORARY_MEMORY_BYTES = 16 * 2**20
"""Raw files up to this size are kept in memory, larger ones in a temporary file."""

TEXT = "text"
"""Format of what is neither a ZIP archive nor Parquet."""

OpenObjects = Callable[[Location], Awaitable[ObjectStore]]


@dataclass(frozen=True)
class RawBytes:
    """A raw object.

    Attributes:
        file: Its bytes, decompressed where they were compressed as a whole.
        format: `TEXT`, or that of `worker.validate.codecs`.
        key: Of the object.
    """

    file: IO[bytes]
    format: str
    key: str


class RawFiles:
    """Opens the raw objects of entries, where they are still as they were validated."""

    def __init__(self, open_objects: OpenObjects | None, workspace: Workspace) -> None:
        self._open_objects = open_objects
        self._workspace = workspace
        self._stores: dict[str, ObjectStore] = {}

    async def close(self) -> None:
        """Close the stores."""
        for store in self._stores.values():
            await store.close()

    @asynccontextmanager
    async def open(self, upload: Entry, contract: Contract) -> AsyncIterator[RawBytes | None]:
        """Read the raw object of an upload; None where it is gone, changed or cannot be read.

        Args:
            upload: The upload.
            contract: In force. An upload of another one is not read.
        """
        found = await self._find(upload, contract)
        if found is None:
            yield None
            return
        store, info = found
        with tempfile.SpooledTemporaryFile(TEMPORARY_MEMORY_BYTES) as file:
            try:
                kind = await _copy(store, info, file, contract.max_inflation)
                if upload.repair is not None:
                    await self._correct(upload, upload.repair, file, contract)
            except (SourceError, Unreadable):
                yield None
                return
            file.seek(0)
            yield RawBytes(file, kind, info.key)

    async def _correct(
        self, upload: Entry, repair: Repair, file: IO[bytes], contract: Contract
    ) -> None:
        """Put the corrected records of an upload in the places of the others.

        Raises:
            SourceError: They are not where they were, as in text of another encoding than UTF-8.
        """
        corrections = await read_corrections(repair, self._workspace)

        async def texts() -> AsyncIterator[bytes]:
            for number, block in enumerate(blocks_of(file)):
                # By a contract of language 2, places are those without a byte order mark.
                marked = number == 0 and contract.shop is not None
                yield block.removeprefix(codecs.BOM_UTF8) if marked else block

        with tempfile.SpooledTemporaryFile(TEMPORARY_MEMORY_BYTES) as corrected:
            async for text in corrections.apply(texts(), upload.url):
                corrected.write(text)
            file.seek(0)
            file.truncate()
            for block in blocks_of(corrected):
                file.write(block)

    async def _find(
        self, upload: Entry, contract: Contract
    ) -> tuple[ObjectStore, ObjectInfo] | None:
        if self._open_objects is None or upload.contract != contract.digest:
            return None
        try:
            place = locate(upload.url)
            if place.bucket not in self._stores:
                self._stores[place.bucket] = await self._open_objects(place)
            store = self._stores[place.bucket]
            kind, _, version = upload.version.partition(":")
            version_id = version if kind == "version" else None
            info = await store.stat(place.key, version_id=version_id)
        except (ConfigError, SourceError):
            return None
        is_same = (info.version, info.size_bytes) == (upload.version, upload.size_bytes)
        return (store, info) if is_same else None


async def _copy(store: ObjectStore, info: ObjectInfo, file: IO[bytes], max_inflation: int) -> str:
    """Copy an object to a file, decompressed; return its format.

    Raises:
        SourceError, Unreadable: It cannot be read.
    """
    try:
        async with SourceStream(store, info, max_inflation=max_inflation) as stream:
            async for block in stream.blocks():
                await asyncio.to_thread(file.write, block.new)
    except ForeignFormat as foreign:
        if foreign.is_compressed or foreign.format not in (ZIP, PARQUET):
            raise
        for start in range(0, info.size_bytes, READ_BYTES):
            stop = min(start + READ_BYTES, info.size_bytes)
            await asyncio.to_thread(file.write, await store.read(info, start, stop))
        return foreign.format
    return TEXT


def blocks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file from its beginning."""
    file.seek(0)
    while block := file.read(READ_BYTES):
        yield block
