"""The progress record of DynamoDB: an item for each source with waiting items."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contracts.dynamodb.workers import ONCE, another
from tests.support.emulators import Emulator
from tests.support.faults import Fault
from worker.errors import WorkerError
from worker.state import Progress
from worker.state.dynamodb import progress as dynamodb_progress
from worker.state.dynamodb.store import DynamoDBState


async def items_of(state: DynamoDBState, kind: str) -> list[dict[str, Any]]:
    return [dict(item) async for item in state.database.query("test", "ledger", ("kind", kind))]


def waiting(count: int, items: int = 1) -> dict[str, int]:
    return {f"{number:016x}": items for number in range(count)}


async def test_each_source_with_waiting_items_has_an_item(state: DynamoDBState) -> None:
    await state.advance(Progress(waiting=waiting(250), waiting_as_of=1))
    assert len(await items_of(state, "kpi_waiting")) == 250
    (record,) = await items_of(state, "kpi_progress")
    assert len(record["progress"]["S"]) < 100

    # What waits no longer has none, and only differences are written.
    (before,) = await items_of(state, "kpi_progress")
    await state.advance(Progress(waiting={**waiting(249), "f" * 16: 2}, waiting_as_of=2))
    (after,) = await items_of(state, "kpi_progress")
    assert int(after["version"]["N"]) == int(before["version"]["N"]) + 1
    assert (await state.progress()).waiting == {**waiting(249), "f" * 16: 2}


@pytest.mark.slow
async def test_more_sources_may_wait_than_one_item_holds(state: DynamoDBState) -> None:
    many = Progress(waiting=waiting(40_000), waiting_as_of=1)
    await state.advance(many)
    assert await state.progress() == many


async def test_a_writer_that_dies_leaves_the_record_behind(
    aws: Emulator, state: DynamoDBState
) -> None:
    first = Progress(published={"order_kpis": 1}, waiting=waiting(300), waiting_as_of=1)
    await state.advance(first)
    fewer = Progress(published={"order_kpis": 2}, waiting=waiting(20), waiting_as_of=2)
    async with another(aws, state, retry=ONCE) as (writer, proxy):
        proxy.faults = [Fault(marker=b"TransactWriteItems", skip=2, request_lost=True)]
        with pytest.raises(WorkerError):
            await writer.advance(fewer)
    found = await state.progress()
    assert (found.published, found.waiting_as_of) == ({"order_kpis": 1}, 1)
    assert waiting(20).keys() < found.waiting.keys() < waiting(300).keys()

    # A writer behind the dead one leaves the waiting items alone; its successor ends them.
    behind = Progress(published={"order_kpis": 1, "category_kpis": 1}, waiting=waiting(300))
    merged = await state.advance(behind)
    assert merged.published == behind.published
    assert (await state.progress()).waiting == found.waiting
    assert (await state.advance(fewer)).waiting == fewer.waiting
    assert (await state.progress()).waiting == fewer.waiting


async def test_racing_writers_leave_the_later_counts(
    aws: Emulator, state: DynamoDBState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_progress, "TRANSACTION_SOURCES", 10)
    async with another(aws, state) as (other, _):
        early = Progress(waiting=waiting(60, 2), waiting_as_of=1)
        late = Progress(waiting=waiting(40, 1), waiting_as_of=2)
        await asyncio.gather(state.advance(early), other.advance(late))
    assert await state.progress() == late
