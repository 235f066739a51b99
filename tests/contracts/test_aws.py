"""Clients of one process share the certificates that they trust."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import DEFAULT_CA_BUNDLE

from tests.support.emulators import Emulator, create_bucket
from worker.aws import botocore_hooks
from worker.objects.s3 import S3Store


async def test_clients_share_the_certificates_that_they_trust(
    moto: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[AIOHTTPSession] = []
    original = AIOHTTPSession._build_verify_context  # type: ignore[attr-defined]  # not in stubs

    def counted(session: AIOHTTPSession) -> ssl.SSLContext:
        read.append(session)
        made: ssl.SSLContext = original(session)
        return made

    monkeypatch.setattr(AIOHTTPSession, "_build_verify_context", counted)
    moto.use(monkeypatch)
    bucket = await create_bucket(moto)
    read.clear()
    monkeypatch.setattr(botocore_hooks, "_CONTEXTS", {})
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    for bundle, times in ((None, 1), (None, 1), (DEFAULT_CA_BUNDLE, 2), (DEFAULT_CA_BUNDLE, 2)):
        if bundle is not None:
            monkeypatch.setenv("AWS_CA_BUNDLE", bundle)
        async with (
            await S3Store.open(bucket, endpoint_url=moto.endpoint_url) as one,
            await S3Store.open(bucket, endpoint_url=moto.endpoint_url) as other,
        ):
            await asyncio.gather(*(anext(store.list(""), None) for store in (one, other)))
        assert len(read) == times
