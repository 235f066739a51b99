"""Equal uploads of an S3 object are recognised by what S3 knows of their bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kpi.contract.loading import built_in
from worker.clean import Workspace
from worker.objects import ObjectInfo
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.state import Entry
from worker.state.entry import CONTENT_PART_BYTES
from worker.state.memory import MemoryState
from worker.validate import range_task
from worker.validate.byte_range import ByteRange
from worker.validate.context import ValidationContext
from worker.validate.equal_objects import content_of_checksum
from worker.validate.validate_source import validate

HEADER = b"order_id,user_id,created_at\n"
ONE, TWO = HEADER + b"1,1,2025-03-01\n", HEADER + b"2,1,2025-03-01\n"


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Bucket(MemoryStore):
    """Tells what S3 knows of the bytes, and counts what is read."""

    def __init__(self) -> None:
        super().__init__("raw")
        self.reads = 0

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        self.reads += 1
        return await super().read(info, start, end)


class Shop:
    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.raw = Bucket()
        self.state = MemoryState()
        clean = Workspace(store=MemoryStore("clean"), location=Location(bucket="clean", key=""))
        self.context = ValidationContext(
            contract=built_in(), workspace=clean, ledger=self.state, executor=executor
        )

    async def put(self, data: bytes, *, etag: str = "", sha256: str = "") -> Source:
        await self.raw.delete("orders/1.csv")
        async with self.raw.create("orders/1.csv") as writer:
            await writer.write(data)
        info = replace(await self.raw.stat("orders/1.csv"), etag=etag, sha256=sha256)
        return Source(info=info, dataset="orders", store=self.raw)

    async def upload(self, data: bytes, **known: str) -> tuple[Entry, int]:
        """Upload and validate; return the entry, and how often the object was read."""
        source, before = await self.put(data, **known), self.raw.reads
        entry, new = await validate(source, self.context)
        assert new
        return entry, self.raw.reads - before


@pytest.fixture
def shop() -> Iterator[Shop]:
    with ThreadPoolExecutor(1) as executor:
        yield Shop(executor)


@pytest.mark.parametrize("kind", ["etag", "sha256"])
async def test_an_equal_object_is_not_read_again(shop: Shop, kind: str) -> None:
    def known(data: bytes) -> dict[str, str]:
        return {kind: md5(data) if kind == "etag" else sha256(data)}

    first, reads = await shop.upload(ONE, **known(ONE))
    assert reads
    second, reads = await shop.upload(ONE, **known(ONE))
    assert not reads
    assert second.source_id != first.source_id
    assert (second.content, second.parts) == (first.content_id, first.parts)
    other, reads = await shop.upload(TWO, **known(TWO))
    assert reads
    assert other.content_id != first.content_id
    # A, B, A: the last version of the name is another one.
    assert (await shop.upload(ONE, **known(ONE)))[1]


async def test_an_object_without_a_digest_is_read(shop: Shop) -> None:
    first, _ = await shop.upload(ONE)
    second, reads = await shop.upload(ONE)
    assert reads
    assert first.content_id == second.content_id


async def test_a_digest_of_one_kind_alone_is_enough(shop: Shop) -> None:
    await shop.upload(ONE, etag=md5(ONE))
    assert not (await shop.upload(ONE, sha256=sha256(ONE)))[1]
    assert (await shop.upload(TWO, sha256=sha256(TWO)))[1]


async def test_ranges_of_an_equal_object_are_not_read(shop: Shop) -> None:
    first, _ = await shop.upload(ONE, etag=md5(ONE))
    source, before = await shop.put(ONE, etag=md5(ONE)), shop.raw.reads
    entry, done = await range_task.validate_range(
        source, ByteRange(0, len(HEADER) + 5), shop.context
    )
    assert done
    assert shop.raw.reads == before
    assert (entry.source_id, entry.parts) == (source.source_id, first.parts)


async def test_a_refused_object_is_read_again(shop: Shop) -> None:
    bad = b"a,b\n1,2\n"
    assert (await shop.upload(bad, etag=md5(bad)))[0].verdict == "refused"
    assert (await shop.upload(bad, etag=md5(bad)))[1]


@pytest.mark.parametrize(
    ("checksum", "size", "content"),
    [
        (sha256(ONE), len(ONE), hashlib.sha256(ONE).hexdigest()),
        (f"{sha256(ONE)}-1", len(ONE), None),
        (sha256(ONE), CONTENT_PART_BYTES + 1, None),
        (f"{sha256(ONE)}-2", CONTENT_PART_BYTES + 1, f"{hashlib.sha256(ONE).hexdigest()}-2"),
        ("", len(ONE), None),
        ("?", len(ONE), None),
    ],
)
def test_a_checksum_is_compared_where_its_parts_may_be_ours(
    checksum: str, size: int, content: str | None
) -> None:
    info = ObjectInfo(
        bucket="raw",
        key="orders/1.csv",
        size_bytes=size,
        version="version:1",
        uploaded_at=datetime.now(UTC),
        sha256=checksum,
    )
    assert content_of_checksum(info) == content
