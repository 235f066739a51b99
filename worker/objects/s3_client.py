"""Calls to one S3 bucket: connection, retries, and errors told in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

from aiobotocore.session import get_session

from worker.aws import CLIENT_ERRORS, SETUP_ERRORS, client_config, error_code, is_transient, status
from worker.errors import ConfigError, SourceError, StoreError, WorkerError
from worker.retry import Retries, RetryPolicy

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

T = TypeVar("T")

_TO_READ = "s3:GetObject and s3:ListBucket, s3:GetObjectVersion in a versioned bucket"
_TO_WRITE = "s3:PutObject, s3:AbortMultipartUpload and s3:DeleteObject"


class BucketClient:
    """An S3 client and the bucket that it is for.

    Attributes:
        client: The aiobotocore client.
        bucket: Name of the bucket.
        retry: How a call is tried again.
    """

    def __init__(
        self, client: S3Client, bucket: str, *, retry: RetryPolicy, owned: AsyncExitStack
    ) -> None:
        self.client = client
        self.bucket = bucket
        self.retry = retry
        self._owned = owned

    @classmethod
    async def open(
        cls, bucket: str, *, endpoint_url: str | None, max_pool: int, retry: RetryPolicy
    ) -> BucketClient:
        """See `S3Store.open`."""
        owned = AsyncExitStack()
        try:
            client = await owned.enter_async_context(
                get_session().create_client(
                    "s3", endpoint_url=endpoint_url, config=client_config(max_pool=max_pool)
                )
            )
        except SETUP_ERRORS as error:
            message = f"s3://{bucket}: AWS is not set up: {error}"
            raise ConfigError(message) from error
        return cls(client, bucket, retry=retry, owned=owned)

    async def close(self) -> None:
        """Give back the connections."""
        await self._owned.aclose()

    async def read(self, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns, after retries; its failures are told as those of reading `key`."""
        return await self._call(key, call, reading=True)

    async def write(self, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns, after retries; its failures are told as those of writing `key`."""
        return await self._call(key, call, reading=False)

    async def _call(self, key: str, call: Callable[[], Awaitable[T]], *, reading: bool) -> T:
        retries = self.retry.start()
        while True:
            try:
                return await call()
            except CLIENT_ERRORS as error:
                if not is_transient(error) or not await retries.again():
                    raise self.failure(error, key, retries, reading=reading) from error

    def failure(
        self, error: Exception, key: str, retries: Retries, *, reading: bool
    ) -> WorkerError:
        """What to raise for an error that no retry cured."""
        url = f"s3://{self.bucket}/{key}"
        if isinstance(error, SETUP_ERRORS):
            return ConfigError(f"{url}: AWS is not set up: {error}")
        if is_transient(error):
            return StoreError(f"{url}: gave up after {retries.attempts} attempts: {error}")
        kind = SourceError if reading else StoreError
        if error_code(error) == "NoSuchBucket":
            return kind(f"{url}: there is no bucket {self.bucket}")
        if reading and status(error) == 404:
            return kind(f"{url}: there is no such object")
        if status(error) == 403:
            needed = _TO_READ if reading else _TO_WRITE
            return kind(
                f"{url}: not allowed ({error}); needed: {needed}, and the use of its KMS key"
            )
        return kind(f"{url}: {error}")
