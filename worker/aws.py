"""AWS clients: how they are configured, and which of their errors another attempt may cure."""

from __future__ import annotations

from functools import cache

import aiohttp
import botocore.exceptions
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)
from botocore.loaders import Loader, create_loader

CLIENT_ERRORS = (BotoCoreError, ClientError, aiohttp.ClientError, TimeoutError, OSError)
"""Everything that a call of a client may raise because the world, not the code, went wrong."""

SETUP_ERRORS = (NoCredentialsError, NoRegionError, PartialCredentialsError, ProfileNotFound)
"""Those of them that say that the AWS environment is not set up."""

# "Error retries and exponential backoff" and "Common errors" of S3 and DynamoDB; a HEAD request has
# no body, so that its status stands where the code would be (see `status`).
_TRANSIENT_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "OperationAborted",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)


def session() -> AioSession:
    """A session for one client."""
    made = AioSession()
    made.register_component("data_loader", _descriptions())
    return made


@cache
def _descriptions() -> Loader:
    """What describes the services: reading it again for each client takes longer than a call."""
    return create_loader()


def client_config(*, max_pool: int) -> AioConfig:
    """Settings of every client.

    Args:
        max_pool: Connections kept open at once.
    """
    return AioConfig(
        max_pool_connections=max_pool,
        connect_timeout=5,
        # Of silence on the socket, not of the whole answer.
        read_timeout=30,
        # `worker.retry` retries, so that there is one policy, and one that tests can drive.
        retries={"total_max_attempts": 1},
        # S3 has no checksum for a range of an object; TLS protects it on the way.
        response_checksum_validation="when_required",
        # Requests are built from typed values here; checking each against the service model costs
        # more than sending it.
        parameter_validation=False,
    )


def error_code(error: BaseException | None) -> str:
    """The service's code for an error; empty where it did not come from the service."""
    if not isinstance(error, ClientError):
        return ""
    return error.response.get("Error", {}).get("Code", "")


def status(error: BaseException | None) -> int:
    """The HTTP status of an error; 0 where it did not come from the service."""
    if not isinstance(error, ClientError):
        return 0
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a moment later: throttling, 5xx, broken connections."""
    if isinstance(error, ClientError):
        return error_code(error) in _TRANSIENT_CODES or status(error) == 429 or status(error) >= 500
    if isinstance(error, SSLError):
        return False
    return isinstance(
        error,
        HTTPClientError
        | botocore.exceptions.ConnectionError
        | IncompleteReadError
        | aiohttp.ClientError
        | TimeoutError
        | OSError,
    )
