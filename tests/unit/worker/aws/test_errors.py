"""Errors of AWS clients are transient or final."""

from __future__ import annotations

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoRegionError,
    ReadTimeoutError,
    SSLError,
)

from worker.aws.errors import error_code, is_transient, status


def answered(code: str, http_status: int) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": http_status},
    }
    return ClientError(response, "GetItem")  # type: ignore[arg-type]  # fields that nobody reads


@pytest.mark.parametrize(
    "error",
    [
        answered("SlowDown", 503),
        answered("ThrottlingException", 400),
        answered("ProvisionedThroughputExceededException", 400),
        answered("429", 429),
        answered("", 500),
        EndpointConnectionError(endpoint_url="https://x"),
        ReadTimeoutError(endpoint_url="https://x"),
        aiohttp.ClientPayloadError("broke off"),
        TimeoutError(),
        ConnectionResetError(),
    ],
)
def test_throttling_and_broken_connections_are_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        answered("AccessDenied", 403),
        answered("NoSuchKey", 404),
        answered("ValidationException", 400),
        SSLError(endpoint_url="https://x", error=ValueError("bad certificate")),
        NoRegionError(),
        ValueError("a bug"),
    ],
)
def test_refusals_certificates_and_bugs_are_final(error: Exception) -> None:
    assert not is_transient(error)


def test_only_the_service_gives_code_and_status() -> None:
    assert (error_code(answered("SlowDown", 503)), status(answered("SlowDown", 503))) == (
        "SlowDown",
        503,
    )
    assert (error_code(TimeoutError()), status(TimeoutError())) == ("", 0)
    assert (error_code(None), status(None)) == ("", 0)
