"""Errors of AWS clients: what they are called, and which of them another attempt may cure."""

from __future__ import annotations

import aiohttp
import botocore.exceptions
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
