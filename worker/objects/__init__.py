"""Objects by URL: one protocol, a folder and S3 behind it.

`file:///path` names a folder or file, `s3://bucket/prefix` a place in a bucket. A *key* is what
follows the bucket (S3) or the absolute path (folder), always with `/` between its segments.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """One version of one object, as its store describes it.

    Attributes:
        bucket: S3 bucket; empty for a folder.
        key: Key in the bucket; absolute path without its first `/` for a folder.
        size_bytes: Length of the object.
        version: What changes whenever the content does: `version:<id>` in a versioned bucket,
            else `etag:<etag>:<Last-Modified, Unix seconds>`; `mtime:<ns>:<size>` for a file.
        uploaded_at: Last-Modified of an S3 object, mtime of a file; aware, UTC.
    """

    bucket: str
    key: str
    size_bytes: int
    version: str
    uploaded_at: datetime

    @property
    def url(self) -> str:
        url = f"s3://{self.bucket}/{self.key}" if self.bucket else f"file:///{self.key}"
        # A file's name may be any bytes; those that are not UTF-8 are shown as \\xNN.
        return url.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class ObjectWriter(Protocol):
    """Receives the bytes of one object, in order."""

    async def write(self, data: bytes | memoryview) -> None:
        """Take `data`; returns once it may be reused. Memory held stays bounded."""


@runtime_checkable
class CopyingWriter(ObjectWriter, Protocol):
    """A writer whose store can take bytes of other objects of its kind by itself."""

    async def copy(self, info: ObjectInfo) -> None:
        """Append all bytes of an object, of exactly that version, which has a bucket."""


class ObjectStore(Protocol):
    """Objects of one bucket or folder tree.

    Errors of every method: `SourceError` where the object cannot be read (missing, no permission),
    `SourceChanged` where it is no longer the version asked for, `StoreError` where the store fails
    after retries. Messages name the object's URL.
    """

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Objects whose key is `prefix` or starts with `prefix` + `/`, ascending by key."""

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """The current version of `key`, or the one of that S3 version id."""

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        """Bytes [start, end) of exactly that version; always end - start bytes."""

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        """As `read`, of several ranges of one object, at the least cost that the store knows."""

    def create(self, key: str) -> AbstractAsyncContextManager[ObjectWriter]:
        """Write `key` whole or not at all.

        The object appears when the block ends; where the block raises or the process dies, readers
        never see any of it. It replaces one of other bytes; whoever reads one of the same bytes
        meanwhile is not disturbed.
        """

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        """Remove `key`, or only that S3 version of it; nothing happens where it is not there."""

    async def close(self) -> None:
        """Give back connections and threads."""
