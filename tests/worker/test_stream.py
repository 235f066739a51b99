"""The bytes of an object come in blocks, each with the end of the one before, and each once."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from itertools import pairwise

import pytest

from worker.objects.memory import MemoryStore
from worker.stream import Block, SourceStream

DATA = bytes(range(32, 127)) * 20


async def blocks(data: bytes, **settings: int) -> tuple[list[Block], SourceStream]:
    store = MemoryStore()
    async with store.create("object") as writer:
        await writer.write(data)
    info = await store.stat("object")
    async with SourceStream(store, info, max_inflation=1000, sha256=True, **settings) as stream:
        return [block async for block in stream.blocks()], stream


@pytest.mark.parametrize("block_bytes", [1, 7, 100, len(DATA) - 1, len(DATA), 10**6])
@pytest.mark.parametrize("again_bytes", [0, 1, 30, 10**6])
def test_a_block_begins_with_the_end_of_the_one_before(block_bytes: int, again_bytes: int) -> None:
    found, stream = asyncio.run(blocks(DATA, block_bytes=block_bytes, again_bytes=again_bytes))
    assert b"".join(block.data[block.again :] for block in found) == DATA
    assert {len(block.data) - block.again for block in found[:-1]} <= {block_bytes}
    assert found[0].again == 0
    for number, (before, block) in enumerate(pairwise(found), 1):
        assert block.again == min(again_bytes, number * block_bytes)
        assert block.data[: block.again] == before.data[len(before.data) - block.again :]
    assert stream.bytes_read == len(DATA)
    assert stream.sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_range_is_read_from_its_start() -> None:
    found, stream = asyncio.run(blocks(DATA, start=100, end=333, block_bytes=50, again_bytes=70))
    assert b"".join(block.data[block.again :] for block in found) == DATA[100:333]
    assert [block.again for block in found] == [0, 50, 70, 70, 70]
    assert stream.bytes_read == 233


@pytest.mark.parametrize("again_bytes", [0, 5])
def test_what_is_inflated_comes_once(again_bytes: int) -> None:
    packed = gzip.compress(DATA, mtime=0)
    found, stream = asyncio.run(blocks(packed, block_bytes=20, again_bytes=again_bytes))
    assert b"".join(block.data for block in found) == DATA
    assert not any(block.again for block in found)
    assert stream.bytes_read == len(packed)
    assert stream.sha256 == hashlib.sha256(packed).hexdigest()
