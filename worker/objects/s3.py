"""Objects in an S3 bucket, over aiobotocore.

What identifies an object (`ObjectInfo.version`) is the same however the object was found, since it
always comes from HEAD: `list` takes only the keys from the listing. In a versioned bucket it is
`version:<id>`. Else it is `etag:<etag>:<Last-Modified, Unix seconds>`: by the etag alone, an upload
that restores earlier content would be taken for the earlier upload, and the one between them would
win. A listing knows no version ids, and its times of multipart uploads may differ from HEAD's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import aiohttp

from worker.aws.errors import CLIENT_ERRORS, is_transient, status
from worker.errors import SourceChanged, SourceError, SourceMissing
from worker.objects import ObjectInfo, ObjectWriter
from worker.objects.s3_client import BucketClient
from worker.objects.s3_upload import upload
from worker.runtime.retry import RetryPolicy

_HEADS_AT_ONCE = 32


class S3Store:
    """Objects of one bucket; see `ObjectStore`. Made by `S3Store.open`."""

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
            endpoint_url: Another S3 than that of the region; `AWS_ENDPOINT_URL_S3` and
                `AWS_ENDPOINT_URL` say the same. Region and credentials come from the AWS
                environment.
            max_pool: Connections kept open at once; more requests wait for one.
            retry: How calls, and ranges whose body broke off, are tried again.

        Raises:
            ConfigError: The AWS environment names no region, or a profile that is not there.
        """
        return cls(
            await BucketClient.open(
                bucket, endpoint_url=endpoint_url, max_pool=max_pool, retry=retry or RetryPolicy()
            )
        )

    async def close(self) -> None:
        """Give back the connections."""
        await self._bucket.close()

    async def __aenter__(self) -> S3Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Objects whose key is `prefix` or starts with `prefix` + `/`, ascending by key.

        An empty prefix means the whole bucket. Markers of folders (keys that end with `/`, as the
        S3 console makes them) are no objects. One LIST for each 1,000 keys and one HEAD for each
        object.
        """
        prefix = prefix.rstrip("/")
        if prefix:
            info = await self._find(prefix)
            if info is not None:
                yield info
        token = ""
        while True:
            keys, token = await self._page(f"{prefix}/" if prefix else "", token)
            for first in range(0, len(keys), _HEADS_AT_ONCE):
                group = keys[first : first + _HEADS_AT_ONCE]
                for info in await asyncio.gather(*map(self._find, group)):
                    if info is not None:
                        yield info
            if not token:
                return

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """The current version of `key`, or the one of that S3 version id, as an event names it."""
        client, bucket = self._bucket.client, self._bucket.bucket
        if version_id is None:
            head = await self._bucket.read(key, lambda: client.head_object(Bucket=bucket, Key=key))
        else:
            head = await self._bucket.read(
                key, lambda: client.head_object(Bucket=bucket, Key=key, VersionId=version_id)
            )
        uploaded_at = head["LastModified"]
        # Objects written before versioning, or while it was suspended, have the id "null".
        found_id = head.get("VersionId", "null")
        return ObjectInfo(
            bucket=bucket,
            key=key,
            size_bytes=head["ContentLength"],
            version=f"etag:{head['ETag']}:{int(uploaded_at.timestamp())}"
            if found_id == "null"
            else f"version:{found_id}",
            uploaded_at=uploaded_at,
        )

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        """Bytes [start, end) of exactly that version.

        Where the body breaks off, the rest is asked for from the byte where it did.
        """
        wanted_bytes = end - start
        if wanted_bytes <= 0:
            return b""
        if end > info.size_bytes:
            raise SourceError(
                url=info.url, expected=f"{end} bytes", actual=f"{info.size_bytes} bytes"
            )
        pieces: list[bytes] = []
        got_bytes = 0
        retries = self._bucket.retry.start()
        while True:
            try:
                async for piece in self._body(info, start + got_bytes, end):
                    pieces.append(piece)
                    got_bytes += len(piece)
                if got_bytes == wanted_bytes:
                    return b"".join(pieces)
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
        """As `read`, all of them at the same time: a request gets one range only."""
        return await asyncio.gather(*(self.read(info, start, end) for start, end in ranges))

    def create(self, key: str) -> AbstractAsyncContextManager[ObjectWriter]:
        """Write `key` whole or not at all; see `worker.objects.s3_upload`."""
        return upload(self._bucket, key)

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        """Remove `key`, or only that version of it.

        Without a version id a versioned bucket keeps all versions behind a delete marker.
        """
        client, bucket = self._bucket.client, self._bucket.bucket
        if version_id is None:
            await self._bucket.write(key, lambda: client.delete_object(Bucket=bucket, Key=key))
            return
        await self._bucket.write(
            key, lambda: client.delete_object(Bucket=bucket, Key=key, VersionId=version_id)
        )

    async def _body(self, info: ObjectInfo, start: int, end: int) -> AsyncIterator[bytes]:
        """The body of one ranged GET, in the pieces that the socket gives."""
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
        # A server may ignore the range and answer with the whole (RFC 9110, section 14.2). S3 does
        # not; some that speak its protocol do where a version is asked for.
        skip = 0 if "ContentRange" in answer else start
        left = end - start
        async with answer["Body"] as body:
            # Not body.read(): it would forget what had come when the body breaks off.
            stream = body.raw_stream.content
            # Else the socket is paused after each piece, and its next one waited for anew.
            stream.set_read_chunk_size(left)
            while left:
                # Not readany(), which joins what has come: pieces are joined once, at the end.
                piece, ends_chunk = await stream.readchunk()
                if not (piece or ends_chunk):
                    break
                part = piece[skip : skip + left] if skip or len(piece) > left else piece
                skip = max(0, skip - len(piece))
                left -= len(part)
                yield part

    async def _page(self, prefix: str, token: str) -> tuple[Sequence[str], str]:
        """Up to 1,000 keys after `token`, and the token of the next page; empty at the end."""
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
        keys = [item["Key"] for item in page.get("Contents", ()) if not item["Key"].endswith("/")]
        return keys, page.get("NextContinuationToken", "")

    async def _find(self, key: str) -> ObjectInfo | None:
        """`stat`, or None where the key is not (or no longer) there."""
        try:
            return await self.stat(key)
        except SourceMissing:
            return None
