"""Properties of S3 alone: versions, pages, broken connections, lost answers, permissions."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiobotocore.session import get_session

import worker.objects.s3_upload
from tests.support.emulators import Emulator, create_bucket
from tests.support.faults import Fault, FaultyProxy, answering, faulty_proxy
from worker.errors import ConfigError, SourceChanged, SourceError, StoreError
from worker.objects import CopyingWriter, ObjectInfo
from worker.objects.s3 import S3Store, etag_of_bytes
from worker.objects.s3_upload import part_bytes
from worker.runtime.memory_budget import PART_BYTES
from worker.runtime.retry import RetryPolicy

MIB = 1 << 20

QUICK = RetryPolicy(attempts=4, first_wait_s=0.001)

LOST = pytest.mark.parametrize(
    "lost", [{"request_lost": True}, {"answer_bytes": 0}], ids=["request", "answer"]
)
"""What is lost of an exchange; a request whose answer is lost has taken effect."""


@pytest.fixture(params=["moto", "ministack"])
def aws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    emulator: Emulator = request.getfixturevalue(request.param)
    emulator.use(monkeypatch)
    return emulator


async def write(store: S3Store, key: str, data: bytes) -> ObjectInfo:
    async with store.create(key) as writer:
        await writer.write(data)
    return await store.stat(key)


async def open_uploads(aws: Emulator, bucket: str) -> int:
    async with get_session().create_client("s3", endpoint_url=aws.endpoint_url) as client:
        answer = await client.list_multipart_uploads(Bucket=bucket)
        return len(answer.get("Uploads", []))


@asynccontextmanager
async def behind_proxy(aws: Emulator) -> AsyncIterator[tuple[S3Store, FaultyProxy, str]]:
    """A store whose connections can be broken, and its bucket."""
    bucket = await create_bucket(aws)
    async with (
        faulty_proxy(aws.endpoint_url) as proxy,
        await S3Store.open(bucket, endpoint_url=proxy.url, retry=QUICK) as store,
    ):
        yield store, proxy, bucket


# Versions.


async def test_a_version_is_the_same_by_event_by_stat_and_by_listing(aws: Emulator) -> None:
    bucket = await create_bucket(aws, versioned=True)
    async with await S3Store.open(bucket) as store:
        earlier = await write(store, "in/data", b"first version")
        later = await write(store, "in/data", b"other version")

        assert earlier.version.startswith("version:")
        assert earlier.version != later.version
        assert [info async for info in store.list("in")] == [later]
        version_id = earlier.version.removeprefix("version:")
        assert await store.stat("in/data", version_id=version_id) == earlier


async def test_an_overwritten_version_can_still_be_read(aws: Emulator) -> None:
    bucket = await create_bucket(aws, versioned=True)
    async with await S3Store.open(bucket) as store:
        earlier = await write(store, "data", b"first version")
        await write(store, "data", b"other version")
        await store.delete("data")

        assert await store.read(earlier, 0, 5) == b"first"
        assert [info async for info in store.list("")] == []
        with pytest.raises(SourceError, match="no such object"):
            await store.stat("data")


async def test_restored_content_is_another_version(aws: Emulator) -> None:
    async with await S3Store.open(await create_bucket(aws)) as store:
        first = await write(store, "data", b"right")
        await write(store, "data", b"wrong")
        await asyncio.sleep(1.01)  # Last-Modified has whole seconds
        restored = await write(store, "data", b"right")

        assert restored.version != first.version
        assert restored.uploaded_at > first.uploaded_at


async def test_digests_of_the_bytes_are_those_of_the_store(aws: Emulator) -> None:
    data, bucket = b"right", await create_bucket(aws)
    async with (
        await S3Store.open(bucket) as store,
        get_session().create_client("s3", endpoint_url=aws.endpoint_url) as client,
    ):
        await client.put_object(Bucket=bucket, Key="data", Body=data, ChecksumAlgorithm="SHA256")
        info = await store.stat("data")
        (listed,) = [one async for one in store.list("data")]
        plain = await write(store, "plain", data)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert {info.sha256, listed.sha256} == {digest}
    assert (plain.sha256, plain.etag) == ("", info.etag)
    assert info.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("head", "etag"),
    [
        ({"ETag": '"5d41402abc4b2a76b9719d911017c592"'}, "5d41402abc4b2a76b9719d911017c592"),
        ({"ETag": '"5d41402abc4b2a76b9719d911017c592-3"'}, "5d41402abc4b2a76b9719d911017c592-3"),
        ({"ETag": '"5d41402abc4b2a76b9719d911017c592"', "ServerSideEncryption": "aws:kms"}, ""),
        ({"ETag": '"5d41402abc4b2a76b9719d911017c592"', "SSECustomerAlgorithm": "AES256"}, ""),
        ({"ETag": '"7F2oMxRz_directory_bucket"'}, ""),
    ],
)
def test_an_etag_is_taken_where_it_is_one_of_the_bytes(head: Any, etag: str) -> None:
    assert etag_of_bytes(head) == etag


async def test_markers_of_folders_are_not_listed(aws: Emulator) -> None:
    async with await S3Store.open(await create_bucket(aws)) as store:
        await write(store, "in/", b"")
        await write(store, "in/a", b"x")
        await write(store, "z", b"x")

        assert [info.key async for info in store.list("in")] == ["in/a"]
        assert [info.key async for info in store.list("")] == ["in/a", "z"]


# Broken connections.


async def test_a_broken_body_is_resumed_where_it_broke(aws: Emulator) -> None:
    data = random.Random(1).randbytes(3 * MIB)
    async with behind_proxy(aws) as (store, proxy, _):
        info = await write(store, "data", data)
        proxy.faults = [
            Fault(marker=b"bytes=1000-", answer_bytes=MIB),
            Fault(marker=b"GET /", answer_bytes=MIB // 2),
        ]

        got = await store.read(info, 1000, len(data) - 1000)

        assert proxy.faults == []
        assert got == data[1000:-1000]


async def test_an_opened_range_that_breaks_off_goes_on(aws: Emulator) -> None:
    data = random.Random(1).randbytes(2 * MIB)
    async with behind_proxy(aws) as (store, proxy, _):
        info = await write(store, "data", data)
        proxy.faults = [
            Fault(marker=b"bytes=-1048576", request_lost=True),
            Fault(marker=b"bytes=-1048576", answer_bytes=MIB // 2),
            Fault(marker=b"HEAD /", request_lost=True),
        ]

        assert await store.open_range("data", -MIB, 0) == (info, data[-MIB:])

        assert [fault.marker for fault in proxy.faults] == [b"HEAD /"]


@pytest.mark.parametrize(("start", "end"), [(-10, 0), (5, 20)])
async def test_a_server_that_ignores_a_range_is_asked_for_it(
    aws: Emulator, start: int, end: int
) -> None:
    data = random.Random(1).randbytes(100)
    async with behind_proxy(aws) as (store, _, _):
        info = await write(store, "data", data)
        client: Any = store._bucket.client
        get = client.get_object

        async def ignoring(**options: Any) -> Any:
            client.get_object = get  # the next one is heeded
            return await get(Bucket=options["Bucket"], Key=options["Key"])

        client.get_object = ignoring
        found, part = await store.open_range("data", start, end)
        assert (found, part) == (info, data[start:] if start < 0 else data[start:end])


async def test_a_body_that_breaks_each_time_is_given_up(aws: Emulator) -> None:
    async with behind_proxy(aws) as (store, proxy, _):
        info = await write(store, "data", bytes(MIB))
        proxy.faults = [Fault(marker=b"GET /", answer_bytes=10_000) for _ in range(9)]

        with pytest.raises(StoreError, match="data: gave up after 4 attempts"):
            await store.read(info, 0, MIB)
        assert len(proxy.faults) == 5


async def test_an_object_overwritten_while_its_body_broke_is_changed(aws: Emulator) -> None:
    async with behind_proxy(aws) as (store, proxy, _):
        info = await write(store, "data", bytes(MIB))
        proxy.faults = [
            Fault(marker=b"GET /", answer_bytes=100_000),
            Fault(marker=b"GET /", action=lambda: write(store, "data", b"1" * MIB)),
        ]

        with pytest.raises(SourceChanged, match="data"):
            await store.read(info, 0, MIB)


@LOST
@pytest.mark.parametrize("marker", [b"PUT /", b"HEAD /", b"GET /", b"DELETE /"])
async def test_small_calls_are_retried(aws: Emulator, marker: bytes, lost: dict[str, Any]) -> None:
    async with behind_proxy(aws) as (store, proxy, _):
        # aiohttp sends some of them again by itself, once.
        proxy.faults = [Fault(marker=marker, **lost) for _ in range(3)]

        info = await write(store, "in/data", b"x")
        assert [found async for found in store.list("in")] == [info]
        assert await store.read(info, 0, 1) == b"x"
        await store.delete("in/data")
        assert [found async for found in store.list("in")] == []
        assert proxy.faults == []


@LOST
@pytest.mark.parametrize("marker", [b"?uploads", b"partNumber=2", b"POST /"])
async def test_calls_of_a_multipart_upload_are_retried(
    aws: Emulator, marker: bytes, lost: dict[str, Any]
) -> None:
    data = random.Random(2).randbytes(2 * PART_BYTES + 100)
    async with behind_proxy(aws) as (store, proxy, _):
        # The POSTs are, in order: CreateMultipartUpload, CompleteMultipartUpload.
        skip = 1 if marker == b"POST /" else 0
        proxy.faults = [Fault(marker=marker, skip=skip, **lost)]

        info = await write(store, "data", data)

        assert proxy.faults == []
        assert await store.read(info, 0, len(data)) == data


async def test_a_writer_that_fails_aborts_its_upload(aws: Emulator) -> None:
    async with behind_proxy(aws) as (store, _, bucket):

        async def fail() -> None:
            async with store.create("data") as writer:
                await writer.write(bytes(3 * PART_BYTES))
                assert await open_uploads(aws, bucket) == 1
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            await fail()
        assert await open_uploads(aws, bucket) == 0


async def test_a_part_that_cannot_be_sent_fails_the_writer(aws: Emulator) -> None:
    async with behind_proxy(aws) as (store, proxy, bucket):
        # aiohttp itself sends a PUT again where a connection that it kept open turns out closed.
        proxy.faults = [
            Fault(marker=b"partNumber=2", request_lost=True) for _ in range(2 * QUICK.attempts)
        ]

        with pytest.raises(StoreError, match="data: gave up after 4 attempts"):
            await write(store, "data", bytes(8 * PART_BYTES))

        assert await open_uploads(aws, bucket) == 0
        with pytest.raises(SourceError):
            await store.stat("data")


async def test_many_short_writes_take_little_more_than_their_bytes(aws: Emulator) -> None:
    bucket = await create_bucket(aws)
    async with (
        await S3Store.open(bucket, endpoint_url=aws.endpoint_url) as store,
        store.create("data") as writer,
    ):
        tracemalloc.start()
        for _ in range(50_000):
            await writer.write(b"some bytes")
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert held < 2 * 500_000


@pytest.mark.parametrize("rest", [0, 70_000, 3 * MIB])
async def test_little_of_a_long_write_does_not_hold_all_of_it(aws: Emulator, rest: int) -> None:
    bucket = await create_bucket(aws)
    async with (
        await S3Store.open(bucket, endpoint_url=aws.endpoint_url) as store,
        store.create("data") as writer,
    ):
        data = bytes(2 * PART_BYTES + rest)
        before = sys.getrefcount(data)
        await writer.write(data)
        assert sys.getrefcount(data) == before


# Errors in words.


@pytest.mark.usefixtures("aws")
async def test_a_missing_bucket_is_named() -> None:
    async with await S3Store.open("no-such-bucket", retry=QUICK) as store:
        with pytest.raises(SourceError, match="no-such-bucket"):
            await anext(store.list("").__aiter__())
        with pytest.raises(StoreError, match="there is no bucket no-such-bucket"):
            await write(store, "data", b"x")


async def test_an_unreachable_store_is_given_up(aws: Emulator) -> None:
    async with faulty_proxy(aws.endpoint_url) as proxy:
        url = proxy.url
    async with await S3Store.open("bucket", endpoint_url=url, retry=QUICK) as store:
        with pytest.raises(StoreError, match="s3://bucket/data: gave up after 4 attempts"):
            await store.stat("data")


async def test_a_forbidden_object_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(lambda _: ("403 Forbidden\r\nContent-Length: 0", b"")) as url:
        Emulator(name="forbidding", endpoint_url=url).use(monkeypatch)
        async with await S3Store.open("bucket", retry=QUICK) as store:
            with pytest.raises(SourceError, match=r"s3://bucket/data: not allowed .*s3:GetObject"):
                await store.stat("data")
            with pytest.raises(StoreError, match=r"s3://bucket/data: not allowed .*s3:PutObject"):
                await store.delete("data")


async def test_an_object_under_a_foreign_key_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/1234"
    message = f"is not authorized to perform: kms:Decrypt on resource: {key}"
    body = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>".encode()

    def answers(request: str) -> tuple[str, bytes]:
        if request.startswith("HEAD"):
            head = '200 OK\r\nETag: "0"\r\nContent-Length: 9\r\nx-amz-version-id: v1'
            return f"{head}\r\nLast-Modified: Wed, 01 May 2024 12:00:00 GMT", b""
        return f"403 Forbidden\r\nContent-Length: {len(body)}", body

    async with answering(answers) as url:
        Emulator(name="encrypted", endpoint_url=url).use(monkeypatch)
        async with await S3Store.open("bucket", retry=QUICK) as store:
            info = await store.stat("data")
            with pytest.raises(SourceError, match="input_kms_key_arn") as caught:
                await store.read(info, 0, 9)
    assert key in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(("size", "fits"), [(2 * PART_BYTES, True), (2 * PART_BYTES + 1, False)])
async def test_an_unknown_upload_whose_object_exists_was_completed(
    monkeypatch: pytest.MonkeyPatch, size: int, fits: bool
) -> None:
    def answers(request: str) -> tuple[str, bytes]:
        if "?uploads" in request:
            body = b"<R><UploadId>1</UploadId></R>"
        elif request.startswith("PUT"):
            return '200 OK\r\nETag: "0"\r\nContent-Length: 0', b""
        elif request.startswith("HEAD"):
            head = f'200 OK\r\nETag: "0-2"\r\nContent-Length: {2 * PART_BYTES}'
            return f"{head}\r\nLast-Modified: Wed, 01 May 2024 12:00:00 GMT", b""
        elif request.startswith("DELETE"):
            return "204 No Content", b""
        else:
            body = b"<Error><Code>NoSuchUpload</Code></Error>"
            return f"404 Not Found\r\nContent-Length: {len(body)}", body
        return f"200 OK\r\nContent-Length: {len(body)}", body

    async with answering(answers) as url:
        Emulator(name="forgetful", endpoint_url=url).use(monkeypatch)
        async with await S3Store.open("bucket", retry=QUICK) as store:
            if fits:
                assert (await write(store, "data", bytes(size))).size_bytes == size
            else:
                with pytest.raises(StoreError, match="NoSuchUpload"):
                    await write(store, "data", bytes(size))


async def test_a_body_that_ends_early_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges: list[bytes] = [b"abc", b"de"]

    def answers(_: str) -> tuple[str, bytes]:
        # Without a Content-Length only the end of the connection ends the body.
        body = ranges.pop(0)
        at = 0 if body == b"abc" else 3
        return f"206 Partial Content\r\nContent-Range: bytes {at}-4/5", body

    async with answering(answers) as url:
        Emulator(name="terse", endpoint_url=url).use(monkeypatch)
        async with await S3Store.open("bucket", retry=QUICK) as store:
            info = ObjectInfo(
                bucket="bucket",
                key="data",
                size_bytes=5,
                version="version:1",
                uploaded_at=datetime(2024, 5, 1, tzinfo=UTC),
            )
            assert await store.read(info, 0, 5) == b"abcde"


async def test_missing_credentials_are_wrong_configuration(
    moto: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto.use(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with await S3Store.open("bucket") as store:
        with pytest.raises(ConfigError, match="AWS is not set up"):
            await store.stat("data")


def test_ten_thousand_parts_hold_five_terabytes() -> None:
    sizes = [part_bytes(number) for number in range(1, 10_001)]

    assert sum(sizes) >= 5 * 10**12
    assert min(sizes) == sizes[0] == 8 * MIB
    assert max(sizes) <= 5 * 1024 * MIB
    assert sizes == sorted(sizes)


# Copies that S3 makes itself.


async def copy(store: S3Store, key: str, info: ObjectInfo) -> None:
    async with store.create(key) as writer:
        assert isinstance(writer, CopyingWriter)
        await writer.copy(info)


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("size", [0, 5, PART_BYTES + 5])
async def test_s3_copies_an_object_in_parts(
    aws: Emulator, monkeypatch: pytest.MonkeyPatch, size: int, versioned: bool
) -> None:
    monkeypatch.setattr(worker.objects.s3_upload, "COPY_PART_FACTOR", 1)
    data = random.Random(size).randbytes(size)
    source, target = [await create_bucket(aws, versioned=versioned) for _ in range(2)]
    async with await S3Store.open(source) as one, await S3Store.open(target) as other:
        info = await write(one, "in/a b é.csv", data)
        if versioned:
            await write(one, "in/a b é.csv", b"another version")
        await copy(other, "copy", info)
        copied = await other.stat("copy")
        assert await other.read(copied, 0, size) == data
        assert copied.size_bytes == size
        assert await open_uploads(aws, target) == 0


@pytest.mark.parametrize("versioned", [True, False])
async def test_an_object_that_is_gone_is_not_copied(aws: Emulator, versioned: bool) -> None:
    source, target = [await create_bucket(aws, versioned=versioned) for _ in range(2)]
    async with await S3Store.open(source) as one, await S3Store.open(target) as other:
        info = await write(one, "data", bytes(100))
        kind, _, version_id = info.version.partition(":")
        await one.delete("data", version_id=version_id if kind == "version" else None)
        with pytest.raises(SourceChanged, match="no longer the version"):
            await copy(other, "copy", info)
        with pytest.raises(SourceError):
            await other.stat("copy")
        assert await open_uploads(aws, target) == 0
