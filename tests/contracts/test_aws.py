"""What we tell botocore to do in another way has the same results as its own way."""

from __future__ import annotations

import asyncio
import os
import ssl
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.httpsession import DEFAULT_CA_BUNDLE
from botocore.loaders import Loader
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

import worker.aws.clients
from tests.support.emulators import Emulator, create_bucket
from worker.aws.clients import Descriptions, read_time
from worker.objects.s3 import S3Store

TYPES = ("service-2", "endpoint-rule-set-1", "paginators-1", "waiters-2")


@pytest.mark.parametrize("service", ["s3", "dynamodb", "sts", "sso", "ec2"])
@pytest.mark.parametrize("kind", TYPES)
def test_descriptions_are_those_of_botocore(service: str, kind: str) -> None:
    def read(loader: Loader) -> object:
        try:
            return loader.load_service_model(service, kind)
        except UnknownServiceError:
            return None

    ours, theirs = read(Descriptions()), read(Loader())
    if (service, kind) == ("dynamodb", "service-2"):
        without = [_tables_of(model) for model in (ours, theirs)]
        assert without[0] == []
        assert "TransactWriteItems" in without[1]
    assert ours == theirs


def _tables_of(model: Any) -> list[str]:
    """Operations whose tables are looked for; that is then taken out."""
    found = []
    for name, operation in model["operations"].items():
        if operation.pop("operationContextParams", None) is not None:
            found.append(name)
    return found


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_so_is_what_belongs_to_no_service(name: str) -> None:
    assert Descriptions().load_data(name) == Loader().load_data(name)


def test_what_is_not_there_is_told_as_botocore_does(tmp_path: Path) -> None:
    (tmp_path / "bare" / "2020-01-01").mkdir(parents=True)
    (tmp_path / "bare" / "2020-01-01" / "service-2.json").write_text("{}")
    for loader in (Loader(), Descriptions()):
        loader.search_paths.append(str(tmp_path))
        assert loader.load_service_model("bare", "service-2") == {}
        for service, kind in (("bare", "endpoint-rule-set-1"), ("none", "service-2")):
            with pytest.raises(UnknownServiceError, match=service):
                loader.load_service_model(service, kind)
        with pytest.raises(DataNotFoundError):
            loader.load_data("nothing")


@given(st.datetimes(datetime(1970, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)))
def test_times_are_read_as_botocore_reads_them(moment: datetime) -> None:
    second = moment.replace(microsecond=0)
    for text in (
        format_datetime(second, usegmt=True),
        f"{second:%Y-%m-%dT%H:%M:%SZ}",
        f"{second:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
        f"{second:%Y%m%dT%H%M%SZ}",
        f"{second:%Y-%m-%dT%H:%M:%S}+02:00",
        f"{second.timestamp():.0f}",
    ):
        assert read_time(text) == parse_timestamp(text)


@pytest.mark.parametrize("text", ["20261121221419Z", "2026-11-21 22:14:19Z", "20261121T221419Z"])
def test_other_forms_are_left_to_botocore(text: str) -> None:
    assert read_time(text) == parse_timestamp(text)


@pytest.mark.parametrize("text", ["", "Z", "GMT", "yesterday", "Mon, 99 Foo 2020 25:00:00 GMT"])
def test_what_is_no_time_raises_as_in_botocore(text: str) -> None:
    for read in (parse_timestamp, read_time):
        with pytest.raises(ValueError, match="Invalid timestamp"):
            read(text)


def test_a_home_that_may_not_be_searched_has_no_descriptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stat = os.stat
    home = Loader.CUSTOMER_DATA_PATH

    def denied(path: Any, *args: Any, **named: Any) -> os.stat_result:
        if str(path).startswith(home):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **named)

    monkeypatch.setattr(os, "stat", denied)
    assert (
        Descriptions().load_service_model("s3", "service-2")["metadata"]["endpointPrefix"] == "s3"
    )


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
    monkeypatch.setattr(worker.aws.clients, "_CONTEXTS", {})
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
