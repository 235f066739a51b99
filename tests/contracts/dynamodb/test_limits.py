"""Limits of items and keys, and missing tables, as errors in words."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.contracts.dynamodb.workers import DAY, QUICK
from tests.contracts.states import stored
from tests.support.emulators import Emulator, unique_name
from tests.support.samples import day_kpis, entry, with_as_of
from worker.errors import ConfigError, StoreError
from worker.state.dynamodb.store import DynamoDBState
from worker.state.entry import Interval, Part


async def test_a_ledger_of_more_than_one_page(state: DynamoDBState) -> None:
    # A Query answers with at most 1 MB; an entry of up to 16 KiB is stored as it is.
    entries = [entry(f"source-{number:03d}", parts=60) for number in range(100)]
    assert sum(len(one.to_json()) for one in entries if len(one.to_json()) < 16 * 1024) > 1 << 20
    committed = [await state.commit(one) for one in entries]

    assert await state.entries() == committed


async def test_an_entry_too_large_for_an_item_is_an_error(state: DynamoDBState) -> None:
    draw = random.Random(1)
    parts = tuple(
        Part(
            key=draw.randbytes(32).hex(),
            rows=1,
            size_bytes=1,
            ranges={
                "order_id": Interval(low=draw.randbytes(16).hex(), high=draw.randbytes(16).hex())
            },
        )
        for _ in range(8000)
    )
    large = replace(entry("a"), parts=parts)

    with pytest.raises(StoreError, match=r"the entry of s3://shop/orders/a\.csv has \d+ bytes"):
        await state.commit(large)
    assert await state.head() == 0


@pytest.mark.parametrize("category", ["", "é" * 513])
async def test_a_category_too_long_for_a_key_leaves_the_day(
    state: DynamoDBState, category: str
) -> None:
    await state.publish(day_kpis(DAY), 1)

    with pytest.raises(StoreError, match="category_kpis of 2024-05-01: category has"):
        await state.publish(day_kpis(DAY, categories=[category]), 2)

    assert await stored(state) == with_as_of(day_kpis(DAY), 1)


@pytest.mark.usefixtures("aws")
async def test_missing_tables_are_an_error_with_a_hint() -> None:
    async with await DynamoDBState.open("nowhere", retry=QUICK) as state:
        with pytest.raises(StoreError, match=r"dynamodb://nowhere: .*`shopkpi tables create`"):
            await state.head()
        with pytest.raises(StoreError, match="`shopkpi tables create`"):
            await state.commit(entry("a"))


@pytest.mark.usefixtures("aws")
async def test_missing_tables_are_created() -> None:
    prefix = unique_name("state")
    async with await DynamoDBState.open(prefix) as state:
        assert await state.create_tables() == [
            f"{prefix}-{name}"
            for name in ("ledger", "order_kpis_v2", "category_kpis_v2", "product_kpis_v2")
        ]
        await state.database.client.delete_table(TableName=f"{prefix}-category_kpis_v2")
        assert await state.create_tables() == [f"{prefix}-category_kpis_v2"]


async def test_one_group_of_a_table_without_groups_is_wrong_use(state: DynamoDBState) -> None:
    with pytest.raises(ValueError, match="order_kpis has one row a day"):
        _ = [row async for row in state.rows("order_kpis", group="Jeans")]


async def test_missing_credentials_are_wrong_configuration(
    moto: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto.use(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with await DynamoDBState.open("shop") as state:
        with pytest.raises(ConfigError, match=r"dynamodb://shop: .*AWS is not set up"):
            await state.head()


async def test_a_missing_region_is_wrong_configuration(
    moto: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto.use(monkeypatch)
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigError, match=r"dynamodb://shop: AWS is not set up: .*region"):
        await DynamoDBState.open("shop")
