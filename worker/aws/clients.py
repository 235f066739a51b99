"""Make AWS clients: one configuration for all of them."""

from __future__ import annotations

from functools import cache

import aiobotocore
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from worker.aws.botocore_hooks import FastLoader, SharedContextSession, install

CONNECT_TIMEOUT_S = 5

READ_TIMEOUT_S = 30
"""Of silence on the socket, not of the whole answer."""


def session() -> AioSession:
    """Make a session for one client."""
    made = AioSession()
    install(made, _loader())
    return made


@cache
def _loader() -> FastLoader:
    """Share service models: to read them for each client takes longer than a call."""
    return FastLoader()


def client_config(*, max_pool: int) -> AioConfig:
    """Make the settings of a client.

    Args:
        max_pool: Connections kept open at once.
    """
    return AioConfig(
        max_pool_connections=max_pool,
        http_session_cls=SharedContextSession,
        # Constant: botocore's own describes the machine, for each request, in the time it takes to
        # sign it.
        user_agent=f"shopkpi aiobotocore/{aiobotocore.__version__}",
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        # `worker.runtime.retry` retries: one policy, which tests can drive.
        retries={"total_max_attempts": 1},
        # S3 has no checksum for a range of an object; TLS protects it on the way.
        response_checksum_validation="when_required",
        # Requests are built from typed values. To check each against the service model costs more
        # than to send it.
        parameter_validation=False,
    )
