"""Decompress a stream as it comes, in a thread of its own."""

from __future__ import annotations

import asyncio
import io
import queue
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from worker.validate.block import Block
from worker.validate.verdict import Unreadable

COMPRESSED_BLOCKS_QUEUED = 3
"""Compressed blocks that wait to be decompressed."""


async def decompress(
    codec: str, first: Block, rest: AsyncIterator[Block], block_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Yield the text in blocks of `block_bytes`; the last may be shorter.

    Args:
        codec: `gzip`, `zstd` or `bz2`; members that follow each other are joined.
        first: First of the compressed blocks.
        rest: The other blocks.
        block_bytes: Bytes of text in a block.

    Raises:
        Unreadable: The bytes cannot be decompressed.
        Exception: Whatever reading `rest` raises.
    """
    loop = asyncio.get_running_loop()
    reader = _BlockReader(loop)
    reader.put(first.new)
    feeding = asyncio.create_task(_feed(reader, rest))
    with ThreadPoolExecutor(1, thread_name_prefix="decompress") as thread:
        try:
            stream = pa.CompressedInputStream(pa.PythonFile(reader, mode="r"), codec)
            while True:
                try:
                    text = await loop.run_in_executor(thread, _read_full, stream, block_bytes)
                except OSError as error:
                    if feeding.done() and not feeding.cancelled() and feeding.exception():
                        break  # the source failed, not the compression
                    raise Unreadable(f"expected {codec} data, got: {error}") from error
                if not text:
                    break
                yield text
            await feeding
        finally:
            reader.abandon()
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


def _read_full(stream: pa.NativeFile, size: int) -> bytes:
    parts = []
    while size > 0:
        part = stream.read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _feed(reader: _BlockReader, stored: AsyncIterator[Block]) -> None:
    complete = False
    try:
        async for block in stored:
            await reader.room.acquire()
            reader.put(block.new)
        complete = True
    finally:
        # Whatever happened, the thread must not wait for more.
        if complete:
            reader.put(None)
        else:
            reader.abandon()


class _BlockReader(io.RawIOBase):
    """A file for the decompressing thread, fed by the event loop.

    Attributes:
        room: Free places of the queue of `COMPRESSED_BLOCKS_QUEUED` blocks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.room = asyncio.Semaphore(COMPRESSED_BLOCKS_QUEUED)
        self._loop = loop
        self._blocks: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._current = memoryview(b"")
        self._ended = False
        self._abandoned = False

    def put(self, block: memoryview | None) -> None:
        """Queue a block; None for the end."""
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
                self._current = block
                self._loop.call_soon_threadsafe(self.room.release)
        taken = self._current if size < 0 else self._current[:size]
        self._current = self._current[len(taken) :]
        return bytes(taken)
