"""Upload one S3 object whole or not at all.

A small object is one PutObject. A larger one is a multipart upload: invisible before it is
completed, and aborted where the writer fails. Where the process dies, its parts stay behind until
the bucket's lifecycle rule for incomplete multipart uploads removes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from worker.aws.errors import error_code, status
from worker.errors import SourceChanged, WorkerError
from worker.objects import ObjectInfo
from worker.objects.s3_client import BucketClient
from worker.runtime.memory_budget import CONCURRENT_PARTS, PART_BYTES

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import (
        CompletedPartTypeDef,
        CopySourceTypeDef,
        UploadPartCopyRequestTypeDef,
    )

COPY_PART_FACTOR = 8
"""How many times longer parts are that S3 copies itself: they take no memory here."""

JOINED_WRITE_BYTES = 64 * 1024
"""Writes below this are joined in one buffer: each object kept apart costs memory of its own."""


def part_bytes(number: int) -> int:
    """Compute the size of part `number`, from 1: 8 MiB, doubled after each 1,000 parts.

    Amazon S3 takes 10,000 parts of 5 MiB to 5 GiB ("Amazon S3 multipart upload limits"): 10,000
    parts come to 8 TB, and an object below 8 GB needs none above 8 MiB.
    """
    return PART_BYTES << ((number - 1) // 1000)


@asynccontextmanager
async def upload(bucket: BucketClient, key: str) -> AsyncIterator[MultipartWriter]:
    """Open the writer of `key`; the object appears when the block ends without an error."""
    writer = MultipartWriter(bucket, key)
    try:
        yield writer
        await writer.complete()
    except BaseException:
        # Shielded: the usual reason is that this task is being cancelled.
        await asyncio.shield(writer.abort())
        raise


class MultipartWriter:
    """A `CopyingWriter` into one S3 object."""

    def __init__(self, bucket: BucketClient, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._held: list[memoryview | bytearray] = []
        self._held_bytes = 0
        self._size_bytes = 0
        self._upload_id = ""
        self._parts: list[asyncio.Task[CompletedPartTypeDef]] = []
        self._slots = asyncio.Semaphore(CONCURRENT_PARTS)

    async def write(self, data: bytes | memoryview) -> None:
        """Take `data`; wait while `CONCURRENT_PARTS` are being uploaded."""
        # Immutable bytes are not copied, unless a small rest would keep all of them in memory.
        whole = memoryview(data if isinstance(data, bytes) else bytes(data))
        self._size_bytes += len(whole)
        rest = whole
        while rest:
            limit = part_bytes(len(self._parts) + 1)
            fitting = rest[: limit - self._held_bytes]
            rest = rest[len(fitting) :]
            is_small_rest = not rest and 2 * len(fitting) < len(whole)
            self._hold(memoryview(bytes(fitting)) if is_small_rest else fitting)
            if self._held_bytes >= limit:
                await self._send_part()

    async def copy(self, info: ObjectInfo) -> None:
        """Let S3 append an object of a bucket, in parts; its bytes do not pass through here.

        Raises:
            SourceChanged: The object is no longer that version.
        """
        source: CopySourceTypeDef = {"Bucket": info.bucket, "Key": info.key}
        kind, _, identity = info.version.partition(":")
        etag = ""
        if kind == "version":
            source["VersionId"] = identity
        else:
            etag = identity.rpartition(":")[0]
        start = 0
        while start < info.size_bytes:
            end = min(start + COPY_PART_FACTOR * part_bytes(len(self._parts) + 1), info.size_bytes)
            number = await self._next_part()
            part = self._copy_part(number, source, etag, f"bytes={start}-{end - 1}")
            self._parts.append(asyncio.create_task(part))
            start = end
        self._size_bytes += info.size_bytes

    async def complete(self) -> None:
        """Make the object appear."""
        client, bucket, key = self._bucket.client, self._bucket.bucket, self._key
        if not self._upload_id:
            body = self._take()
            await self._bucket.write(
                key, lambda: client.put_object(Bucket=bucket, Key=key, Body=body)
            )
            return
        if self._held:
            await self._send_part()
        parts = await asyncio.gather(*self._parts)
        try:
            await self._bucket.write(
                key,
                lambda: client.complete_multipart_upload(
                    Bucket=bucket,
                    Key=key,
                    UploadId=self._upload_id,
                    MultipartUpload={"Parts": parts},
                ),
            )
        except WorkerError as error:
            # The answer of an earlier attempt that succeeded may have been lost.
            if error_code(error.__cause__) != "NoSuchUpload" or not await self._is_there():
                raise

    async def abort(self) -> None:
        """Cancel the parts and abort the multipart upload, as far as the store allows."""
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        if not self._upload_id:
            return
        client, bucket, key = self._bucket.client, self._bucket.bucket, self._key
        try:
            await self._bucket.write(
                key,
                lambda: client.abort_multipart_upload(
                    Bucket=bucket, Key=key, UploadId=self._upload_id
                ),
            )
        except WorkerError:
            # The failure of the writer matters more; the lifecycle rule removes the parts.
            return

    async def _send_part(self) -> None:
        """Upload the held bytes as the next part; a failure is raised by a later call."""
        number = await self._next_part()
        self._parts.append(asyncio.create_task(self._upload_part(number, self._take())))

    def _hold(self, data: memoryview) -> None:
        self._held_bytes += len(data)
        if len(data) >= JOINED_WRITE_BYTES:
            self._held.append(data)
        elif self._held and isinstance(buffer := self._held[-1], bytearray):
            buffer += data
        else:
            self._held.append(bytearray(data))

    def _take(self) -> bytes:
        """Return the held bytes and hold none."""
        body = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return body

    async def _next_part(self) -> int:
        """Wait for a slot, and return the number of the next part."""
        client, bucket, key = self._bucket.client, self._bucket.bucket, self._key
        if not self._upload_id:
            created = await self._bucket.write(
                key, lambda: client.create_multipart_upload(Bucket=bucket, Key=key)
            )
            self._upload_id = created["UploadId"]
        await self._slots.acquire()
        for part in self._parts:
            if part.done():
                part.result()
        return len(self._parts) + 1

    async def _copy_part(
        self, number: int, source: CopySourceTypeDef, etag: str, byte_range: str
    ) -> CompletedPartTypeDef:
        client, key = self._bucket.client, self._key
        arguments: UploadPartCopyRequestTypeDef = {
            "Bucket": self._bucket.bucket,
            "Key": key,
            "UploadId": self._upload_id,
            "PartNumber": number,
            "CopySource": source,
            "CopySourceRange": byte_range,
        }
        if etag:
            arguments["CopySourceIfMatch"] = etag
        try:
            answer = await self._bucket.write(key, lambda: client.upload_part_copy(**arguments))
        except WorkerError as error:
            if status(error.__cause__) not in (404, 412):
                raise
            url = f"s3://{source['Bucket']}/{source['Key']}"
            message = "it is no longer the version that was to be copied"
            raise SourceChanged(message, url=url, expected=etag or None) from error
        finally:
            self._slots.release()
        result = answer["CopyPartResult"]
        part: CompletedPartTypeDef = {"PartNumber": number, "ETag": result["ETag"]}
        if "ChecksumCRC32" in result:
            part["ChecksumCRC32"] = result["ChecksumCRC32"]
        return part

    async def _upload_part(self, number: int, body: bytes) -> CompletedPartTypeDef:
        client, bucket, key = self._bucket.client, self._bucket.bucket, self._key
        try:
            answer = await self._bucket.write(
                key,
                lambda: client.upload_part(
                    Bucket=bucket,
                    Key=key,
                    UploadId=self._upload_id,
                    PartNumber=number,
                    Body=body,
                ),
            )
        finally:
            self._slots.release()
        part: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
        if "ChecksumCRC32" in answer:
            part["ChecksumCRC32"] = answer["ChecksumCRC32"]
        return part

    async def _is_there(self) -> bool:
        """Ask whether the key has an object of this size and number of parts."""
        client, bucket, key = self._bucket.client, self._bucket.bucket, self._key
        head = await self._bucket.write(key, lambda: client.head_object(Bucket=bucket, Key=key))
        # The etag of a multipart upload ends with `-` and its number of parts.
        etag = head["ETag"].strip('"')
        return head["ContentLength"] == self._size_bytes and etag.endswith(f"-{len(self._parts)}")
