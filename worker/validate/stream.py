"""Stream the bytes of a source object in blocks: read ahead, decompressed and, if asked, hashed.

However long the object, at most `READ_AHEAD_BLOCKS + 2` blocks of it are in memory here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self

from worker.errors import SourceError
from worker.objects import ObjectInfo, ObjectStore
from worker.validate.block import Block
from worker.validate.byte_range import ByteRange
from worker.validate.verdict import Unreadable

READ_BLOCK_BYTES = 8 * 2**20
"""New bytes of one ranged read, and about those of one chunk for the parser."""

READ_OVERLAP_BYTES = 16 * 2**10
"""Bytes of the previous block that each block repeats.

A record that crosses the edge of two blocks need not be joined, which would copy whole blocks,
unless it is longer than this.
"""

READ_AHEAD_BLOCKS = 3
"""Ranged reads in flight: enough to hide S3's first-byte latency behind parsing."""

CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
"""First bytes -> compression that is read (RFC 1952, RFC 8878, bzip2's manual)."""

FOREIGN_FORMATS = {
    b"PK\x03\x04": "a ZIP archive (an Excel workbook is one)",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
    b"\xfd7zXZ": "an xz archive",
}
"""First bytes -> format that is refused by name."""

INFLATION_FREE_BYTES = 2**20
"""Decompressed bytes before `max_inflation` applies: small files may be as regular as they like."""


@dataclass(frozen=True, slots=True)
class BlockSizes:
    """Size of the blocks of a stream.

    Attributes:
        block_bytes: New bytes of every block but the last.
        overlap_bytes: Bytes of the previous block, of an object that is not compressed.
    """

    block_bytes: int = READ_BLOCK_BYTES
    overlap_bytes: int = READ_OVERLAP_BYTES


DEFAULT_BLOCK_SIZES = BlockSizes()


class SourceStream:
    """Blocks of the text of one source object; entering it asks for the first.

    Attributes:
        bytes_read: Stored bytes read so far.
        sha256: Hex digest of the stored bytes; None before all were read, or where not asked for.
    """

    def __init__(
        self,
        store: ObjectStore,
        info: ObjectInfo,
        *,
        byte_range: ByteRange | None = None,
        max_inflation: int,
        sha256: bool = False,
        block_sizes: BlockSizes = DEFAULT_BLOCK_SIZES,
    ) -> None:
        """Prepare the stream; nothing is read before it is entered.

        Args:
            store: Store that has the object.
            info: Version to read.
            byte_range: Stored bytes to read; None for all.
            max_inflation: Decompressed bytes per stored byte at most.
            sha256: Whether to hash the stored bytes: a tenth of the CPU time of a validation.
            block_sizes: Size of the blocks.
        """
        self._store = store
        self._info = info
        self._start, self._end = byte_range or ByteRange(0, info.size_bytes)
        self._max_inflation = max_inflation
        self._sizes = block_sizes
        self._hash = hashlib.sha256() if sha256 else None
        self._hashed_bytes = 0
        self._hashing: asyncio.Task[None] | None = None
        self._next = self._start
        self._reads: deque[tuple[int, int, asyncio.Task[bytes]]] = deque()
        self.bytes_read = 0

    @property
    def sha256(self) -> str | None:
        if self._hash is None or self._hashed_bytes < self._end - self._start:
            return None
        return self._hash.hexdigest()

    async def __aenter__(self) -> Self:
        """Ask for the first bytes."""
        self._read_ahead()
        return self

    async def __aexit__(self, *_: object) -> None:
        unfinished: list[asyncio.Future[Any]] = [read for *_, read in self._reads]
        for read in unfinished:
            read.cancel()
        if self._hashing is not None:
            unfinished.append(self._hashing)
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def blocks(self) -> AsyncGenerator[Block, None]:
        """Yield the text, decompressed where the object is compressed.

        Raises:
            Unreadable: The bytes are of a foreign format, or cannot be decompressed.
            SourceError: The object cannot be read.
        """
        stored = self._stored_blocks()
        first = await anext(stored, Block(b""))
        codec = _of_magic(first.data, CODECS)
        foreign = _of_magic(first.data, FOREIGN_FORMATS)
        try:
            if foreign is not None:
                raise Unreadable(f"expected CSV text, got {foreign}")
            if codec is not None:
                async with aclosing(self._decompressed(codec, first, stored)) as texts:
                    async for text in texts:
                        yield Block(text)
                return
            if first.data:
                yield first
            async for block in stored:
                yield block
        finally:
            await self._hash_idle()

    async def _decompressed(
        self, codec: str, first: Block, stored: AsyncIterator[Block]
    ) -> AsyncGenerator[bytes, None]:
        from worker.validate.decompress import decompress  # noqa: PLC0415  (it imports Arrow)

        text_bytes = 0
        block_bytes = self._sizes.block_bytes
        async with aclosing(decompress(codec, first, stored, block_bytes)) as texts:
            async for text in texts:
                text_bytes += len(text)
                allowed = self._max_inflation * max(self.bytes_read, 1) + INFLATION_FREE_BYTES
                if text_bytes > allowed:
                    raise Unreadable(
                        f"expected at most {self._max_inflation} bytes out per byte in, got "
                        f"{text_bytes} bytes from {self.bytes_read} (limits.max_inflation)"
                    )
                yield text

    def _read_ahead(self) -> None:
        while self._next < self._end and len(self._reads) < READ_AHEAD_BLOCKS:
            stop = min(self._next + self._sizes.block_bytes, self._end)
            overlap = min(self._sizes.overlap_bytes, self._next - self._start)
            wanted_bytes = stop - self._next + overlap
            read = asyncio.create_task(self._store.read(self._info, self._next - overlap, stop))
            self._reads.append((overlap, wanted_bytes, read))
            self._next = stop

    async def _stored_blocks(self) -> AsyncIterator[Block]:
        while self._reads:
            overlap, wanted_bytes, read = self._reads.popleft()
            block = Block(await read, overlap)
            if len(block.data) != wanted_bytes:
                # Rows would get lost or doubled, and every count would still add up.
                raise SourceError(
                    url=self._info.url,
                    expected=f"{wanted_bytes} bytes",
                    actual=f"{len(block.data)} bytes",
                )
            await self._hash_idle()
            if self._hash is not None:
                # It must see the blocks in turn, but the parser need not wait for it.
                self._hashing = asyncio.create_task(self._hash_block(block.new))
            self.bytes_read += len(block.new)
            yield block
            self._read_ahead()

    async def _hash_idle(self) -> None:
        """Wait until the blocks so far are hashed; cancelling the caller does not stop that."""
        if self._hashing is not None:
            await asyncio.shield(self._hashing)

    async def _hash_block(self, data: memoryview) -> None:
        if self._hash is not None:
            await asyncio.to_thread(self._hash.update, data)
            self._hashed_bytes += len(data)


def _of_magic(head: bytes, names: dict[bytes, str]) -> str | None:
    return next((name for magic, name in names.items() if head.startswith(magic)), None)
