"""Replacements of parts of botocore give its results, and its release still calls the hooks."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.awsrequest import AioAWSResponse
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import Loader
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from worker.aws import botocore_hooks as hooks
from worker.aws import clients
from worker.aws.botocore_hooks import FastLoader, SharedContextSession, read_timestamp
from worker.aws.clients import client_config, session

TYPES = ("service-2", "endpoint-rule-set-1", "paginators-1", "waiters-2")


@pytest.mark.parametrize("service", ["s3", "dynamodb", "sts", "sso", "ec2"])
@pytest.mark.parametrize("kind", TYPES)
def test_service_models_equal_those_of_botocore(service: str, kind: str) -> None:
    def read(loader: Loader) -> object:
        try:
            return loader.load_service_model(service, kind)
        except UnknownServiceError:
            return None

    ours, original = read(FastLoader()), read(Loader())
    if (service, kind) == ("dynamodb", "service-2"):
        without = [_tables_of(model) for model in (ours, original)]
        assert without[0] == []
        assert "TransactWriteItems" in without[1]
    assert ours == original


def _tables_of(model: Any) -> list[str]:
    """Remove `operationContextParams`; return the operations that had some."""
    found = []
    for name, operation in model["operations"].items():
        if operation.pop("operationContextParams", None) is not None:
            found.append(name)
    return found


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_data_of_no_service_equals_that_of_botocore(name: str) -> None:
    assert FastLoader().load_data(name) == Loader().load_data(name)


def test_missing_model_raises_as_in_botocore(tmp_path: Path) -> None:
    (tmp_path / "bare" / "2020-01-01").mkdir(parents=True)
    (tmp_path / "bare" / "2020-01-01" / "service-2.json").write_text("{}")
    for loader in (Loader(), FastLoader()):
        loader.search_paths.append(str(tmp_path))
        assert loader.load_service_model("bare", "service-2") == {}
        for service, kind in (("bare", "endpoint-rule-set-1"), ("none", "service-2")):
            with pytest.raises(UnknownServiceError, match=service):
                loader.load_service_model(service, kind)
        with pytest.raises(DataNotFoundError):
            loader.load_data("nothing")


@given(st.datetimes(datetime(1970, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)))
def test_times_are_read_as_by_botocore(moment: datetime) -> None:
    second = moment.replace(microsecond=0)
    for text in (
        format_datetime(second, usegmt=True),
        f"{second:%Y-%m-%dT%H:%M:%SZ}",
        f"{second:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
        f"{second:%Y%m%dT%H%M%SZ}",
        f"{second:%Y-%m-%dT%H:%M:%S}+02:00",
        f"{second.timestamp():.0f}",
    ):
        assert read_timestamp(text) == parse_timestamp(text)


@pytest.mark.parametrize("text", ["20261121221419Z", "2026-11-21 22:14:19Z", "20261121T221419Z"])
def test_other_forms_are_left_to_botocore(text: str) -> None:
    assert read_timestamp(text) == parse_timestamp(text)


@pytest.mark.parametrize("text", ["", "Z", "GMT", "yesterday", "Mon, 99 Foo 2020 25:00:00 GMT"])
def test_malformed_time_raises_as_in_botocore(text: str) -> None:
    for read in (parse_timestamp, read_timestamp):
        with pytest.raises(ValueError, match="Invalid timestamp"):
            read(text)


def test_unsearchable_home_has_no_service_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stat = os.stat
    home = Loader.CUSTOMER_DATA_PATH

    def denied(path: Any, *args: Any, **named: Any) -> os.stat_result:
        if str(path).startswith(home):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **named)

    monkeypatch.setattr(os, "stat", denied)
    assert FastLoader().load_service_model("s3", "service-2")["metadata"]["endpointPrefix"] == "s3"


async def call_dynamodb(table: str, answered: list[str]) -> dict[str, Any]:
    """Send DescribeTable by a client of ours; the answer comes before anything is sent."""

    async def answer(request: Any, **_: object) -> AioAWSResponse:
        answered.append(request.url)
        body = b'{"Table": {"CreationDateTime": "2025-03-01T02:03:04Z"}}'
        response = AioAWSResponse(request.url, 200, {}, None)  # type: ignore[arg-type]
        response._content = body  # type: ignore[attr-defined]  # not in the stubs
        return response

    made = session().create_client(
        "dynamodb",
        region_name="eu-central-1",
        aws_access_key_id="id",
        aws_secret_access_key="key",
        config=client_config(max_pool=1),
    )
    async with made as client:
        event = "before-send.dynamodb.DescribeTable"
        client.meta.events.register(event, answer)  # type: ignore[arg-type]  # it may answer
        return dict(await client.describe_table(TableName=table))


async def test_canary_botocore_still_calls_the_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each replacement has to be reached: a hook of another name would only be slow."""
    called: list[str] = []

    def counted(owner: type, name: str) -> None:
        original = vars(owner)[name]  # ours, not the inherited one

        def wrapped(*args: Any, **named: Any) -> Any:
            called.append(name)
            return original(*args, **named)

        monkeypatch.setattr(owner, name, wrapped)

    for name in ("list_available_services", "load_service_model"):
        counted(FastLoader, name)
    counted(hooks._OrjsonFiles, "load_file")
    counted(hooks.SharedContextSession, "_build_verify_context")
    monkeypatch.setattr(clients, "_loader", FastLoader)
    monkeypatch.setattr(hooks, "read_timestamp", lambda _: datetime(2000, 1, 1, tzinfo=UTC))
    answered: list[str] = []
    found = await call_dynamodb("shop-ledger", answered)
    assert found["Table"]["CreationDateTime"].year == 2000
    assert answered == ["https://dynamodb.eu-central-1.amazonaws.com/"]
    assert {"list_available_services", "load_service_model", "load_file"} <= set(called)
    async with SharedContextSession() as session:
        connector = await session._create_connector(None)  # type: ignore[attr-defined]
        await connector.close()
    assert "_build_verify_context" in called


def test_canary_botocore_still_searches_requests_for_tables() -> None:
    """Without `operationContextParams` in its model, removing them would have no use."""
    assert "TransactWriteItems" in _tables_of(Loader().load_service_model("dynamodb", "service-2"))
