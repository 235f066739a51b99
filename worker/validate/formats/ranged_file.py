"""A source object as a file for readers that jump: Parquet, ZIP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

from worker.objects import ObjectInfo, ObjectStore
from worker.runtime.memory_budget import MIB
from worker.validate.verdict import Unreadable

MAX_READ_BYTES = 64 * MIB
"""Bytes of one read: footers, directories and column chunks that are longer refuse the file."""


class RangedFile(io.RawIOBase):
    """Reads ranges of an object from a thread, through the event loop.

    Attributes:
        bytes_read: Bytes read so far.
        max_read_bytes: Bytes of one read at most.
        look: Gets the place and the bytes of each read, before the reader does; it may raise.
    """

    def __init__(
        self, store: ObjectStore, info: ObjectInfo, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self._store = store
        self._info = info
        self._loop = loop
        self._at = 0
        self.bytes_read = 0
        self.max_read_bytes = MAX_READ_BYTES
        self.look: Callable[[int, bytes], None] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.size_bytes}[whence]
        if base + offset < 0:
            raise OSError("a place before the first byte")
        self._at = base + offset
        return self._at

    def size(self) -> int:
        return self._info.size_bytes

    def read(self, size: int = -1, /) -> bytes:
        """Read up to `size` bytes.

        Raises:
            Unreadable: More is asked for than `max_read_bytes`, or `look` refuses it.
            SourceError: The object cannot be read.
        """
        left = max(self._info.size_bytes - self._at, 0)
        wanted = left if size < 0 else min(size, left)
        if not wanted:
            return b""
        if wanted > self.max_read_bytes:
            raise Unreadable(
                f"expected parts of at most {self.max_read_bytes} bytes, got one of {wanted}"
            )
        reading = self._store.read(self._info, self._at, self._at + wanted)
        data = asyncio.run_coroutine_threadsafe(reading, self._loop).result()
        if self.look is not None:
            self.look(self._at, data)
        self._at += len(data)
        self.bytes_read += len(data)
        return data

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
