"""The bytes of a source object as a stream of blocks, read ahead, inflated and, if wanted, hashed.

However long the object, at most `READ_AHEAD + 2` blocks of it are in memory here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Self

from worker.errors import SourceError
from worker.objects import ObjectInfo, ObjectStore
from worker.validate.block import Block
from worker.validate.verdict import Unreadable

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


class SourceStream:
    """Blocks of the text of one source object, of which the first are asked for on entering.

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
        self._hashing: asyncio.Task[None] | None = None
        self._at = start
        self._pending: deque[tuple[int, int, asyncio.Task[bytes]]] = deque()
        self.bytes_read = 0

    @property
    def sha256(self) -> str | None:
        if self._hash is None or self._hashed < self._end - self._start:
            return None
        return self._hash.hexdigest()

    async def __aenter__(self) -> Self:
        """Ask for the first bytes."""
        self._read_ahead()
        return self

    async def __aexit__(self, *_: object) -> None:
        left: list[asyncio.Future[Any]] = [reading for *_, reading in self._pending]
        for reading in left:
            reading.cancel()
        if self._hashing is not None:
            left.append(self._hashing)
        await asyncio.gather(*left, return_exceptions=True)

    async def blocks(self) -> AsyncGenerator[Block, None]:
        """The text, inflated where the object is compressed.

        Errors: `Unreadable` where it cannot be inflated; `SourceError` where it cannot be read.
        """
        stored = self._stored_blocks()
        first = await anext(stored, Block(b""))
        codec = next((of for magic, of in MAGIC.items() if first.data.startswith(magic)), None)
        foreign = next((of for magic, of in FOREIGN.items() if first.data.startswith(magic)), None)
        try:
            if foreign is not None:
                raise Unreadable(f"expected CSV text, got {foreign}")
            if codec is not None:
                async with aclosing(self._inflated(codec, first, stored)) as texts:
                    async for text in texts:
                        yield Block(text)
                return
            if first.data:
                yield first
            async for block in stored:
                yield block
        finally:
            await self._hashed_so_far()

    async def _inflated(
        self, codec: str, first: Block, stored: AsyncIterator[Block]
    ) -> AsyncGenerator[bytes, None]:
        from worker.validate.decompress import inflate  # noqa: PLC0415  (it imports Arrow)

        inflated = 0
        async with aclosing(inflate(codec, first, stored, self._block_bytes)) as texts:
            async for text in texts:
                inflated += len(text)
                if inflated > self._max_inflation * max(self.bytes_read, 1) + 2**20:
                    raise Unreadable(
                        f"expected at most {self._max_inflation} bytes out per byte in, got "
                        f"{inflated} bytes from {self.bytes_read} (limits.max_inflation)"
                    )
                yield text

    def _read_ahead(self) -> None:
        while self._at < self._end and len(self._pending) < READ_AHEAD:
            stop = min(self._at + self._block_bytes, self._end)
            again = min(self._again_bytes, self._at - self._start)
            wanted_bytes = stop - self._at + again
            reading = asyncio.create_task(self._store.read(self._info, self._at - again, stop))
            self._pending.append((again, wanted_bytes, reading))
            self._at = stop

    async def _stored_blocks(self) -> AsyncIterator[Block]:
        while self._pending:
            again, wanted_bytes, reading = self._pending.popleft()
            block = await reading
            if len(block) != wanted_bytes:
                # Rows would get lost or doubled, and no count would tell.
                raise SourceError(
                    url=self._info.url,
                    expected=f"{wanted_bytes} bytes",
                    actual=f"{len(block)} bytes",
                )
            await self._hashed_so_far()
            if self._hash is not None:
                # It must see the blocks in turn, but the parser need not wait for it.
                self._hashing = asyncio.create_task(self._hash_more(memoryview(block)[again:]))
            self.bytes_read += len(block) - again
            yield Block(block, again)
            self._read_ahead()

    async def _hashed_so_far(self) -> None:
        """Whoever is cancelled here leaves the digest to others."""
        if self._hashing is not None:
            await asyncio.shield(self._hashing)

    async def _hash_more(self, data: memoryview) -> None:
        if self._hash is not None:
            await asyncio.to_thread(self._hash.update, data)
            self._hashed += len(data)
