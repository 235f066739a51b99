"""Object stores: one protocol over a folder, S3 and memory.

`file:///path` names a folder or file, `s3://bucket/prefix` a place in a bucket. A *key* follows the
bucket (S3), or is the absolute path without its first `/` (folder). Its segments have `/` between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class FileStamp:
    """Times and inode of a file: one of them differs wherever the bytes may differ.

    `cp -p`, `rsync -t` and `tar x` set the mtime; nobody can set the ctime. A file that replaces
    another has its own inode.
    """

    mtime_ns: int
    ctime_ns: int
    inode: int

    def __str__(self) -> str:
        return f"{self.ctime_ns}:{self.inode}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """One version of one object, as its store describes it.

    Attributes:
        bucket: S3 bucket; empty for a folder.
        key: Key in the bucket; absolute path without its first `/` for a folder.
        size_bytes: Length of the object.
        version: Changes whenever the content does: `version:<id>` in a versioned bucket, else
            `etag:<etag>:<Last-Modified, Unix seconds>`; `mtime:<ns>:<size>` for a file.
        uploaded_at: Last-Modified of an S3 object, mtime of a file; aware, UTC.
        stamp: Times and inode of a file; None elsewhere. It is no part of the version, so that
            moving, copying or restoring a folder makes no new versions.
        sha256: SHA-256 that S3 keeps of an object, in base64: of all bytes, or of the digests of
            the parts that it was uploaded in, with `-` and their number. Else empty.
        etag: Etag of an S3 object, where it is a digest of the bytes alone; else empty. As
            `sha256`, it is no part of the version.
    """

    bucket: str
    key: str
    size_bytes: int
    version: str
    uploaded_at: datetime
    stamp: FileStamp | None = None
    sha256: str = field(default="", compare=False)
    etag: str = field(default="", compare=False)

    @property
    def url(self) -> str:
        url = f"s3://{self.bucket}/{self.key}" if self.bucket else f"file:///{self.key}"
        # A file name may be any bytes; show those that are not UTF-8 as \\xNN.
        return url.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unlisted:
    """A name below a prefix that is no object, or that cannot be listed.

    Attributes:
        url: The name.
        reason: Why it is not listed.
        is_failure: Whether it may be an object that a later listing has; else nobody wants it.
    """

    url: str
    reason: str
    is_failure: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredName:
    """An object as a listing has it, without a request of its own.

    Attributes:
        key: Its key.
        size_bytes: Its length.
        modified_at: When it was written; aware, UTC.
    """

    key: str
    size_bytes: int
    modified_at: datetime


OnUnlisted = Callable[[Unlisted], None]


class ObjectWriter(Protocol):
    """Receives the bytes of one object, in order."""

    async def write(self, data: bytes | memoryview) -> None:
        """Take `data`, and return once it may be reused; memory held stays bounded."""


@runtime_checkable
class CopyingWriter(ObjectWriter, Protocol):
    """A writer whose store can copy other objects of its kind by itself."""

    async def copy(self, info: ObjectInfo) -> None:
        """Append all bytes of exactly that version of an object in a bucket."""


@runtime_checkable
class TimeKeepingWriter(ObjectWriter, Protocol):
    """A writer whose object can be given an upload time."""

    def keep_time(self, info: ObjectInfo) -> None:
        """Give the object the upload time of another one."""


@runtime_checkable
class SweepingStore(Protocol):
    """A store in which a process that dies leaves half an object, which nobody lists."""

    async def sweep(self, prefix: str) -> int:
        """Remove what dead processes left below a prefix, and return how many files it was.

        Raises:
            StoreError: The store fails.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class OldVersion:
    """A version of an object that is not the current one, or whose object was deleted."""

    url: str
    version_id: str
    size_bytes: int


@runtime_checkable
class VersionedStore(Protocol):
    """A store that keeps old versions of objects."""

    async def old_versions(self, prefix: str) -> Sequence[OldVersion]:
        """List the old versions of the objects below a prefix, or of one key.

        Raises:
            SourceError: They must not be listed.
            StoreError: The store fails, after retries.
        """


@runtime_checkable
class NamingStore(Protocol):
    """A store that lists names at less cost than objects."""

    def names(self, prefix: str) -> AsyncIterator[StoredName]:
        """Yield the names of `ObjectStore.list`, as the listing has them."""


@runtime_checkable
class OpeningStore(Protocol):
    """A store that describes an object in the answer to a request of its bytes."""

    async def open_range(self, key: str, start: int, end: int) -> tuple[ObjectInfo, bytes]:
        """Read bytes of the current version of a key; see `open_range`."""


async def open_range(
    store: ObjectStore, key: str, start: int, end: int = 0
) -> tuple[ObjectInfo, bytes]:
    """Look up the current version of `key`, and read bytes of it, with one request where possible.

    Args:
        store: Where it is.
        key: The key.
        start: Offset; from the end where it is negative.
        end: Offset up to which it is read; less where it is shorter. Of no meaning where `start` is
            negative: then it is read to its end.

    Raises:
        SourceError, StoreError: As from every method of `ObjectStore`.
    """
    if isinstance(store, OpeningStore):
        return await store.open_range(key, start, end)
    info = await store.stat(key)
    first = max(info.size_bytes + start, 0) if start < 0 else min(start, info.size_bytes)
    last = info.size_bytes if start < 0 else min(end, info.size_bytes)
    return info, await store.read(info, first, last)


async def list_names(store: ObjectStore, prefix: str) -> AsyncIterator[StoredName]:
    """Yield the objects below a prefix, ascending by key; see `ObjectStore.list`."""
    if isinstance(store, NamingStore):
        async for name in store.names(prefix):
            yield name
        return
    async for info in store.list(prefix):
        yield StoredName(key=info.key, size_bytes=info.size_bytes, modified_at=info.uploaded_at)


RENEWED_AFTER = timedelta(hours=12)
"""Age from which on an object is written again where a writer finds the bytes that it wants. What
is a day old, and no record names, may be deleted; nobody is to name it then."""


class ObjectStore(Protocol):
    """Objects of one bucket or folder tree.

    Raises, from every method:
        SourceError: The object cannot be read (missing, no permission).
        SourceChanged: The object is no longer the version asked for.
        StoreError: The store fails after retries.
    """

    def list(
        self, prefix: str, *, on_unlisted: OnUnlisted | None = None
    ) -> AsyncIterator[ObjectInfo]:
        """List objects whose key is `prefix` or starts with `prefix` + `/`, ascending by key.

        Args:
            prefix: Folder, prefix, or key of one object; empty for all.
            on_unlisted: Called with each name that is left out; None raises where one fails.
        """

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """Look up the current version of `key`, or the one of an S3 version id."""

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        """Read bytes [start, end) of exactly that version; always end - start bytes."""

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        """Read several ranges of one object as `read` does, at the least cost of the store."""

    def create(self, key: str) -> AbstractAsyncContextManager[ObjectWriter]:
        """Write `key` whole or not at all.

        The object appears when the block ends. Where the block raises or the process dies, readers
        never see any of it. An object of other bytes is replaced; readers of an object of the same
        bytes are not disturbed, unless it is older than `RENEWED_AFTER`.
        """

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        """Remove `key`, or only that S3 version of it; do nothing where it is missing."""

    async def close(self) -> None:
        """Give back connections and threads."""
