"""Text of a file: its beginning, decoded as often as an entry may ask, and all of it, once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial

from worker.objects.corrections import Corrections
from worker.validate.block import Block
from worker.validate.decoding import decode

HEAD_BYTES = 2**20
"""Stored text in which the dialect, the header and the paths of objects are looked for."""


class TextFile:
    """A file of text whose encoding is not known yet.

    Attributes:
        is_whole: Whether the beginning is all of it.
    """

    def __init__(self, beginning: list[Block], rest: AsyncIterator[Block], *, whole: bool) -> None:
        self._beginning = beginning
        self._rest = rest
        self.is_whole = whole
        self._corrected: Callable[[AsyncIterator[bytes]], AsyncGenerator[bytes, None]] | None = None

    def correct(self, corrections: Corrections, url: str) -> None:
        """Put corrected records in the places of the others where the file is decoded.

        Its beginning stays as it came: with the same header it has the same dialect.
        """
        self._corrected = partial(corrections.apply, url=url)

    @classmethod
    async def open(cls, blocks: AsyncIterator[Block], size_bytes: int = HEAD_BYTES) -> TextFile:
        """Read the beginning.

        Args:
            blocks: The stored text, decompressed.
            size_bytes: Of the beginning at least, where the file is as long.

        Raises:
            Unreadable: The bytes are no text.
            SourceError: The object cannot be read.
        """
        beginning: list[Block] = []
        size, whole = 0, False
        while size < size_bytes and not whole:
            block = await anext(blocks, None)
            if block is None:
                whole = True
            else:
                beginning.append(block)
                size += len(block.new)
        return cls(beginning, blocks, whole=whole)

    async def head(self, encoding: str | None, escape: str, quote: str = '"') -> bytes:
        """Decode the beginning.

        Raises:
            Unreadable: It is no text of the encoding.
        """
        texts = decode(_each(self._beginning), encoding, escape, quote=quote, whole=self.is_whole)
        return b"".join([text async for text in texts])

    def all(
        self, encoding: str | None, escape: str, quote: str = '"'
    ) -> AsyncGenerator[bytes, None]:
        """Decode everything, once."""
        texts = decode(self._blocks(), encoding, escape, quote=quote)
        return texts if self._corrected is None else self._corrected(texts)

    async def _blocks(self) -> AsyncGenerator[Block, None]:
        while self._beginning:
            yield self._beginning.pop(0)
        async for block in self._rest:
            yield block


async def _each(blocks: list[Block]) -> AsyncGenerator[Block, None]:
    for block in blocks:
        yield block
