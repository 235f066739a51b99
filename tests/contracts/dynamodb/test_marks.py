"""DynamoDB tables that were put back to earlier items, each without the others, are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from tests.contracts.dynamodb.workers import QUICK
from tests.contracts.states import DAY, stored
from tests.support.samples import day_kpis, entry, with_as_of
from worker.errors import StateRestored
from worker.state import Progress
from worker.state.day_guard import Guard
from worker.state.dynamodb.guards import guard_write
from worker.state.dynamodb.store import DynamoDBState
from worker.state.same_ledger import check_tables, identify_ledger

LEDGER = "ledger"
KPIS = ("order_kpis_v2", "category_kpis_v2", "product_kpis_v2")
LOST_DAY = date(2031, 5, 5)
Items = dict[str, list[dict[str, Any]]]


async def items(state: DynamoDBState, tables: Sequence[str]) -> Items:
    return {
        name: [dict(item) async for item in state.database.scan("test", name)] for name in tables
    }


async def put_back(state: DynamoDBState, found: Items) -> None:
    """Make the items of some tables those of an earlier time, as a restored table has them."""
    client = state.database.client
    for name, present in (await items(state, [*found])).items():
        table = state.database.table(name)
        described = await client.describe_table(TableName=table)
        names = [one["AttributeName"] for one in described["Table"]["KeySchema"]]
        for item in present:
            await client.delete_item(TableName=table, Key={key: item[key] for key in names})
        for item in found[name]:
            await client.put_item(TableName=table, Item=item)


async def publish(state: DynamoDBState, source_id: str, day: date) -> int:
    """Commit an upload and publish a day of it."""
    committed = await state.commit(entry(source_id))
    await state.publish(day_kpis(day), committed.sequence)
    tables = dict.fromkeys(("order_kpis", "category_kpis"), committed.sequence)
    await state.advance(Progress(published=tables, waiting_as_of=committed.sequence))
    return committed.sequence


@pytest.fixture
async def earlier(state: DynamoDBState) -> Items:
    """Items of all tables before the last publication, that of `LOST_DAY`."""
    await publish(state, "a", DAY)
    before = await items(state, (LEDGER, *KPIS))
    await publish(state, "b", LOST_DAY)
    await check_tables(state)
    return before


async def reopened(state: DynamoDBState) -> DynamoDBState:
    return await DynamoDBState.open(state.database.prefix, retry=QUICK)


async def test_a_ledger_put_back_is_told_and_taken_as_it_is(
    state: DynamoDBState, earlier: Items
) -> None:
    await put_back(state, {LEDGER: earlier[LEDGER]})
    async with await reopened(state) as after:
        with pytest.raises(
            StateRestored, match=r"sequence 2, which the KPI table .*_kpis has seen"
        ):
            await check_tables(after)
        # Rows of the day that only the lost entry made: no guard leads to them.
        assert await after.delete_unguarded() == 2
        assert await after.delete_unguarded() == 0
        assert await stored(after) == with_as_of(day_kpis(DAY), 1)
        await after.mark_again(await identify_ledger(after, 1), 1)
        await check_tables(after)
        assert await publish(after, "c", LOST_DAY) == 2
        await check_tables(after)


async def test_a_ledger_put_back_that_went_on_is_told(state: DynamoDBState, earlier: Items) -> None:
    await put_back(state, {LEDGER: earlier[LEDGER]})
    await state.commit(entry("c"))
    with pytest.raises(StateRestored, match="and has gone on"):
        await check_tables(state)


@pytest.mark.parametrize("table", KPIS[:2])
async def test_a_kpi_table_put_back_is_told(
    state: DynamoDBState, earlier: Items, table: str
) -> None:
    await put_back(state, {table: earlier[table]})
    message = rf"{table.removesuffix('_v2')} was put back .*as of 2.*as of 1"
    with pytest.raises(StateRestored, match=message):
        await check_tables(state)


async def test_an_emptied_kpi_table_is_told(state: DynamoDBState, earlier: Items) -> None:
    assert earlier
    await put_back(state, {KPIS[0]: []})
    with pytest.raises(StateRestored, match=r"order_kpis was put back .*no mark"):
        await check_tables(state)


async def test_a_lost_ledger_is_told(state: DynamoDBState, earlier: Items) -> None:
    assert earlier
    await put_back(state, {LEDGER: []})
    with pytest.raises(StateRestored, match="the ledger is lost"):
        await check_tables(state)


async def test_a_day_that_is_begun_keeps_its_rows(state: DynamoDBState, earlier: Items) -> None:
    await put_back(state, {LEDGER: earlier[LEDGER]})
    async with await reopened(state) as after:
        await after.mark_again(await identify_ledger(after, 1), 1)
        await publish(after, "c", LOST_DAY)
        assert await after.delete_unguarded() == 0


async def test_a_day_that_is_half_published_keeps_its_rows(
    state: DynamoDBState, earlier: Items
) -> None:
    await put_back(state, {LEDGER: earlier[LEDGER]})
    async with await reopened(state) as after:
        half = guard_write(after.database, LOST_DAY.isoformat(), Guard(), Guard(version=1, claim=2))
        assert not await after.database.transact("publishing the first of several parts", [half])
        assert await after.delete_unguarded() == 0


async def test_deleted_rows_change_the_guard_of_their_day(
    state: DynamoDBState, earlier: Items
) -> None:
    """A publication that read the rows before finds another guard, and reads them again."""
    await put_back(state, {LEDGER: earlier[LEDGER]})
    async with await reopened(state) as after:
        assert LOST_DAY not in await after.days()
        assert await after.delete_unguarded() == 2
        assert (await after.days())[LOST_DAY] == {}


async def test_a_publication_under_way_is_no_difference(state: DynamoDBState) -> None:
    await publish(state, "a", DAY)
    committed = await state.commit(entry("b"))
    await state.publish(day_kpis(LOST_DAY), committed.sequence)  # and dies here
    await check_tables(state)
    async with await reopened(state) as late:
        await late.publish(day_kpis(DAY), 1)  # one that slept marks nothing
    assert (await state.marks()).tables["order_kpis"].begun == committed.sequence
