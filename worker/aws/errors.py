"""Classify errors of AWS clients: transient or final, by code and HTTP status."""

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
"""Errors that a call of a client may raise for reasons outside of this program."""

SETUP_ERRORS = (NoCredentialsError, NoRegionError, PartialCredentialsError, ProfileNotFound)
"""Those of them that mean that the AWS environment is not set up."""

# "Error retries and exponential backoff" and "Common errors" of S3 and DynamoDB. The answer to a
# HEAD request has no body and so no code; `status` classifies it.
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
    """Return the service's code of an error; empty where it did not come from the service."""
    if not isinstance(error, ClientError):
        return ""
    return error.response.get("Error", {}).get("Code", "")


def status(error: BaseException | None) -> int:
    """Return the HTTP status of an error; 0 where it did not come from the service."""
    if not isinstance(error, ClientError):
        return 0
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_transient(error: BaseException) -> bool:
    """Check whether the same call may succeed later: throttling, 5xx, broken connections."""
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
