"""Compressed text inflated as it comes, in a thread of its own."""

from __future__ import annotations

import asyncio
import io
import queue
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa

from worker.validate.verdict import Unreadable

if TYPE_CHECKING:
    from worker.validate.block import Block

HELD = 3
"""Compressed blocks that wait to be inflated."""


async def inflate(
    codec: str, first: Block, rest: AsyncIterator[Block], block_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Text of so many bytes at a time; the last may be shorter.

    Args:
        codec: `gzip`, `zstd` or `bz2`; of several members one behind the other, all.
        first: The first of the compressed blocks.
        rest: Those behind it.
        block_bytes: Bytes of text at a time.

    Errors: `Unreadable` where it cannot be inflated; what reading `rest` raises.
    """
    loop = asyncio.get_running_loop()
    source = _BlockReader(loop)
    source.put(memoryview(first.data))
    feeding = asyncio.create_task(_feed(source, rest))
    with ThreadPoolExecutor(1, thread_name_prefix="inflate") as thread:
        try:
            stream = pa.CompressedInputStream(pa.PythonFile(source, mode="r"), codec)
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
            source.abandon()
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


async def _feed(source: _BlockReader, stored: AsyncIterator[Block]) -> None:
    complete = False
    try:
        async for block in stored:
            await source.room.acquire()
            source.put(memoryview(block.data)[block.again :])
        complete = True
    finally:
        # Whatever happened, the thread must not wait for more.
        if complete:
            source.put(None)
        else:
            source.abandon()


class _BlockReader(io.RawIOBase):
    """A file for the inflating thread, fed by the event loop; holds `HELD` blocks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.room = asyncio.Semaphore(HELD)
        self._loop = loop
        self._blocks: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._current = memoryview(b"")
        self._ended = False
        self._abandoned = False

    def put(self, block: memoryview | None) -> None:
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
