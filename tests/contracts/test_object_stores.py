"""Contract of `worker.objects.ObjectStore`, over a folder, memory and S3."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest

from tests.contracts.conftest import Place
from worker.errors import SourceChanged, SourceError, SourceMissing
from worker.objects import ObjectInfo, ObjectStore, open_range

MIB = 1 << 20


async def write(place: Place, name: str, data: bytes) -> ObjectInfo:
    async with place.store.create(place.key(name)) as writer:
        await writer.write(data)
    return await place.store.stat(place.key(name))


async def read_all(store: ObjectStore, info: ObjectInfo) -> bytes:
    return await store.read(info, 0, info.size_bytes)


async def names(place: Place, prefix: str) -> list[str]:
    root = f"{place.root}/"
    return [info.key.removeprefix(root) async for info in place.store.list(place.key(prefix))]


async def test_an_object_is_read_as_it_was_written(place: Place) -> None:
    info = await write(place, "orders/2024-05-01.csv", b"order_id\n1\n")

    assert info.key == place.key("orders/2024-05-01.csv")
    assert info.size_bytes == 11
    assert info.uploaded_at.utcoffset() is not None
    assert await read_all(place.store, info) == b"order_id\n1\n"


@pytest.mark.parametrize("key", ["a b.csv", "größe/ñ=1&x+y%20.csv", "日本/注文.csv", "a'\"b.csv"])
async def test_keys_may_hold_any_character(place: Place, key: str) -> None:
    info = await write(place, key, b"x")

    assert await read_all(place.store, info) == b"x"
    assert await names(place, key.split("/", maxsplit=1)[0]) == [key]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0, 100_000), (1, 2), (99_999, 100_000), (12_345, 67_890)]
)
async def test_a_range_is_read_exactly(place: Place, start: int, end: int) -> None:
    data = random.Random(7).randbytes(100_000)
    info = await write(place, "data", data)

    assert await place.store.read(info, start, end) == data[start:end]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0, 2_000), (990, 2_000), (2_000, 3_000), (-10, 0), (-2_000, 0)]
)
async def test_an_object_is_opened_by_a_range(place: Place, start: int, end: int) -> None:
    data = random.Random(7).randbytes(1_000)
    info = await write(place, "data", data)
    await write(place, "empty", b"")

    found, part = await open_range(place.store, place.key("data"), start, end)

    assert (found, part) == (info, data[start:] if start < 0 else data[start:end])
    assert (await open_range(place.store, place.key("empty"), start, end))[1] == b""
    with pytest.raises(SourceMissing):
        await open_range(place.store, place.key("nothing"), start, end)


async def test_ranges_are_read_in_their_order(place: Place) -> None:
    data = random.Random(7).randbytes(100_000)
    info = await write(place, "data", data)
    ranges = [(5, 70_000), (0, 1), (99_999, 100_000), (4, 4)]

    found = await place.store.read_ranges(info, ranges)

    assert list(found) == [data[start:end] for start, end in ranges]
    assert list(await place.store.read_ranges(info, [])) == []


async def test_one_range_of_several_beyond_the_end_is_an_error(place: Place) -> None:
    info = await write(place, "data", b"0123456789")

    with pytest.raises(SourceError, match="data"):
        await place.store.read_ranges(info, [(0, 3), (5, 11)])


async def test_an_empty_range_is_empty(place: Place) -> None:
    info = await write(place, "data", b"0123456789")

    assert await place.store.read(info, 4, 4) == b""


async def test_an_empty_object_is_an_object(place: Place) -> None:
    info = await write(place, "empty", b"")

    assert info.size_bytes == 0
    assert await read_all(place.store, info) == b""
    assert await names(place, "empty") == ["empty"]


async def test_a_range_beyond_the_end_is_an_error(place: Place) -> None:
    info = await write(place, "data", b"0123456789")

    with pytest.raises(SourceError, match="data"):
        await place.store.read(info, 5, 11)


async def test_ranges_are_read_concurrently(place: Place) -> None:
    data = random.Random(8).randbytes(3 * MIB)
    info = await write(place, "data", data)
    step = 256 * 1024

    pieces = await asyncio.gather(
        *(place.store.read(info, at, at + step) for at in range(0, len(data), step))
    )

    assert b"".join(pieces) == data


async def test_a_missing_object_is_a_source_error_that_names_it(place: Place) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv"):
        await place.store.stat(place.key("nowhere.csv"))


async def test_an_object_overwritten_since_is_a_changed_source(place: Place) -> None:
    earlier = await write(place, "data", b"first version")
    await write(place, "data", b"other version")

    with pytest.raises(SourceChanged, match="data"):
        await place.store.read(earlier, 0, 5)


async def test_an_object_deleted_since_is_a_changed_source(place: Place) -> None:
    info = await write(place, "data", b"first version")
    await place.store.delete(info.key)

    with pytest.raises(SourceChanged, match="data"):
        await place.store.read(info, 0, 5)


async def test_another_content_is_another_version(place: Place) -> None:
    earlier = await write(place, "data", b"first version")
    later = await write(place, "data", b"other version")

    assert earlier.version != later.version
    assert earlier.uploaded_at <= later.uploaded_at


async def test_an_object_is_the_same_by_stat_and_by_listing(place: Place) -> None:
    small = await write(place, "in/small", b"x")
    large = await write(place, "in/zlarge", bytes(9 * MIB))  # a multipart upload on S3

    listed = [info async for info in place.store.list(place.key("in"))]

    assert listed == [small, large]
    assert await place.store.stat(small.key) == small


async def test_a_listing_is_ascending_by_key_and_knows_no_siblings(place: Place) -> None:
    inside = ["in/a", "in/a-b/c", "in/a/b/c", "in/a.csv", "in/B", "in/é", "in/z"]
    inside.remove("in/a")  # a folder cannot hold a file of the name of another folder
    for name in [*inside, "in.csv", "in-other/x", "inn/x", "out/x"]:
        await write(place, name, b"x")

    assert await names(place, "in") == sorted(inside)
    assert await names(place, "in/") == sorted(inside)


@pytest.mark.parametrize("place", ["memory", "s3-ministack"], indirect=True)
async def test_a_listing_of_more_than_a_thousand_objects(place: Place) -> None:
    # ListObjectsV2 answers with at most 1,000 keys.
    numbered = [f"in/{number:05d}" for number in range(1005)]
    for first in range(0, len(numbered), 50):
        await asyncio.gather(*(write(place, one, b"x") for one in numbered[first : first + 50]))

    assert await names(place, "in") == numbered


async def test_a_listing_of_one_object_is_that_object(place: Place) -> None:
    for name in ["in/a.csv", "in/a.csv.gz"]:
        await write(place, name, b"x")

    assert await names(place, "in/a.csv") == ["in/a.csv"]


async def test_an_object_appears_when_it_is_whole(place: Place) -> None:
    async with place.store.create(place.key("data")) as writer:
        await writer.write(b"first")
        with pytest.raises(SourceError):
            await place.store.stat(place.key("data"))
        await writer.write(memoryview(b"second"))

    info = await place.store.stat(place.key("data"))
    assert await read_all(place.store, info) == b"firstsecond"


@pytest.mark.parametrize("times", [1, 100_000])
async def test_what_was_written_may_be_reused(place: Place, times: int) -> None:
    buffer = bytearray(b"first " * times)
    async with place.store.create(place.key("data")) as writer:
        await writer.write(memoryview(buffer))
        buffer[:] = b"second" * times
        await writer.write(memoryview(buffer))

    info = await place.store.stat(place.key("data"))
    assert await read_all(place.store, info) == b"first " * times + b"second" * times


@pytest.mark.parametrize("size", [5, 9 * MIB, 20 * MIB])
async def test_a_writer_that_fails_leaves_nothing(place: Place, size: int) -> None:
    async def fail() -> None:
        async with place.store.create(place.key("in/data")) as writer:
            await writer.write(bytes(size))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await fail()

    with pytest.raises(SourceError):
        await place.store.stat(place.key("in/data"))


@pytest.mark.parametrize("size", [5, 20 * MIB])
async def test_a_writer_that_is_cancelled_leaves_what_was_there(place: Place, size: int) -> None:
    earlier = await write(place, "data", b"earlier")
    written = asyncio.Event()

    async def work() -> None:
        async with place.store.create(place.key("data")) as writer:
            await writer.write(bytes(size))
            written.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await place.store.stat(place.key("data")) == earlier
    assert await read_all(place.store, earlier) == b"earlier"


async def test_twenty_megabytes_in_uneven_pieces(place: Place) -> None:
    data = random.Random(9).randbytes(20 * MIB + 12_345)
    rest = memoryview(data)
    async with place.store.create(place.key("data")) as writer:
        for size in [1, 7 * MIB, 0, 30, 40, 2 * MIB, 10 * MIB, 100, 100_000, 9, len(data)]:
            await writer.write(rest[:size] if size % 4 else bytes(rest[:size]))
            rest = rest[size:]

    info = await place.store.stat(place.key("data"))
    assert info.size_bytes == len(data)
    got = await read_all(place.store, info)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


async def test_writing_again_replaces_the_object(place: Place) -> None:
    await write(place, "data", bytes(100))
    info = await write(place, "data", b"short")

    assert await read_all(place.store, info) == b"short"


async def test_writing_the_same_bytes_again_disturbs_no_reader(place: Place) -> None:
    info = await write(place, "data", b"the same")
    await write(place, "data", b"the same")

    assert await read_all(place.store, info) == b"the same"


async def test_a_deleted_object_is_gone_and_may_be_deleted_again(place: Place) -> None:
    info = await write(place, "in/data", b"x")
    await write(place, "in/other", b"x")

    await place.store.delete(info.key)
    await place.store.delete(info.key)

    assert await names(place, "in") == ["in/other"]
