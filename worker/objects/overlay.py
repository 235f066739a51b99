"""An object store over another one: what is written goes into a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from worker.errors import SourceError
from worker.objects import ObjectInfo, ObjectStore, ObjectWriter, OnUnlisted
from worker.objects.location import Location


class OverlayStore:
    """Reads a store as it would be after some writes, which it does not get.

    Args:
        base: The store that is only read.
        written: The store of this machine, which receives what is written.
        folder: Where in it.
    """

    def __init__(self, base: ObjectStore, written: ObjectStore, folder: Location) -> None:
        self._base = base
        self._written = written
        self._folder = folder

    def list(
        self, prefix: str, *, on_unlisted: OnUnlisted | None = None
    ) -> AsyncIterator[ObjectInfo]:
        return self._base.list(prefix, on_unlisted=on_unlisted)

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        try:
            return await self._written.stat(self._key(key))
        except SourceError:
            return await self._base.stat(key, version_id=version_id)

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        return await self._store(info).read(info, start, end)

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        return await self._store(info).read_ranges(info, ranges)

    def create(self, key: str) -> AbstractAsyncContextManager[ObjectWriter]:
        return self._written.create(self._key(key))

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        raise SourceError("nothing is deleted", url=key, actual=version_id)

    async def close(self) -> None:
        await self._written.close()

    def _key(self, key: str) -> str:
        return self._folder.join(key)

    def _store(self, info: ObjectInfo) -> ObjectStore:
        is_written = not info.bucket and info.key.startswith(f"{self._folder.key}/")
        return self._written if is_written else self._base
