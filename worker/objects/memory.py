"""Object store in memory, for simulations and unit tests."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from worker.errors import SourceChanged, SourceError, SourceMissing
from worker.objects import RENEWED_AFTER, ObjectInfo, OnUnlisted


class MemoryStore:
    """An `ObjectStore` whose objects last as long as it does.

    Args:
        bucket: Bucket in the URLs of the objects.
        clock: Returns the upload time of an object written now; aware, UTC.
    """

    def __init__(
        self, bucket: str = "memory", *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._bucket = bucket
        self._clock = clock
        self._objects: dict[str, tuple[ObjectInfo, bytes]] = {}
        self._writes = 0

    async def list(
        self,
        prefix: str,
        *,
        on_unlisted: OnUnlisted | None = None,  # noqa: ARG002
    ) -> AsyncIterator[ObjectInfo]:
        prefix = prefix.rstrip("/")
        for key in sorted(self._objects):
            inside = key == prefix or not prefix or key.startswith(f"{prefix}/")
            # What is deleted while the caller works is no longer listed.
            if inside and key in self._objects:
                yield self._objects[key][0]

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        info = self._object(key)[0]
        if version_id is not None and info.version != f"version:{version_id}":
            raise SourceMissing(f"it has no version {version_id}", url=info.url)
        return info

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        present, data = self._objects.get(info.key, (None, b""))
        if present != info:
            message = f"it is no longer the version {info.version}"
            raise SourceChanged(message, url=info.url, expected=info.version)
        if end > len(data):
            raise SourceError(url=info.url, expected=f"{end} bytes", actual=f"{len(data)} bytes")
        return data[start : max(start, end)]

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        return [await self.read(info, start, end) for start, end in ranges]

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[MemoryWriter]:
        """Write `key` whole or not at all."""
        writer = MemoryWriter()
        yield writer
        info, data = self._objects.get(key, (None, b""))
        is_old = info is not None and self._clock() - info.uploaded_at > RENEWED_AFTER
        if info is None or is_old or data != writer.data:
            self._put(key, bytes(writer.data))

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        found = self._objects.get(key)
        if found and version_id in (None, found[0].version.removeprefix("version:")):
            del self._objects[key]

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _object(self, key: str) -> tuple[ObjectInfo, bytes]:
        if key not in self._objects:
            raise SourceMissing(url=f"s3://{self._bucket}/{key}")
        return self._objects[key]

    def _put(self, key: str, data: bytes) -> None:
        self._writes += 1
        info = ObjectInfo(
            bucket=self._bucket,
            key=key,
            size_bytes=len(data),
            version=f"version:{self._writes}",
            uploaded_at=self._clock(),
            etag=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        )
        self._objects[key] = (info, data)


class MemoryWriter:
    """An `ObjectWriter` that keeps the bytes."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes | memoryview) -> None:
        self.data += data
