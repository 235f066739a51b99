"""Rewrite raw files without a customer, where they are now."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

from kpi.contract.model import Contract
from kpi.erasure.places import CUSTOMER
from kpi.erasure.raw_records import RawEraser, raw_columns
from worker.errors import ConfigError
from worker.maintenance.archive import VERDICT_SUFFIX
from worker.maintenance.erasure.request import Request
from worker.objects import ObjectInfo, ObjectStore, TimeKeepingWriter
from worker.objects.location import Location
from worker.runtime.memory_budget import READ_BLOCK_BYTES
from worker.runtime.wording import counted
from worker.state import Erasure, Sighting
from worker.state.sighting import rewritten_name
from worker.validate.byte_range import ByteRange
from worker.validate.codecs import Codec
from worker.validate.content_digest import ContentDigest, content_of_parts
from worker.validate.stream import SourceStream
from worker.validate.verdict import ForeignFormat, Unreadable

CURE = "delete it, or put an export without the person in its place"
"""What is left to a person."""

OpenObjects = Callable[[Location], Awaitable[ObjectStore]]


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """What became of one raw file.

    Attributes:
        url: The file.
        records: Records that were changed or removed.
        problem: Why it may still have the customer; empty where it has not.
    """

    url: str
    records: int = 0
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class _Text:
    """The decompressed text of a raw file.

    Attributes:
        file: Holds it.
        codecs: Its compressions, the outermost first.
        content: Identifies the stored bytes.
    """

    file: IO[bytes]
    codecs: list[Codec]
    content: str


def check_limits(contract: Contract) -> None:
    """Check that raw files may have a pseudonym: a later adoption validates them again.

    Raises:
        ConfigError: The contract would reject it.
    """
    if contract.shop is not None:
        return
    column = contract.datasets["orders"].columns[CUSTOMER]
    if column.maximum is not None or column.allowed or column.max_bytes is not None:
        raise ConfigError(
            f"the contract limits the values of {CUSTOMER}, so raw files cannot have a pseudonym",
            option="--raw",
            hint="delete the raw files instead, once they are not needed",
        )


async def erase_raw(
    request: Request,
    erasure: Erasure,
    places: list[Location],
    open_objects: OpenObjects,
    *,
    dry_run: bool = False,
) -> list[RawFile]:
    """Rewrite all files below some places that have the customer.

    Args:
        request: Who is erased.
        erasure: Its record.
        places: Folders or prefixes.
        open_objects: Opens their stores.
        dry_run: Whether files are read and not rewritten.

    Returns:
        Files that were rewritten, or would be, and those that may still have the customer.

    Raises:
        SourceError: A file cannot be read.
        StoreError: A store fails, after retries.
    """
    subjects, contract = request.subjects_of(erasure), request.in_force.contract
    found: list[RawFile] = []
    for place in places:
        store = await open_objects(place)
        try:
            async for info in store.list(place.key):
                if info.key.endswith(VERDICT_SUFFIX):
                    continue
                eraser = RawEraser(subjects, raw_columns(contract, info.key))
                done = await _erase_file(store, info, request, eraser, dry_run=dry_run)
                if done.records or done.problem:
                    found.append(done)
        finally:
            await store.close()
    return found


async def _erase_file(
    store: ObjectStore, info: ObjectInfo, request: Request, eraser: RawEraser, *, dry_run: bool
) -> RawFile:
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as new:
        try:
            text = await _read(store, info, request.in_force.contract, file)
        except ForeignFormat as foreign:
            return RawFile(url=info.url, problem=f"{foreign.format} is not rewritten; {CURE}")
        except Unreadable as error:
            return RawFile(url=info.url, problem=f"it cannot be read: {error}")
        await asyncio.to_thread(new.writelines, eraser.erase(text.file))
        if eraser.unknown:
            return RawFile(
                url=info.url,
                problem=f"{counted(eraser.unknown, 'line has', 'lines have')} the id, "
                f"and no header names its column; {CURE}",
            )
        if not eraser.changed:
            return RawFile(url=info.url)
        if len(text.codecs) > 1:
            problem = f"a compression in another one is not rewritten; {CURE}"
            return RawFile(url=info.url, problem=problem)
        new.seek(0)
        if not dry_run:
            await _replace(store, info, request, text, new)
    return RawFile(url=info.url, records=eraser.changed)


async def _read(store: ObjectStore, info: ObjectInfo, contract: Contract, file: IO[bytes]) -> _Text:
    """Read the text of a file into a temporary one."""
    digest = ContentDigest(ByteRange(0, info.size_bytes), info.size_bytes)
    for start in range(0, info.size_bytes, READ_BLOCK_BYTES):
        end = min(start + READ_BLOCK_BYTES, info.size_bytes)
        await asyncio.to_thread(digest.update, await store.read(info, start, end))
    async with SourceStream(store, info, max_inflation=contract.max_inflation) as stream:
        blocks = stream.blocks()
        async with aclosing(blocks):
            async for block in blocks:
                await asyncio.to_thread(file.write, block.new)
        codecs = stream.codecs
    file.seek(0)
    return _Text(file=file, codecs=codecs, content=content_of_parts(digest.parts or ""))


async def _replace(
    store: ObjectStore, info: ObjectInfo, request: Request, text: _Text, new: IO[bytes]
) -> None:
    """Put the new text in the place of the file, under its name and its time.

    The ledger learns before that both are one content: else the file would be another version of
    itself, later than the others of its name.
    """
    with tempfile.TemporaryFile() as packed:
        size = await asyncio.to_thread(_compress, new, packed, text.codecs)
        digest = ContentDigest(ByteRange(0, size), size)
        packed.seek(0)
        async with store.create(info.key) as writer:
            if isinstance(writer, TimeKeepingWriter):
                writer.keep_time(info)
            while block := await asyncio.to_thread(packed.read, READ_BLOCK_BYTES):
                digest.update(block)
                await writer.write(block)
            content = content_of_parts(digest.parts or "")
            known = await request.ledger.sightings([rewritten_name(text.content)])
            first = known.get(rewritten_name(text.content))
            await request.ledger.record_sighting(
                rewritten_name(content),
                Sighting(version="", sha256=text.content if first is None else first.sha256),
            )


def _compress(text: IO[bytes], packed: IO[bytes], codecs: list[Codec]) -> int:
    """Compress a text as it was before, and return the length."""
    if not codecs:
        while block := text.read(READ_BLOCK_BYTES):
            packed.write(block)
    else:
        sink = pa.PythonFile(_Sink(packed), "w")
        with pa.CompressedOutputStream(sink, codecs[0].value) as stream:
            while block := text.read(READ_BLOCK_BYTES):
                stream.write(block)
    packed.seek(0, 2)
    return packed.tell()


class _Sink(io.RawIOBase):
    """Writes to a file that Arrow must not close."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # Arrow writes bytes only
        return self._file.write(bytes(data))
