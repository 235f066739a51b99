"""Calls to one S3 bucket: connection, retries, and errors that name the object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from worker.aws.clients import client_config, session
from worker.aws.errors import CLIENT_ERRORS, SETUP_ERRORS, error_code, is_transient, status
from worker.errors import ConfigError, SourceError, SourceMissing, StoreError, WorkerError
from worker.runtime.retry import Retries, RetryPolicy

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

T = TypeVar("T")

_CLOCK_SKEW_S = 15 * 60
"""Difference from S3's clock beyond which S3 refuses a request: RequestTimeTooSkewed.

The answer to a HEAD request has no body that could name that error ("Error responses", S3 API
reference)."""

_TO_READ = "s3:GetObject and s3:ListBucket, s3:GetObjectVersion in a versioned bucket"
_TO_WRITE = "s3:PutObject, s3:AbortMultipartUpload and s3:DeleteObject"


class BucketClient:
    """An S3 client for one bucket, with retries.

    Attributes:
        client: The aiobotocore client.
        bucket: Name of the bucket.
        retry: How calls are retried.
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
        """Prepare the connection, as `S3Store.open` documents."""
        owned = AsyncExitStack()
        try:
            client = await owned.enter_async_context(
                session().create_client(
                    "s3", endpoint_url=endpoint_url, config=client_config(max_pool=max_pool)
                )
            )
        except (*SETUP_ERRORS, ValueError) as error:  # ValueError: an endpoint that is no URL
            raise ConfigError(f"AWS is not set up: {error}", url=f"s3://{bucket}") from error
        return cls(client, bucket, retry=retry, owned=owned)

    async def close(self) -> None:
        """Close the connections."""
        await self._owned.aclose()

    async def read(self, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """Await `call` with retries; raise its failure as one of reading `key`."""
        return await self._call(key, call, reading=True)

    async def write(self, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """Await `call` with retries; raise its failure as one of writing `key`."""
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
        """Make the exception for an error that retries did not cure."""
        url = f"s3://{self.bucket}/{key}"
        if isinstance(error, SETUP_ERRORS):
            return ConfigError(f"AWS is not set up: {error}", url=url)
        if is_transient(error):
            return StoreError(f"gave up after {retries.attempts} attempts: {error}", url=url)
        kind = SourceError if reading else StoreError
        if error_code(error) == "NoSuchBucket":
            return kind(f"there is no bucket {self.bucket}", url=url, retryable=False)
        if reading and status(error) == 404:
            return SourceMissing(url=url)
        if status(error) == 403:
            hint = _what_is_needed(error, reading=reading)
            return kind(f"not allowed ({error})", url=url, hint=hint, retryable=False)
        return kind(str(error), url=url, retryable=False)


def _what_is_needed(error: Exception, *, reading: bool) -> str:
    """Name what a refused call lacks."""
    if "kms:" in str(error):
        return (
            "the object is encrypted with a KMS key; needed: kms:Decrypt in the policies of this "
            "role and of the key, for a deployment in AWS by its setting input_kms_key_arn"
        )
    if _clock_skew_s(error) > _CLOCK_SKEW_S:
        return "the clock of this machine is wrong"
    return f"needed: {_TO_READ if reading else _TO_WRITE}, and the use of its KMS key"


def _clock_skew_s(error: Exception) -> float:
    """Measure how far the clock of the answering server differs from ours; 0 if unknown."""
    if not isinstance(error, ClientError):
        return 0
    text = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if text is None:
        return 0
    with suppress(ValueError):  # not in the form of RFC 9110, section 5.6.7
        return abs((datetime.now(UTC) - parsedate_to_datetime(text)).total_seconds())
    return 0
