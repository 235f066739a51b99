"""Blocks hold every byte of an object once, beside the overlap with the block before."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise

import pytest

from worker.errors import StoreError
from worker.objects import ObjectInfo
from worker.objects.memory import MemoryStore
from worker.runtime.memory_budget import READ_AHEAD_BLOCKS
from worker.validate.block import Block
from worker.validate.byte_range import ByteRange
from worker.validate.content_digest import Hashing
from worker.validate.stream import BlockSizes, SourceStream

DATA = bytes(range(32, 127)) * 20


async def blocks(
    data: bytes, block_sizes: BlockSizes, byte_range: ByteRange | None = None
) -> tuple[list[Block], SourceStream]:
    store = MemoryStore()
    async with store.create("object") as writer:
        await writer.write(data)
    info = await store.stat("object")
    async with SourceStream(
        store,
        info,
        byte_range=byte_range,
        max_inflation=1000,
        hashing=Hashing(whole=True),
        block_sizes=block_sizes,
    ) as stream:
        return [block async for block in stream.blocks()], stream


@pytest.mark.parametrize("block_bytes", [1, 7, 100, len(DATA) - 1, len(DATA), 10**6])
@pytest.mark.parametrize("overlap_bytes", [0, 1, 30, 10**6])
def test_a_block_begins_with_the_end_of_the_block_before(
    block_bytes: int, overlap_bytes: int
) -> None:
    found, stream = asyncio.run(blocks(DATA, BlockSizes(block_bytes, overlap_bytes)))
    assert b"".join(block.new for block in found) == DATA
    assert {len(block.new) for block in found[:-1]} <= {block_bytes}
    assert found[0].overlap == 0
    for number, (before, block) in enumerate(pairwise(found), 1):
        assert block.overlap == min(overlap_bytes, number * block_bytes)
        assert block.data[: block.overlap] == before.data[len(before.data) - block.overlap :]
    assert stream.bytes_read == len(DATA)
    assert stream.sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_range_is_read_from_its_start() -> None:
    found, stream = asyncio.run(blocks(DATA, BlockSizes(50, 70), ByteRange(100, 333)))
    assert b"".join(block.new for block in found) == DATA[100:333]
    assert [block.overlap for block in found] == [0, 50, 70, 70, 70]
    assert stream.bytes_read == 233


@pytest.mark.parametrize("overlap_bytes", [0, 5])
def test_decompressed_bytes_come_once_without_overlap(overlap_bytes: int) -> None:
    packed = gzip.compress(DATA, mtime=0)
    found, stream = asyncio.run(blocks(packed, BlockSizes(20, overlap_bytes)))
    assert b"".join(block.data for block in found) == DATA
    assert not any(block.overlap for block in found)
    assert stream.bytes_read == len(packed)
    assert stream.sha256 == hashlib.sha256(packed).hexdigest()


class SlowStore(MemoryStore):
    """Reads wait, except the first; counts those begun and cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = self.cancelled = 0

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        self.begun += 1
        try:
            if start:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().read(info, start, end)


@pytest.mark.parametrize("blocks_read", [0, 1])
async def test_leaving_early_cancels_all_reads(blocks_read: int) -> None:
    store = SlowStore()
    async with store.create("object") as writer:
        await writer.write(DATA)
    info = await store.stat("object")
    stream = SourceStream(store, info, max_inflation=1, block_sizes=BlockSizes(50, 0))
    async with stream:
        assert len(asyncio.all_tasks()) == 1 + READ_AHEAD_BLOCKS
        async with aclosing(stream.blocks()) as found:
            for _ in range(blocks_read):
                await anext(found)
            await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
    assert store.begun == READ_AHEAD_BLOCKS
    assert store.cancelled == READ_AHEAD_BLOCKS - 1


async def test_entering_asks_for_the_first_bytes() -> None:
    store = SlowStore()
    async with store.create("object") as writer:
        await writer.write(DATA)
    info = await store.stat("object")
    async with SourceStream(store, info, max_inflation=1, block_sizes=BlockSizes(50)):
        await asyncio.sleep(0)
        assert store.begun == READ_AHEAD_BLOCKS


async def test_cancelling_a_reader_does_not_cancel_hashing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else an error would be reported as a cancellation."""
    may_go_on = asyncio.Event()

    async def to_thread(work: Callable[..., None], *args: object) -> None:
        await may_go_on.wait()
        work(*args)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    store = MemoryStore()
    async with store.create("object") as writer:
        await writer.write(DATA)
    info = await store.stat("object")
    stream = SourceStream(store, info, max_inflation=1, hashing=Hashing(whole=True))

    async def read() -> list[Block]:
        return [block async for block in stream.blocks()]

    async def fail() -> None:
        async with stream:
            reading = asyncio.create_task(read())
            for _ in range(9):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            unfinished = stream.sha256
            may_go_on.set()
            assert reading.cancelled()
            assert unfinished is None
            raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="full"):
        await fail()
    assert stream.sha256 == hashlib.sha256(DATA).hexdigest()
