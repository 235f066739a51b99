"""Decode a stream of text to UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from worker.objects.corrections import Corrections
from worker.validate.block import Block
from worker.validate.verdict import Unreadable

_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)

FIRST_STAND_IN = 0x10FF00
"""Character of private use in the place of the first ASCII character, where one is escaped.

A delimiter behind an escape character separates nothing; it is put back once the columns are
separated. Letters but `N`, digits, quotes and line ends are never replaced.
"""

_STAND_INS = {
    bytes([code]): chr(FIRST_STAND_IN + code).encode()
    for code in range(128)
    if chr(code) == "N" or (not chr(code).isalnum() and chr(code) not in '"\\\r\n')
}

NULL = _STAND_INS[b"N"]
"""A cell that is `\\N`: no value, as MySQL and PostgreSQL write it."""

STAND_IN = re.compile(rb"\xf4\x8f[\xbc\xbd][\x80-\xbf]")
"""One of them in UTF-8."""


async def corrected_blocks(
    blocks: AsyncGenerator[Block, None], corrections: Corrections, url: str
) -> AsyncGenerator[Block, None]:
    """Yield the blocks of a stream with corrected records in the places of the others.

    Raises:
        SourceError: A record is not where it was.
    """

    async def texts() -> AsyncGenerator[bytes, None]:
        async for block in blocks:
            yield bytes(block.new)

    async with aclosing(blocks), aclosing(corrections.apply(texts(), url)) as corrected:
        async for text in corrected:
            yield Block(text)


async def decode(
    blocks: AsyncIterator[Block],
    encoding: str | None,
    escape: str,
    *,
    quote: str = '"',
    whole: bool = True,
) -> AsyncGenerator[bytes, None]:
    """Yield the text of a stream as UTF-8, without byte order mark.

    Bytes that the encoding does not know stay as they are: what holds them is rejected, where a
    contract reads it.

    Args:
        blocks: The stream.
        encoding: Of it; None for UTF-8, or UTF-16 where a byte order mark says so.
        escape: A backslash where it makes the next character a plain one, else empty.
        quote: Around values; empty where quotes are plain characters.
        whole: Whether the blocks are all of the stream, not its beginning.

    Raises:
        Unreadable: The bytes are no text of the encoding at all.
    """
    try:
        async for text in _decoded(blocks, encoding, escape, quote=quote, whole=whole):
            yield text
    except UnicodeError as error:
        raise Unreadable(f"expected text in {encoding or 'UTF-16'}, got other bytes") from error


async def _decoded(
    blocks: AsyncIterator[Block], encoding: str | None, escape: str, *, quote: str, whole: bool
) -> AsyncGenerator[bytes, None]:
    decoder: codecs.IncrementalDecoder | None = None
    first, held = True, b""
    async for block in blocks:
        data = bytes(block.new)
        if first:
            name = encoding or _by_mark(data)
            if name is not None and codecs.lookup(name).name != "utf-8":
                decoder = codecs.getincrementaldecoder(name)("surrogateescape")
        if decoder is not None:
            data = decoder.decode(data).encode("utf-8", "surrogateescape")
        if first:
            data = data.removeprefix(codecs.BOM_UTF8)
        first = False
        if escape:
            data, held = _without_escapes(held + data, quote)
        if data:
            yield data
    if whole and (decoder is not None or held):
        rest = (
            b"" if decoder is None else decoder.decode(b"", True).encode("utf-8", "surrogateescape")
        )
        if held + rest:
            yield held + rest


def _by_mark(data: bytes) -> str | None:
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "utf-16" if data.startswith(marks) else None


def _without_escapes(data: bytes, quote: str) -> tuple[bytes, bytes]:
    """Write an escaped quote as two, or as one where quotes are plain characters.

    Of other marks a stand-in is written, which `without_stand_ins` takes away.

    Returns:
        The text, and an escape character that ends the data.
    """
    behind = len(data) - len(data.rstrip(b"\\"))
    held = data[-1:] if behind % 2 else b""
    whole = data[: len(data) - len(held)]

    def plain(found: re.Match[bytes]) -> bytes:
        if quote and found[1] == b'"':
            return b'""'
        return _STAND_INS.get(found[1], found[1])

    return _ESCAPED.sub(plain, whole), held


def without_stand_ins(text: bytes) -> bytes:
    """Put the characters back that stood behind an escape character."""
    return STAND_IN.sub(lambda found: bytes([ord(found[0].decode()) - FIRST_STAND_IN]), text)
