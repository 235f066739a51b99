"""Decompress a stream as it comes, in a thread of its own."""

from __future__ import annotations

import asyncio
import io
import queue
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Protocol

import pyarrow as pa

from worker.runtime.memory_budget import COMPRESSED_BLOCKS_QUEUED
from worker.validate.block import Block
from worker.validate.codecs import Codec
from worker.validate.verdict import Unreadable

GZIP_READ_BYTES = 2**16
"""Compressed bytes of one step of `PaddedGzip`."""

LINE_ENDS = (b"\n", b"\r\n")


class TextStream(Protocol):
    """A file of decompressed bytes; its errors are `OSError`."""

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; none at the end."""


def decompress(
    codec: Codec, stored: AsyncIterator[Block], block_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Yield the text in blocks of `block_bytes`; the last may be shorter.

    Args:
        codec: Compression; members that follow each other are joined.
        stored: The compressed blocks.
        block_bytes: Bytes of text in a block.

    Raises:
        Unreadable: The bytes cannot be decompressed.
        Exception: Whatever reading `stored` raises.
    """
    reader = _BlockReader(asyncio.get_running_loop())
    text_stream = pa.CompressedInputStream(pa.PythonFile(reader, mode="r"), codec.value)
    return _read_in_thread(codec, reader, text_stream, stored, block_bytes)


async def decompress_padded_gzip(
    stored: AsyncIterator[Block], block_bytes: int, on_padding: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """Decompress gzip members that zeros or a line end follow; slower than `decompress`.

    Args:
        stored: The compressed blocks.
        block_bytes: Bytes of text in a block.
        on_padding: Called at the end with the bytes of padding.

    Raises:
        Unreadable: The bytes cannot be decompressed, or other bytes follow.
        Exception: Whatever reading `stored` raises.
    """
    reader = _BlockReader(asyncio.get_running_loop())
    padded = PaddedGzip(reader)
    texts = _read_in_thread(Codec.GZIP, reader, padded, stored, block_bytes)
    async with aclosing(texts):
        async for text in texts:
            yield text
    on_padding(padded.padding_bytes)


async def _read_in_thread(
    codec: Codec,
    reader: _BlockReader,
    text_stream: TextStream,
    stored: AsyncIterator[Block],
    block_bytes: int,
) -> AsyncGenerator[bytes, None]:
    """Read a text stream in a thread, while the event loop feeds what it reads from."""
    loop = asyncio.get_running_loop()
    feeding = asyncio.create_task(_feed(reader, stored))
    with ThreadPoolExecutor(1, thread_name_prefix="decompress") as thread:
        try:
            while True:
                try:
                    text = await loop.run_in_executor(thread, _read_full, text_stream, block_bytes)
                except OSError as error:
                    if feeding.done() and not feeding.cancelled() and feeding.exception():
                        break  # the source failed, not the compression
                    raise Unreadable(f"expected {codec.value} data, got: {error}") from error
                if not text:
                    break
                yield text
            await feeding
        finally:
            reader.abandon()
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


def _read_full(stream: TextStream, size: int) -> bytes:
    parts = []
    while size > 0:
        part = stream.read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class PaddedGzip:
    """A file of the text of gzip members, which passes over padding.

    Tapes and block devices pad each file with zeros. Editors and upload scripts append a line end
    to the last member.

    Attributes:
        padding_bytes: Bytes of padding passed over.
    """

    def __init__(self, compressed: io.RawIOBase) -> None:
        self._compressed = compressed
        self._member = _new_member()
        self._input = b""
        self.padding_bytes = 0

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes of text; none at the end.

        Raises:
            OSError: The bytes are no gzip member.
        """
        while True:
            if self._member.eof and not self._begin_member():
                return b""
            if not self._input:
                self._input = self._read_compressed()
                if not self._input:
                    raise OSError("the data end within a gzip member")
            try:
                text = self._member.decompress(self._input, size)
            except zlib.error as error:
                raise OSError(str(error)) from error
            self._input = self._member.unused_data or self._member.unconsumed_tail
            if text:
                return text

    def _begin_member(self) -> bool:
        """Begin the next member, behind zeros or not; False where only padding is left."""
        zeros = self._skip_zeros()
        while len(self._input) < len(Codec.GZIP.magic):
            more = self._read_compressed()
            if not more:
                break
            self._input += more
        if self._input.startswith(Codec.GZIP.magic):
            self._member = _new_member()
            return True
        is_line_end = self._input in LINE_ENDS and not zeros and not self._read_compressed()
        if self._input and not is_line_end:
            raise OSError("other bytes than a gzip member follow the last one")
        self.padding_bytes += len(self._input)
        self._input = b""
        return False

    def _skip_zeros(self) -> int:
        """Pass over zeros; return how many they are."""
        before = self.padding_bytes
        while True:
            left = self._input.lstrip(b"\0")
            self.padding_bytes += len(self._input) - len(left)
            self._input = left
            if left:
                break
            self._input = self._read_compressed()
            if not self._input:
                break
        return self.padding_bytes - before

    def _read_compressed(self) -> bytes:
        return self._compressed.read(GZIP_READ_BYTES) or b""


def _new_member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=31)  # 16: a gzip header, 15: any window (zlib manual)


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
