"""Object store over an S3 bucket.

`ObjectInfo.version` always comes from HEAD, or from GET, whose headers are the same. So it does not
depend on how the object was found: a listing has no version ids, and its times of multipart uploads
may differ from those of HEAD.

In a versioned bucket it is `version:<id>`, else `etag:<etag>:<Last-Modified, Unix seconds>`. By the
etag alone, an upload that restores earlier content would be taken for the earlier upload, and the
upload between them would win.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

import aiohttp

from worker.aws.errors import CLIENT_ERRORS, is_transient, status
from worker.errors import SourceChanged, SourceError, SourceMissing
from worker.objects import (
    ObjectInfo,
    ObjectWriter,
    OldVersion,
    OnUnlisted,
    StoredName,
    Unlisted,
)
from worker.objects.s3_client import BucketClient
from worker.objects.s3_upload import upload
from worker.runtime.retry import RetryPolicy

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import (
        GetObjectOutputTypeDef,
        HeadObjectOutputTypeDef,
        ListObjectVersionsRequestTypeDef,
    )

_CONCURRENT_HEADS = 32
"""HEAD requests in flight while a page of a listing is looked up."""


_ETAG_OF_BYTES = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")
"""An MD5, or that of the MD5s of the parts of a multipart upload and their number."""


_CONTENT_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<size>\d+)")
"""Header of an answer with a part of an object (RFC 9110, section 14.4)."""


def etag_of_bytes(head: HeadObjectOutputTypeDef | GetObjectOutputTypeDef) -> str:
    """Return the etag of an answer of HEAD or GET where it is a digest of the bytes; else nothing.

    With a key of KMS or of the customer it is none, nor is it in a directory bucket.
    """
    etag = str(head["ETag"]).strip('"')
    encryption = head.get("ServerSideEncryption", "AES256")
    if encryption != "AES256" or "SSECustomerAlgorithm" in head:
        return ""
    return etag if _ETAG_OF_BYTES.fullmatch(etag) else ""


class S3Store:
    """An `ObjectStore` over one bucket; `S3Store.open` makes it."""

    def __init__(self, bucket: BucketClient) -> None:
        self._bucket = bucket

    @classmethod
    async def open(
        cls,
        bucket: str,
        *,
        endpoint_url: str | None = None,
        max_pool: int = 64,
        retry: RetryPolicy | None = None,
    ) -> S3Store:
        """Prepare the connection; nothing is sent yet.

        Args:
            bucket: Name of the bucket.
            endpoint_url: Endpoint instead of the region's, as `AWS_ENDPOINT_URL_S3` and
                `AWS_ENDPOINT_URL` name one. Region and credentials come from the AWS environment.
            max_pool: Open connections at most; further requests wait for one.
            retry: How to retry calls, and ranges whose body broke off.

        Raises:
            ConfigError: The AWS environment names no region, or a missing profile.
        """
        return cls(
            await BucketClient.open(
                bucket, endpoint_url=endpoint_url, max_pool=max_pool, retry=retry or RetryPolicy()
            )
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._bucket.close()

    async def __aenter__(self) -> S3Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def list(
        self, prefix: str, *, on_unlisted: OnUnlisted | None = None
    ) -> AsyncIterator[ObjectInfo]:
        """List objects whose key is `prefix` or starts with `prefix` + `/`, ascending by key.

        An empty prefix means the whole bucket. Folder markers (keys that end with `/`, as the S3
        console makes them) are left out. Costs one LIST per 1,000 keys and one HEAD per object.
        """
        prefix = prefix.rstrip("/")
        if prefix:
            info = await self._find(prefix)
            if info is not None:
                yield info
        token = ""
        while True:
            page, token = await self._page(f"{prefix}/" if prefix else "", token)
            keys = [name.key for name in page]
            for first in range(0, len(keys), _CONCURRENT_HEADS):
                group = keys[first : first + _CONCURRENT_HEADS]
                found = await asyncio.gather(*(self._find(key, on_unlisted) for key in group))
                for info in found:
                    if info is not None:
                        yield info
            if not token:
                return

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """Look up the current version of `key`, or that of an S3 version id from an event."""
        client, bucket = self._bucket.client, self._bucket.bucket
        if version_id is None:
            head = await self._bucket.read(
                key,
                lambda: client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"),
            )
        else:
            head = await self._bucket.read(
                key,
                lambda: client.head_object(
                    Bucket=bucket, Key=key, ChecksumMode="ENABLED", VersionId=version_id
                ),
            )
        return self._info(key, head, head["ContentLength"])

    def _info(
        self, key: str, answer: HeadObjectOutputTypeDef | GetObjectOutputTypeDef, size_bytes: int
    ) -> ObjectInfo:
        """Describe the version of an object that an answer is about."""
        uploaded_at = answer["LastModified"]
        # Objects written before versioning, or while it was suspended, have the id "null".
        found_id = answer.get("VersionId", "null")
        return ObjectInfo(
            bucket=self._bucket.bucket,
            key=key,
            size_bytes=size_bytes,
            version=f"etag:{answer['ETag']}:{int(uploaded_at.timestamp())}"
            if found_id == "null"
            else f"version:{found_id}",
            uploaded_at=uploaded_at,
            sha256=answer.get("ChecksumSHA256", ""),
            etag=etag_of_bytes(answer),
        )

    async def open_range(self, key: str, start: int, end: int) -> tuple[ObjectInfo, bytes]:
        """Look up the current version of `key`, and read bytes of it, with one GET.

        See `worker.objects.open_range`.
        """
        client, bucket = self._bucket.client, self._bucket.bucket
        byte_range = f"bytes={start}" if start < 0 else f"bytes={start}-{end - 1}"
        try:
            answer = await self._bucket.read(
                key, lambda: client.get_object(Bucket=bucket, Key=key, Range=byte_range)
            )
        except SourceError as error:
            if status(error.__cause__) != 416:
                raise
            return await self.stat(key), b""  # it is empty, or ends before the range
        found = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
        size = int(found["size"]) if found else answer["ContentLength"]
        info = self._info(key, answer, size)
        first = max(size + start, 0) if start < 0 else min(start, size)
        last = size if start < 0 else min(end, size)
        if found is None or (int(found["first"]), int(found["last"]) + 1) != (first, last):
            answer["Body"].close()  # a server that ignores such a range
            return info, await self.read(info, first, last)
        try:
            async with answer["Body"] as body:
                data = await body.read()
        except CLIENT_ERRORS as error:
            if not is_transient(error):
                raise self._bucket.failure(
                    error, key, self._bucket.retry.start(), reading=True
                ) from error
            data = b""
        if len(data) < last - first:  # its body broke off
            data = await self.read(info, first, last)
        return info, data

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        """Read bytes [start, end) of exactly that version.

        Where the body breaks off, the next request goes on from there.
        """
        wanted_bytes = end - start
        if wanted_bytes <= 0:
            return b""
        if end > info.size_bytes:
            raise SourceError(
                url=info.url, expected=f"{end} bytes", actual=f"{info.size_bytes} bytes"
            )
        received: list[bytes] = []
        got_bytes = 0
        retries = self._bucket.retry.start()
        while True:
            try:
                async for data in self._body(info, start + got_bytes, end):
                    received.append(data)
                    got_bytes += len(data)
                if got_bytes == wanted_bytes:
                    return b"".join(received)
                message = f"the body ended after {got_bytes} of {wanted_bytes} bytes"
                failure: Exception = aiohttp.ClientPayloadError(message)
            except CLIENT_ERRORS as error:
                if status(error) in {404, 412}:
                    message = f"it is no longer the version {info.version}"
                    raise SourceChanged(message, url=info.url, expected=info.version) from error
                failure = error
            if not is_transient(failure) or not await retries.again():
                raise self._bucket.failure(failure, info.key, retries, reading=True) from failure

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        """Read several ranges concurrently: a GET request returns one range only."""
        return await asyncio.gather(*(self.read(info, start, end) for start, end in ranges))

    def create(self, key: str) -> AbstractAsyncContextManager[ObjectWriter]:
        """Write `key` whole or not at all, as `worker.objects.s3_upload` does."""
        return upload(self._bucket, key)

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        """Remove `key`, or only that version of it.

        Without a version id, a versioned bucket keeps all versions behind a delete marker.
        """
        client, bucket = self._bucket.client, self._bucket.bucket
        if version_id is None:
            await self._bucket.write(key, lambda: client.delete_object(Bucket=bucket, Key=key))
            return
        await self._bucket.write(
            key, lambda: client.delete_object(Bucket=bucket, Key=key, VersionId=version_id)
        )

    async def old_versions(self, prefix: str) -> Sequence[OldVersion]:
        """List the versions of objects that are not the current ones."""
        client, bucket = self._bucket.client, self._bucket.bucket
        found: list[OldVersion] = []
        request: ListObjectVersionsRequestTypeDef = {"Bucket": bucket, "Prefix": prefix}
        while True:
            page = await self._bucket.read(prefix, partial(client.list_object_versions, **request))
            found += (
                OldVersion(
                    url=f"s3://{bucket}/{one['Key']}",
                    version_id=one["VersionId"],
                    size_bytes=one["Size"],
                )
                for one in page.get("Versions", ())
                if not one["IsLatest"]
            )
            if not page.get("IsTruncated"):
                return found
            request["KeyMarker"] = page["NextKeyMarker"]
            request["VersionIdMarker"] = page["NextVersionIdMarker"]

    async def _body(self, info: ObjectInfo, start: int, end: int) -> AsyncIterator[bytes]:
        """Stream the body of one ranged GET as the socket receives it."""
        client, bucket = self._bucket.client, self._bucket.bucket
        # Both ends of a range are inclusive (RFC 9110, section 14.1.2).
        byte_range = f"bytes={start}-{end - 1}"
        kind, _, identity = info.version.partition(":")
        if kind == "version":
            answer = await client.get_object(
                Bucket=bucket, Key=info.key, Range=byte_range, VersionId=identity
            )
        else:
            etag = identity.rpartition(":")[0]
            answer = await client.get_object(
                Bucket=bucket, Key=info.key, Range=byte_range, IfMatch=etag
            )
        # A server may ignore the range and send all bytes (RFC 9110, section 14.2). S3 does not;
        # some other servers of its protocol do where a version is asked for.
        skip = 0 if "ContentRange" in answer else start
        remaining = end - start
        async with answer["Body"] as body:
            # Not body.read(): it drops the bytes received before the body breaks off.
            stream = body.raw_stream.content
            # Else aiohttp pauses the socket after each read and waits for it to resume.
            stream.set_read_chunk_size(remaining)
            while remaining:
                # Not readany(): it joins buffers, and the caller joins them once more.
                data, ends_chunk = await stream.readchunk()
                if not (data or ends_chunk):
                    break
                wanted = data[skip : skip + remaining] if skip or len(data) > remaining else data
                skip = max(0, skip - len(data))
                remaining -= len(wanted)
                yield wanted

    async def names(self, prefix: str) -> AsyncIterator[StoredName]:
        """List as `list` does, but for an object that is `prefix` itself; no HEAD is sent."""
        token = ""
        while True:
            page, token = await self._page(f"{prefix.rstrip('/')}/", token)
            for name in page:
                yield name
            if not token:
                return

    async def _page(self, prefix: str, token: str) -> tuple[Sequence[StoredName], str]:
        """List up to 1,000 keys after `token`; return the token of the next page, "" at the end."""
        client, bucket = self._bucket.client, self._bucket.bucket
        if token:
            page = await self._bucket.read(
                prefix,
                lambda: client.list_objects_v2(
                    Bucket=bucket, Prefix=prefix, ContinuationToken=token
                ),
            )
        else:
            page = await self._bucket.read(
                prefix, lambda: client.list_objects_v2(Bucket=bucket, Prefix=prefix)
            )
        names = [
            StoredName(key=item["Key"], size_bytes=item["Size"], modified_at=item["LastModified"])
            for item in page.get("Contents", ())
            if not item["Key"].endswith("/")
        ]
        return names, page.get("NextContinuationToken", "")

    async def _find(self, key: str, on_unlisted: OnUnlisted | None = None) -> ObjectInfo | None:
        """Look up a key as `stat` does; None where it is missing or was given to `on_unlisted`."""
        try:
            return await self.stat(key)
        except SourceMissing:
            return None
        except SourceError as error:
            if on_unlisted is None:
                raise
            url = error.url or f"s3://{self._bucket.bucket}/{key}"
            on_unlisted(Unlisted(url=url, reason=error.problem, is_failure=True))
            return None
