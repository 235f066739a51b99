"""Days of several transactions, by writers that die, sleep and race."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from kpi.aggregation.tables import record_names
from tests.contracts.dynamodb.workers import DAY, ONCE, TRANSACTION, another, large_day
from tests.contracts.states import stored
from tests.support.emulators import Emulator
from tests.support.faults import Fault
from tests.support.samples import day_kpis, entry, with_as_of
from worker.errors import StoreError
from worker.runtime.retry import RetryPolicy
from worker.state import Entry, Outcome, Row
from worker.state.dynamodb import kpis
from worker.state.dynamodb.store import DynamoDBState


def state_of(row: Row) -> int:
    """Return the sequence of the state that a row is of: the revenue of the days published here."""
    return int(Decimal(row.get("total_revenue", row.get("daily_revenue"))))  # type: ignore[arg-type]


async def test_order_kpis_change_last(aws: Emulator, state: DynamoDBState) -> None:
    await state.publish(large_day(1), 1)
    seen: list[dict[str, list[Row]]] = []

    async def look() -> None:
        seen.append(await stored(state))

    async with another(aws, state) as (writer, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, action=look) for _ in range(3)]
        assert await writer.publish(large_day(2), 2) is Outcome.PUBLISHED

    changed = [sum(state_of(row) == 2 for row in rows["category_kpis"]) for rows in seen]
    assert changed == [0, 99, 198]
    assert {state_of(rows["order_kpis"][0]) for rows in seen} == {1}
    # Until it is ended, the day is told to be at the sequence that all rows have reached.
    assert {row["as_of"] for of_day in seen for rows in of_day.values() for row in rows} == {1}
    assert await stored(state) == with_as_of(large_day(2), 2)


async def test_a_day_that_a_dead_writer_began_is_contended(
    aws: Emulator, state: DynamoDBState
) -> None:
    await state.publish(large_day(1), 1)
    async with another(aws, state, retry=ONCE) as (dying, proxy):
        # Its first transaction deletes 99 rows, its second puts rows too.
        proxy.faults = [Fault(marker=TRANSACTION, skip=2, request_lost=True)]
        with pytest.raises(StoreError, match="publishing 2024-05-01"):
            await dying.publish(large_day(3, first=100), 3)
    half = await stored(state)
    assert {state_of(row) for row in half["category_kpis"]} == {1, 3}
    assert {row["as_of"] for row in half["category_kpis"]} == {1}

    assert await state.publish(large_day(2), 2) is Outcome.CONTENDED
    assert await state.publish(large_day(1), 1) is Outcome.CONTENDED
    assert await stored(state) == half

    assert await state.publish(large_day(4, first=50), 4) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(large_day(4, first=50), 4)


async def test_publishing_one_table_makes_no_other_whole(
    aws: Emulator, state: DynamoDBState
) -> None:
    await state.publish(large_day(1), 1)
    names = record_names(large_day(1).tables)
    assert await state.days() == {DAY: dict.fromkeys(names, 1)}
    async with another(aws, state, retry=ONCE) as (dying, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, skip=2, request_lost=True)]
        with pytest.raises(StoreError):
            await dying.publish(large_day(3, first=100), 3)
    assert await state.days() == {DAY: {}}
    orders = replace(large_day(3), tables={"order_kpis": large_day(3).tables["order_kpis"]})
    assert await state.publish(orders, 3) is Outcome.PUBLISHED
    assert await state.days() == {DAY: dict.fromkeys(record_names(["order_kpis"]), 3)}


async def test_a_dead_writer_is_completed_by_its_retry(aws: Emulator, state: DynamoDBState) -> None:
    await state.publish(large_day(1), 1)
    async with another(aws, state, retry=ONCE) as (dying, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, skip=1, request_lost=True)]
        with pytest.raises(StoreError):
            await dying.publish(large_day(2, first=100), 2)

    assert await state.publish(large_day(2, first=100), 2) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(large_day(2, first=100), 2)


async def test_a_writer_overtaken_between_its_transactions_gives_way(
    aws: Emulator, state: DynamoDBState
) -> None:
    newer = large_day(2, first=200)
    async with another(aws, state) as (slow, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, skip=1, action=lambda: state.publish(newer, 2))]
        assert await slow.publish(large_day(1), 1) is Outcome.SUPERSEDED

    assert await stored(state) == with_as_of(newer, 2)


async def test_a_later_writer_goes_on_over_an_earlier_one(
    aws: Emulator, state: DynamoDBState
) -> None:
    newer = large_day(2, first=100)
    async with another(aws, state) as (fast, proxy):
        proxy.faults = [
            Fault(marker=TRANSACTION, action=lambda: state.publish(large_day(1), 1)),
        ]
        assert await fast.publish(newer, 2) is Outcome.PUBLISHED

    assert await stored(state) == with_as_of(newer, 2)


async def test_a_transaction_delivered_late_does_nothing(
    aws: Emulator, state: DynamoDBState
) -> None:
    await state.publish(day_kpis(DAY, categories=["Jeans", "Swim"]), 1)
    without = day_kpis(DAY, Decimal("5.00"), categories=["Jeans"])
    async with another(aws, state) as (slow, proxy):
        # It has read the day, and sends its only transaction after the later state is there.
        proxy.faults = [Fault(marker=TRANSACTION, action=lambda: state.publish(without, 3))]
        stale = day_kpis(DAY, Decimal("4.00"), categories=["Jeans", "Swim"])
        assert await slow.publish(stale, 2) is Outcome.SUPERSEDED

    assert await stored(state) == with_as_of(without, 3)


@pytest.mark.parametrize("asked", [False, True], ids=["unasked", "asked"])
@pytest.mark.parametrize("categories", [["Vests"], []], ids=["rows", "no rows"])
async def test_rows_that_lost_their_guard_are_found(
    state: DynamoDBState, categories: list[str], *, asked: bool
) -> None:
    """The ledger table was emptied, the KPI tables were not."""
    await state.publish(day_kpis(DAY, categories=["Jeans", "Swim"]), 7)
    await state.database.client.delete_item(
        TableName=state.database.table("ledger"),
        Key={"kind": {"S": "kpi_guard"}, "id": {"S": DAY.isoformat()}},
    )
    if asked:
        assert await state.days() == {}
    day = day_kpis(DAY, categories=categories)
    if not categories:
        day = replace(day, tables={table: [] for table in day.tables})

    assert await state.publish(day, 1) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(day, 1)


@pytest.mark.parametrize("as_of", [1, 3])
async def test_a_day_begun_by_another_is_not_new(
    aws: Emulator, state: DynamoDBState, as_of: int
) -> None:
    between, mine = large_day(2), large_day(as_of, first=100)
    async with another(aws, state) as (writer, _):
        assert await writer.days() == {}
        assert await state.publish(between, 2) is Outcome.PUBLISHED
        outcome = await writer.publish(mine, as_of)

    assert outcome is (Outcome.PUBLISHED if as_of == 3 else Outcome.SUPERSEDED)
    assert await stored(state) == with_as_of(mine if as_of == 3 else between, max(as_of, 2))


@pytest.mark.parametrize("seed", range(8))
async def test_racing_and_dying_writers_never_take_a_day_back(
    aws: Emulator, state: DynamoDBState, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small transactions, so that a day of ten rows takes several.
    monkeypatch.setattr(kpis, "TRANSACTION_ROWS", 3)
    draw = random.Random(seed)
    days = {
        as_of: day_kpis(
            DAY, Decimal(as_of), categories=[f"{n}" for n in range(20) if draw.random() < 0.5]
        )
        for as_of in range(1, 6)
    }
    published: list[int] = []

    async def write(writer: DynamoDBState, as_of: int, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        try:
            outcome = await writer.publish(days[as_of], as_of)
        except StoreError:
            return  # it died
        if outcome is Outcome.PUBLISHED:
            published.append(as_of)

    async with AsyncExitStack() as stack:
        tasks: list[Awaitable[None]] = []
        for as_of in [1, 2, 2, 3, 3, 4, 4, 5]:
            dies = draw.random() < 0.4
            policy = ONCE if dies else RetryPolicy(attempts=50, first_wait_s=0.001, max_wait_s=0.02)
            writer, proxy = await stack.enter_async_context(another(aws, state, retry=policy))
            if draw.random() < 0.7:
                lost: dict[str, Any] = draw.choice([{"request_lost": True}, {"answer_bytes": 0}])
                proxy.faults = [Fault(marker=TRANSACTION, skip=draw.randrange(4), **lost)]
            tasks.append(write(writer, as_of, draw.random() * 0.05))
        looks = asyncio.create_task(watch(state))
        await asyncio.gather(*tasks)
        looks.cancel()
        seen = await asyncio.gather(looks, return_exceptions=True)
    assert isinstance(seen[0], asyncio.CancelledError), seen

    found = await stored(state)
    for table, rows in found.items():
        for row in rows:
            at = state_of(row)
            assert at >= int(str(row["as_of"])) >= max(published, default=0)
            assert {**row, "as_of": at} in with_as_of(days[at], at)[table]
    last = day_kpis(DAY, Decimal("9.00"), categories=["new", "1", "2"])
    assert await state.publish(last, 9) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(last, 9)


async def watch(state: DynamoDBState) -> None:
    """Check until cancelled that neither the day nor a category goes back."""
    latest: dict[str, int] = {}
    while True:
        for rows in (await stored(state)).values():
            for row in rows:
                name, as_of = str(row.get("category", "")), state_of(row)
                assert as_of >= latest.get(name, 0), f"{name} went back to {as_of}"
                latest[name] = as_of


@pytest.mark.parametrize("seed", range(4))
async def test_racing_and_dying_commits_leave_one_sequence(
    aws: Emulator, state: DynamoDBState, seed: int
) -> None:
    draw = random.Random(seed)
    names = [f"source-{number}" for number in range(5)]
    committed: list[Entry] = []

    async def commit(writer: DynamoDBState, name: str) -> None:
        try:
            committed.append(await writer.commit(entry(name)))
        except StoreError:
            return  # it died

    async with AsyncExitStack() as stack:
        tasks: list[Awaitable[None]] = []
        for name in [*names, *names]:
            policy = draw.choice([ONCE, RetryPolicy(attempts=50, first_wait_s=0.001)])
            writer, proxy = await stack.enter_async_context(another(aws, state, retry=policy))
            if draw.random() < 0.7:
                lost: dict[str, Any] = draw.choice([{"request_lost": True}, {"answer_bytes": 0}])
                proxy.faults = [Fault(marker=TRANSACTION, **lost)]
            tasks.append(commit(writer, name))
        await asyncio.gather(*tasks)

    entries = await state.entries()
    assert [one.sequence for one in entries] == list(range(1, await state.head() + 1))
    assert len({one.source_id for one in entries}) == len(entries)
    assert all(one in entries for one in committed)
