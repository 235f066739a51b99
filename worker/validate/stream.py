"""Stream the bytes of a source object in blocks: read ahead, decompressed and, if asked, hashed.

However long the object, at most `READ_AHEAD_BLOCKS + 2` blocks of it are in memory here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from worker.errors import SourceError
from worker.objects import ObjectInfo, ObjectStore
from worker.runtime.memory_budget import READ_AHEAD_BLOCKS, READ_BLOCK_BYTES, READ_OVERLAP_BYTES
from worker.validate.block import Block
from worker.validate.byte_range import ByteRange
from worker.validate.codecs import Codec, find_codec, find_foreign_format
from worker.validate.content_digest import ContentDigest, Hashing, content_of_parts
from worker.validate.verdict import INFLATION_FREE_BYTES, ForeignFormat, Unreadable

MAX_COMPRESSIONS = 2
"""Compressions within each other that are read: gzip in gzip comes from `Content-Encoding`."""


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

_Blocks = AsyncGenerator[Block, None]


class SourceStream:
    """Blocks of the text of one source object; entering it asks for the first.

    Attributes:
        bytes_read: Stored bytes read so far.
    """

    def __init__(
        self,
        store: ObjectStore,
        info: ObjectInfo,
        *,
        byte_range: ByteRange | None = None,
        max_inflation: int,
        hashing: Hashing | None = None,
        block_sizes: BlockSizes = DEFAULT_BLOCK_SIZES,
    ) -> None:
        """Prepare the stream; nothing is read before it is entered.

        Args:
            store: Store that has the object.
            info: Version to read.
            byte_range: Stored bytes to read; None for all.
            max_inflation: Decompressed bytes per stored byte at most.
            hashing: How to hash the stored bytes, for a tenth of the CPU time of a validation; None
                to leave it.
            block_sizes: Size of the blocks.
        """
        self._store = store
        self._info = info
        self._is_range = byte_range is not None
        self._start, self._end = byte_range or ByteRange(0, info.size_bytes)
        self._max_inflation = max_inflation
        self._sizes = block_sizes
        self._hashes_refused = hashing is not None and hashing.refused
        self._digest: ContentDigest | None = None
        if hashing is not None:
            self._digest = ContentDigest(
                ByteRange(self._start, self._end), info.size_bytes, whole=hashing.whole
            )
        self._hashing: asyncio.Task[None] | None = None
        self._next = self._start
        self._reads: deque[tuple[int, int, asyncio.Task[bytes]]] = deque()
        self.bytes_read = 0
        self._codecs: list[Codec] = []
        self._padding_bytes: dict[int, int] = {}

    @property
    def codecs(self) -> list[Codec]:
        """Compressions met so far, the outermost first."""
        return list(self._codecs)

    @property
    def notes(self) -> dict[str, int]:
        """What is unusual about the compression, for the receipt."""
        notes = {}
        if len(self._codecs) > 1:
            notes["_in_".join(codec.value for codec in reversed(self._codecs))] = 1
        if self._padding_bytes:
            notes["gzip_padding_bytes"] = sum(self._padding_bytes.values())
        return notes

    @property
    def sha256(self) -> str | None:
        """Digest of the stored bytes; None before all were read, or where not asked for."""
        return None if self._digest is None else self._digest.sha256

    @property
    def content(self) -> str | None:
        """What identifies the stored bytes, as `Entry.content`; None as `sha256`."""
        parts = None if self._digest is None else self._digest.parts
        return parts if parts is None or self._is_range else content_of_parts(parts)

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
        try:
            decoded = self._decode(self._stored_blocks(), self._read_again)
            async with aclosing(decoded):
                async for block in decoded:
                    yield block
        finally:
            await self._hash_idle()

    async def _decode(self, blocks: _Blocks, read_again: Callable[[], _Blocks]) -> _Blocks:
        """Decompress blocks until they are not compressed any more.

        Args:
            blocks: The blocks.
            read_again: Returns the same blocks once more, from the first.
        """
        async with aclosing(blocks):
            first = await anext(blocks, Block(b""))
            codec = find_codec(first.data)
            foreign = find_foreign_format(first.data)
            if foreign is not None:
                raise ForeignFormat(foreign, is_compressed=bool(self._codecs))
            if codec is None:
                if first.data:
                    yield first
                async for block in blocks:
                    yield block
                return
            depth = len(self._codecs)
            if depth == MAX_COMPRESSIONS:
                raise Unreadable(
                    f"expected CSV text in {MAX_COMPRESSIONS} compressions at most, got "
                    f"{codec.value} data within them"
                )
            self._codecs.append(codec)
            decoded = self._decode(
                self._decompress(depth, _prepend(first, blocks), read_again),
                lambda: self._decompress(depth, read_again(), read_again),
            )
            async with aclosing(decoded):
                async for block in decoded:
                    yield block

    async def _decompress(
        self, depth: int, blocks: _Blocks, read_again: Callable[[], _Blocks]
    ) -> _Blocks:
        """Remove the compression at `depth`; where gzip fails, retry and pass over padding."""
        from worker.validate.decompress import (  # noqa: PLC0415  (it imports Arrow)
            decompress,
            decompress_padded_gzip,
        )

        codec = self._codecs[depth]
        text_bytes, failure = 0, None
        block_bytes = self._sizes.block_bytes
        async with aclosing(decompress(codec, blocks, block_bytes)) as texts:
            try:
                async for text in texts:
                    text_bytes += len(text)
                    yield self._bounded(text, text_bytes)
            except _Bomb:
                raise
            except Unreadable as error:
                failure = error
        if failure is None:
            return
        if codec is not Codec.GZIP:
            raise failure
        yielded_bytes, text_bytes = text_bytes, 0
        padded = decompress_padded_gzip(
            read_again(), block_bytes, partial(self._padding_bytes.__setitem__, depth)
        )
        async with aclosing(padded):
            async for text in padded:
                text_bytes += len(text)
                new = min(len(text), text_bytes - yielded_bytes)
                if new > 0:
                    yield self._bounded(text[len(text) - new :], text_bytes)

    def _bounded(self, text: bytes, text_bytes: int) -> Block:
        """Hold the length of the text so far against `max_inflation`."""
        allowed = self._max_inflation * max(self.bytes_read, 1) + INFLATION_FREE_BYTES
        if text_bytes > allowed:
            raise _Bomb(
                f"expected at most {self._max_inflation} bytes out per byte in, got "
                f"{text_bytes} bytes from {self.bytes_read} (limits.max_inflation)"
            )
        return Block(text)

    async def _read_again(self) -> _Blocks:
        """Read the stored blocks once more."""
        async with SourceStream(
            self._store,
            self._info,
            byte_range=ByteRange(self._start, self._end),
            max_inflation=self._max_inflation,
            block_sizes=self._sizes,
        ) as stream:
            async for block in stream._stored_blocks():
                yield block

    def _read_ahead(self) -> None:
        while self._next < self._end and len(self._reads) < READ_AHEAD_BLOCKS:
            stop = min(self._next + self._sizes.block_bytes, self._end)
            overlap = min(self._sizes.overlap_bytes, self._next - self._start)
            wanted_bytes = stop - self._next + overlap
            read = asyncio.create_task(self._store.read(self._info, self._next - overlap, stop))
            self._reads.append((overlap, wanted_bytes, read))
            self._next = stop

    async def _stored_blocks(self) -> _Blocks:
        while (block := await self._next_stored_block()) is not None:
            yield block

    async def _next_stored_block(self) -> Block | None:
        """Take the next block that was read; None behind the last.

        A caller that is cancelled leaves the block for the next call, so that the digest misses
        none.
        """
        self._read_ahead()
        if not self._reads:
            return None
        overlap, wanted_bytes, read = self._reads[0]
        await asyncio.wait([read])
        await self._hash_idle()
        self._reads.popleft()
        block = Block(read.result(), overlap)
        if len(block.data) != wanted_bytes:
            # Rows would get lost or doubled, and every count would still add up.
            raise SourceError(
                url=self._info.url,
                expected=f"{wanted_bytes} bytes",
                actual=f"{len(block.data)} bytes",
            )
        if self._digest is not None:
            # It must see the blocks in turn, but the parser need not wait for it.
            self._hashing = asyncio.create_task(self._hash_block(block.new))
        self.bytes_read += len(block.new)
        return block

    async def finish_digest(self, *, refused: bool = False) -> None:
        """Read what is left of the object, or of the last part of a range, where it is hashed.

        Args:
            refused: Whether the object is refused.

        Raises:
            SourceError: The object cannot be read.
        """
        if self._digest is None or (refused and not self._hashes_refused):
            return
        while await self._next_stored_block() is not None:
            pass
        await self._hash_idle()
        for start in range(self._end, self._digest.end, self._sizes.block_bytes):
            stop = min(start + self._sizes.block_bytes, self._digest.end)
            self._digest.update(await self._store.read(self._info, start, stop))

    async def _hash_idle(self) -> None:
        """Wait until the blocks so far are hashed; cancelling the caller does not stop that."""
        if self._hashing is not None:
            await asyncio.shield(self._hashing)

    async def _hash_block(self, data: memoryview) -> None:
        if self._digest is not None:
            await asyncio.to_thread(self._digest.update, data)


async def _prepend(first: Block, rest: _Blocks) -> _Blocks:
    yield first
    async for block in rest:
        yield block


class _Bomb(Unreadable):
    """The object exceeds `max_inflation`."""
