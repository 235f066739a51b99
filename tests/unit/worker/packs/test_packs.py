"""Packs: extended step by step they give each file's own bytes; damage is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.profiles import examples
from worker.clean import Workspace
from worker.errors import SourceError
from worker.index.levels import Levels
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.packs import packs as module
from worker.packs.manifest import manifest_name
from worker.packs.pack_object import PackedFile
from worker.packs.packs import Packs

GENERATION = "-e01234567"

steps = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=40)), max_size=6), max_size=6
)
"""Files of each step: by how much the sequence grows before one, and its bytes."""


def workspace() -> Workspace:
    return Workspace(store=MemoryStore(), location=Location(bucket="clean", key="shop"))


def file(sequence: int, name: str, data: bytes) -> PackedFile:
    return PackedFile(sequence=sequence, key=name, data=data)


async def each_of(files: Sequence[PackedFile]) -> AsyncIterator[PackedFile]:
    for one in files:
        yield one


async def packed(place: Workspace, *files: PackedFile, generation: str = "") -> Packs:
    before = await Packs.open(place, generation)
    return await before.extend(each_of(files), max(one.sequence for one in files))


async def keys(place: Workspace) -> list[str]:
    return [info.key async for info in place.store.list("shop")]


@given(steps)
@examples(1)
async def test_each_file_is_found_with_its_own_bytes(found: list[list[tuple[int, bytes]]]) -> None:
    place, truth, sequence = workspace(), dict[tuple[int, str], bytes](), 1
    with (
        patch.object(module, "LEVELS", Levels(head=30, merged=200)),
        patch.object(module, "PACK_CHUNK_BYTES", 16),
        patch.object(module, "PACK_CHUNKS", 2),
        patch.object(module, "STRIDE_BYTES", 50),
    ):
        for step in found:
            sequence += 1  # each step has sequences of its own
            files = list[PackedFile]()
            for grows, data in step:
                sequence += grows
                files.append(file(sequence, f"part {len(files)}", data))
            truth |= {(one.sequence, one.key): one.data for one in files}
            await (await Packs.open(place, "")).extend(each_of(files), sequence)
        packs = await Packs.open(place, "")
        for (of, key), data in truth.items():
            assert await packs.find(of, key) == data
            assert await packs.find(of, f"{key} of another ledger") is None
        assert packs.failure is None
        assert packs.manifest.up_to == (sequence if found else 0)
        named = {*packs.manifest.names, *packs.manifest.retired, manifest_name("")}
        assert {key.rpartition("/")[2] for key in await keys(place)} <= named


@pytest.mark.parametrize("damage", ["missing", "truncated", "directory", "file"])
async def test_a_damaged_pack_is_told_and_nothing_is_found(damage: str) -> None:
    place = workspace()
    await packed(place, file(1, "a", b"first"), file(2, "b", b"second"))
    key = next(key for key in await keys(place) if key.endswith(".pack"))
    info = await place.store.stat(key)
    stored = await place.store.read(info, 0, info.size_bytes)
    await place.store.delete(key)
    if damage != "missing":
        data = {
            "truncated": stored[:-1],
            "directory": stored[:-1] + b"\1",
            "file": b"F" + stored[1:],
        }[damage]
        async with place.store.create(key) as writer:
            await writer.write(data)
    packs = await Packs.open(place, "")
    assert await packs.find(1, "a") is None
    assert isinstance(packs.failure, SourceError)
    assert await packs.find(2, "b") is None
    again = await packs.without_contents()
    assert again.manifest.up_to == 0
    await again.extend(each_of([file(1, "a", b"first")]), 1)
    assert await (await Packs.open(place, "")).find(1, "a") == b"first"


async def test_packs_of_another_generation_are_not_found() -> None:
    place = workspace()
    await packed(place, file(1, "a", b"Ann"))
    assert await (await Packs.open(place, GENERATION)).find(1, "a") is None
    await packed(place, file(1, "a", b"nobody"), generation=GENERATION)
    assert await (await Packs.open(place, GENERATION)).find(1, "a") == b"nobody"


async def test_a_slow_writer_does_not_replace_packs_that_hold_more() -> None:
    place = workspace()
    await packed(place, file(1, "a", b"a"))
    slow = await Packs.open(place, "")
    await packed(place, file(2, "b", b"b"), file(3, "c", b"c"))
    await slow.extend(each_of([file(2, "b", b"b")]), 2)
    present = await Packs.open(place, "")
    assert present.manifest.up_to == 3
    assert await present.find(3, "c") == b"c"
    await packed(place, file(4, "d", b"d"))
    with pytest.raises(SourceError):  # its pack was merged and deleted
        await slow.extend(each_of([file(2, "b", b"b")]), 2)


async def test_deleted_packs_leave_nothing() -> None:
    place = workspace()
    packs = await packed(place, file(1, "a", b"Ann"))
    packs = await packed(place, *(file(2, str(one), bytes(2**16)) for one in range(8)))
    await packs.delete()
    assert not await keys(place)


@pytest.mark.parametrize("text", [b"", b"{", b'{"format": 2}', b'{"format": 1, "packs": [{}]}'])
async def test_an_unreadable_manifest_is_none(text: bytes) -> None:
    place = workspace()
    await packed(place, file(1, "a", b"a"))
    key = place.absolute(place.pack(manifest_name("")))
    async with place.store.create(key) as writer:
        await writer.write(text)
    assert (await Packs.open(place, "")).manifest.up_to == 0
