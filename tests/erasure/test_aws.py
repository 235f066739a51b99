"""A customer erased from S3 and DynamoDB, with raw files in a bucket that keeps old versions."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from aiobotocore.session import get_session

from tests.erasure.places import texts_of, whole_value
from tests.erasure.shop import CUSTOMER, FILES
from tests.support.commands import Shopkpi
from tests.support.emulators import Emulator, create_bucket, ministack, unique_name

__all__ = ["ministack"]


async def put(aws: Emulator, bucket: str, key: str, data: bytes) -> None:
    async with get_session().create_client("s3", endpoint_url=aws.endpoint_url) as client:
        await client.put_object(Bucket=bucket, Key=key, Body=io.BytesIO(data))


async def prepared(aws: Emulator) -> tuple[str, str]:
    """Create buckets that keep versions; the first one has the files of the shop."""
    raw, clean = [await create_bucket(aws, versioned=True) for _ in range(2)]
    for name, text in FILES.items():
        await put(aws, raw, name, text.encode())
    return raw, clean


async def objects(aws: Emulator, bucket: str) -> list[tuple[str, bytes]]:
    texts: list[tuple[str, bytes]] = []
    async with get_session().create_client("s3", endpoint_url=aws.endpoint_url) as client:
        page = await client.list_objects_v2(Bucket=bucket)
        for one in page.get("Contents", ()):
            found = await client.get_object(Bucket=bucket, Key=one["Key"])
            texts += texts_of(one["Key"], await found["Body"].read())
    return texts


async def items(aws: Emulator, prefix: str) -> list[tuple[str, bytes]]:
    texts: list[tuple[str, bytes]] = []
    async with get_session().create_client("dynamodb", endpoint_url=aws.endpoint_url) as client:
        for table in (await client.list_tables())["TableNames"]:
            if table.startswith(prefix):
                for item in (await client.scan(TableName=table))["Items"]:
                    for name, value in item.items():
                        data: Any = next(iter(value.values()))
                        plain = data if isinstance(data, bytes) else str(data).encode()
                        texts += texts_of(f"{table}.{name}", plain)
    return texts


def test_nothing_in_buckets_and_tables_has_the_id(
    ministack: Emulator, shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministack.use(monkeypatch)
    raw, clean = asyncio.run(prepared(ministack))
    prefix = unique_name("shop")
    stores = ("--workspace", f"s3://{clean}", "--state", f"dynamodb://{prefix}")
    assert shopkpi("tables", "create", *stores[2:]).code == 0
    assert shopkpi("run", f"s3://{raw}", *stores).code == 0

    async def find() -> list[str]:
        every = [one for bucket in (raw, clean) for one in await objects(ministack, bucket)]
        every += await items(ministack, prefix)
        return [name for name, data in every if whole_value(CUSTOMER).search(data)]

    def orders() -> list[str]:
        rows = shopkpi("query", "orders", "--format", "csv", "--state", stores[3]).out
        return [",".join(row.split(",")[:5]) for row in rows.splitlines()]

    before = orders()
    assert len(asyncio.run(find())) >= 5
    command = ("erase-customer", CUSTOMER, *stores, "--raw", f"s3://{raw}")
    done = shopkpi(*command, "--format", "json")
    (event,) = [one for one in done.events if one["event"] == "customer.erased"]
    assert len(event["raw_files"]) == 3
    assert len(event["old_versions"]) >= 7
    assert asyncio.run(find()) == []
    after = orders()
    assert after == before

    assert shopkpi("run", f"s3://{raw}", *stores).code == 0  # the rewritten files are no others
    assert orders() == after
    assert asyncio.run(find()) == []
    assert shopkpi("audit", *stores).code == 0
