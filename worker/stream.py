"""The bytes of a source object as a stream of blocks, read ahead, inflated and, if wanted, hashed.

However long the object, at most `READ_AHEAD + 2` blocks of it are in memory here.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import queue
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass

import pyarrow as pa

from worker.errors import SourceError
from worker.objects import ObjectInfo, ObjectStore

BLOCK_BYTES = 8 * 2**20
"""New bytes of one ranged read, and about those of one chunk for the parser."""

AGAIN_BYTES = 16 * 2**10
"""With so many bytes of the block before each begins: a record that goes on from one to the next,
unless it is longer, need not be joined, for which whole blocks would be copied."""

READ_AHEAD = 3
"""Ranged reads in flight: enough to hide S3's first-byte latency behind parsing."""

MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
"""First bytes of the compressions that are read (RFC 1952, RFC 8878, bzip2's manual)."""

FOREIGN = {
    b"PK\x03\x04": "a ZIP archive (an Excel workbook is one)",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
    b"\xfd7zXZ": "an xz archive",
}


class Unreadable(Exception):  # noqa: N818  (a verdict in the making)
    """The object's bytes are not what they pretend to be; the message says what came."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes of a stream.

    Attributes:
        data: The bytes.
        again: So many at their beginning ended the block before.
    """

    data: bytes
    again: int = 0


class SourceStream:
    """Blocks of the text of one source object.

    Attributes:
        bytes_read: Stored bytes read so far.
        sha256: Hex digest of the stored bytes; None before all of them were read, or unasked.
    """

    def __init__(
        self,
        store: ObjectStore,
        info: ObjectInfo,
        *,
        start: int = 0,
        end: int | None = None,
        max_inflation: int,
        sha256: bool = False,
        block_bytes: int = BLOCK_BYTES,
        again_bytes: int = AGAIN_BYTES,
    ) -> None:
        """
        Args:
            store: Where the object lies.
            info: The version to read.
            start: First byte of the range to read.
            end: Byte behind it; None for the object's length.
            max_inflation: Bytes out per byte in at most, of a compressed object.
            sha256: Whether to hash what is stored: a tenth of the CPU time of a validation.
            block_bytes: New bytes of every block but the last.
            again_bytes: Bytes of the one before, of an object that is not compressed.
        """
        self._store = store
        self._info = info
        self._start = start
        self._end = info.size_bytes if end is None else end
        self._max_inflation = max_inflation
        self._block_bytes = block_bytes
        self._again_bytes = again_bytes
        self._hash = hashlib.sha256() if sha256 else None
        self._hashed = 0
        self.bytes_read = 0

    @property
    def sha256(self) -> str | None:
        if self._hash is None or self._hashed < self._end - self._start:
            return None
        return self._hash.hexdigest()

    async def blocks(self) -> AsyncIterator[Block]:
        """The text, inflated where the object is compressed.

        Errors: `Unreadable` where it cannot be inflated; `SourceError` where it cannot be read.
        """
        async with aclosing(self._stored_blocks()) as stored:
            first = await anext(stored, Block(b""))
            for magic, kind in FOREIGN.items():
                if first.data.startswith(magic):
                    raise Unreadable(f"expected CSV text, got {kind}")
            codec = next((of for magic, of in MAGIC.items() if first.data.startswith(magic)), None)
            if codec is None:
                if first.data:
                    yield first
                async for block in stored:
                    yield block
                return
            async for text in self._inflated(codec, first, stored):
                yield Block(text)

    async def _stored_blocks(self) -> AsyncGenerator[Block, None]:
        pending: deque[tuple[int, int, asyncio.Task[bytes]]] = deque()
        at = self._start
        hashing: asyncio.Task[None] | None = None
        try:
            while at < self._end or pending:
                while at < self._end and len(pending) < READ_AHEAD:
                    stop = min(at + self._block_bytes, self._end)
                    again = min(self._again_bytes, at - self._start)
                    reading = asyncio.create_task(self._store.read(self._info, at - again, stop))
                    pending.append((again, stop - at + again, reading))
                    at = stop
                again, wanted_bytes, reading = pending.popleft()
                block = await reading
                if len(block) != wanted_bytes:
                    # Rows would get lost or doubled, and no count would tell.
                    raise SourceError(
                        f"{self._info.url}: expected {wanted_bytes} bytes, got {len(block)}"
                    )
                if hashing is not None:
                    await hashing
                if self._hash is not None:
                    # It must see the blocks in turn, but the parser need not wait for it.
                    new = memoryview(block)[again:]
                    hashing = asyncio.create_task(asyncio.to_thread(self._hash.update, new))
                    self._hashed += len(new)
                self.bytes_read += len(block) - again
                yield Block(block, again)
        finally:
            if hashing is not None:
                await hashing
            left = [task for *_, task in pending]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _inflated(
        self, codec: str, first: Block, stored: AsyncIterator[Block]
    ) -> AsyncIterator[bytes]:
        """Inflate in a thread of its own, which pulls stored blocks from a bounded queue."""
        loop = asyncio.get_running_loop()
        source = _BlockReader(loop)
        source.put(first)
        feeding = asyncio.create_task(_feed(source, stored))
        inflated = 0
        with ThreadPoolExecutor(1, thread_name_prefix="inflate") as thread:
            try:
                stream = pa.CompressedInputStream(pa.PythonFile(source, mode="r"), codec)
                while True:
                    try:
                        block = await loop.run_in_executor(
                            thread, _read_full, stream, self._block_bytes
                        )
                    except OSError as error:
                        if feeding.done() and not feeding.cancelled() and feeding.exception():
                            break  # the source failed, not the compression
                        raise Unreadable(f"expected {codec} data, got: {error}") from error
                    if not block:
                        break
                    inflated += len(block)
                    if inflated > self._max_inflation * max(self.bytes_read, 1) + 2**20:
                        raise Unreadable(
                            f"expected at most {self._max_inflation} bytes out per byte in, got "
                            f"{inflated} bytes from {self.bytes_read} (limits.max_inflation)"
                        )
                    yield block
                await feeding
            finally:
                source.abandon()
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)


class _BlockReader(io.RawIOBase):
    """A file for the inflating thread, fed by the event loop; holds `READ_AHEAD` blocks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.room = asyncio.Semaphore(READ_AHEAD)
        self._loop = loop
        self._blocks: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
        self._current = memoryview(b"")
        self._ended = False
        self._abandoned = False

    def put(self, block: Block | None) -> None:
        self._blocks.put(block)

    def abandon(self) -> None:
        """Wake the thread up: nobody wants what it would read."""
        self._abandoned = True
        self._blocks.put(None)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while not len(self._current) and not self._ended:
            block = self._blocks.get()
            if self._abandoned:
                raise OSError("abandoned")
            if block is None:
                self._ended = True
            else:
                self._current = memoryview(block.data)[block.again :]
                self._loop.call_soon_threadsafe(self.room.release)
        taken = self._current if size < 0 else self._current[:size]
        self._current = self._current[len(taken) :]
        return bytes(taken)


async def _feed(source: _BlockReader, stored: AsyncIterator[Block]) -> None:
    complete = False
    try:
        async for block in stored:
            await source.room.acquire()
            source.put(block)
        complete = True
    finally:
        # Whatever happened, the thread must not wait for more.
        if complete:
            source.put(None)
        else:
            source.abandon()


def _read_full(stream: pa.NativeFile, size: int) -> bytes:
    parts = []
    while size > 0:
        part = stream.read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
