"""What is particular to DynamoDB: days of several transactions, dying writers, lost answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.emulators import Emulator, unique_name
from tests.support.faults import Fault, FaultyProxy, faulty_proxy
from tests.support.samples import day_kpis, entry, with_as_of
from worker.errors import ConfigError, StoreError
from worker.retry import RetryPolicy
from worker.state import DayKpis, Entry, Outcome, Progress, Row
from worker.state import dynamodb_kpis as kpis
from worker.state.dynamodb import DynamoDBState
from worker.state.dynamodb_client import CONDITION_FAILED
from worker.state.dynamodb_items import absent, put
from worker.state.entry import Part, Range

if TYPE_CHECKING:
    from worker.state.dynamodb_items import Item, Write

DAY = date(2024, 5, 1)

QUICK = RetryPolicy(attempts=6, first_wait_s=0.001)
ONCE = RetryPolicy(attempts=1)
"""A writer that dies of its first trouble."""

TRANSACTION = b"TransactWriteItems"

LOST = pytest.mark.parametrize(
    "lost", [{"request_lost": True}, {"answer_bytes": 0}], ids=["request", "answer"]
)


@pytest.fixture
def aws(ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    ministack.use(monkeypatch)
    return ministack


@pytest.fixture
async def state(aws: Emulator) -> AsyncIterator[DynamoDBState]:
    opening = DynamoDBState.open(unique_name("state"), endpoint_url=aws.endpoint_url, retry=QUICK)
    async with await opening as opened:
        await opened.create_tables()
        yield opened


@asynccontextmanager
async def another(
    aws: Emulator, state: DynamoDBState, *, retry: RetryPolicy = QUICK
) -> AsyncIterator[tuple[DynamoDBState, FaultyProxy]]:
    """Another worker on the same tables, whose connections can be broken."""
    async with (
        faulty_proxy(aws.endpoint_url) as proxy,
        await DynamoDBState.open(
            state.database.prefix, endpoint_url=proxy.url, retry=retry
        ) as opened,
    ):
        yield opened, proxy


async def stored(state: DynamoDBState) -> dict[str, list[Row]]:
    return {
        table: [row async for row in state.rows(table)] for table in ("order_kpis", "category_kpis")
    }


def large_day(as_of: int, *, first: int = 0) -> DayKpis:
    """250 categories: three transactions, or more where the day has rows."""
    categories = [f"category {number:03d}" for number in range(first, first + 250)]
    return day_kpis(DAY, Decimal(as_of), categories=categories)


# Days of several transactions.


async def test_order_kpis_change_last(aws: Emulator, state: DynamoDBState) -> None:
    await state.publish(large_day(1), 1)
    seen: list[dict[str, list[Row]]] = []

    async def look() -> None:
        seen.append(await stored(state))

    async with another(aws, state) as (writer, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, action=look) for _ in range(3)]
        assert await writer.publish(large_day(2), 2) is Outcome.PUBLISHED

    changed = [sum(row["as_of"] == 2 for row in rows["category_kpis"]) for rows in seen]
    assert changed == [0, 99, 198]
    assert {rows["order_kpis"][0]["as_of"] for rows in seen} == {1}
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
    assert {row["as_of"] for row in half["category_kpis"]} == {1, 3}

    assert await state.publish(large_day(2), 2) is Outcome.CONTENDED
    assert await state.publish(large_day(1), 1) is Outcome.CONTENDED
    assert await stored(state) == half

    assert await state.publish(large_day(4, first=50), 4) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(large_day(4, first=50), 4)


async def test_who_publishes_one_table_does_not_make_another_whole(
    aws: Emulator, state: DynamoDBState
) -> None:
    await state.publish(large_day(1), 1)
    assert await state.days() == {DAY: dict.fromkeys(large_day(1).tables, 1)}
    async with another(aws, state, retry=ONCE) as (dying, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, skip=2, request_lost=True)]
        with pytest.raises(StoreError):
            await dying.publish(large_day(3, first=100), 3)
    assert await state.days() == {DAY: {}}
    orders = replace(large_day(3), tables={"order_kpis": large_day(3).tables["order_kpis"]})
    assert await state.publish(orders, 3) is Outcome.PUBLISHED
    assert await state.days() == {DAY: {"order_kpis": 3}}


async def test_a_dead_writer_is_succeeded_by_its_retry(aws: Emulator, state: DynamoDBState) -> None:
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


async def test_a_writer_that_overtakes_goes_on_over_an_earlier_one(
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
    """Somebody emptied the ledger table but not the KPI tables."""
    await state.publish(day_kpis(DAY, categories=["Jeans", "Swim"]), 7)
    await state.database.client.delete_item(
        TableName=state.database.table("ledger"),
        Key={"kind": {"S": "day"}, "id": {"S": DAY.isoformat()}},
    )
    if asked:
        assert await state.days() == {}
    day = day_kpis(DAY, categories=categories)
    if not categories:
        day = replace(day, tables={table: [] for table in day.tables})

    assert await state.publish(day, 1) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(day, 1)


@pytest.mark.parametrize("as_of", [1, 3])
async def test_a_day_that_another_begins_is_not_taken_for_new(
    aws: Emulator, state: DynamoDBState, as_of: int
) -> None:
    between, mine = large_day(2), large_day(as_of, first=100)
    async with another(aws, state) as (writer, _):
        assert await writer.days() == {}
        assert await state.publish(between, 2) is Outcome.PUBLISHED
        outcome = await writer.publish(mine, as_of)

    assert outcome is (Outcome.PUBLISHED if as_of == 3 else Outcome.SUPERSEDED)
    assert await stored(state) == with_as_of(mine if as_of == 3 else between, max(as_of, 2))


# Lost requests and answers.


@LOST
async def test_a_commit_tried_again_is_done_once(
    aws: Emulator, state: DynamoDBState, lost: dict[str, Any]
) -> None:
    async with another(aws, state) as (writer, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, **lost), Fault(marker=b"GetItem", **lost)]
        committed = await writer.commit(entry("a"))
        assert proxy.faults == []

    assert committed == entry("a").at(1)
    assert await state.entries() == [committed]


async def test_the_token_tells_a_lost_answer_from_a_failed_condition(
    aws: Emulator, state: DynamoDBState
) -> None:
    item: Item = {"kind": {"S": "test"}, "id": {"S": "test"}}
    write: Write = {"Put": put(state.database.table("ledger"), item, absent("kind"))}
    async with another(aws, state) as (writer, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, answer_bytes=0)]
        assert await writer.database.transact("testing", [write]) == []
        assert proxy.faults == []

    assert await state.database.transact("testing", [write]) == [CONDITION_FAILED]


@LOST
@pytest.mark.parametrize("transaction", [0, 1, 2])
async def test_a_publication_tried_again_is_done_once(
    aws: Emulator, state: DynamoDBState, lost: dict[str, Any], transaction: int
) -> None:
    async with another(aws, state) as (writer, proxy):
        proxy.faults = [
            Fault(marker=TRANSACTION, skip=transaction, **lost),
            Fault(marker=b"Query", **lost),
        ]
        assert await writer.publish(large_day(1), 1) is Outcome.PUBLISHED
        assert proxy.faults == []

    assert await stored(state) == with_as_of(large_day(1), 1)


@LOST
async def test_an_advance_tried_again_is_done_once(
    aws: Emulator, state: DynamoDBState, lost: dict[str, Any]
) -> None:
    record = Progress(published={"order_kpis": 3}, waiting={"a": 1}, waiting_as_of=3)
    async with another(aws, state) as (writer, proxy):
        proxy.faults = [Fault(marker=b"PutItem", **lost)]
        assert await writer.advance(record) == record
        assert proxy.faults == []

    assert await state.progress() == record


# Everything at once.


@pytest.mark.parametrize("seed", range(8))
async def test_writers_that_race_and_die_never_take_a_day_back(
    aws: Emulator, state: DynamoDBState, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small transactions, so that a day of ten rows takes several.
    monkeypatch.setattr(kpis, "ROWS_AT_ONCE", 3)
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
                lost = draw.choice([{"request_lost": True}, {"answer_bytes": 0}])
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
            assert isinstance(row["as_of"], int)
            assert row["as_of"] >= max(published, default=0)
            assert row in with_as_of(days[row["as_of"]], row["as_of"])[table]
    last = day_kpis(DAY, Decimal("9.00"), categories=["new", "1", "2"])
    assert await state.publish(last, 9) is Outcome.PUBLISHED
    assert await stored(state) == with_as_of(last, 9)


async def watch(state: DynamoDBState) -> None:
    """Until cancelled, see that neither the day nor a category goes back."""
    latest: dict[str, int] = {}
    while True:
        for rows in (await stored(state)).values():
            for row in rows:
                name, as_of = str(row.get("category", "")), int(row["as_of"])
                assert as_of >= latest.get(name, 0), f"{name} went back to {as_of}"
                latest[name] = as_of


@pytest.mark.parametrize("seed", range(4))
async def test_commits_that_race_and_die_leave_one_sequence(
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
                lost = draw.choice([{"request_lost": True}, {"answer_bytes": 0}])
                proxy.faults = [Fault(marker=TRANSACTION, **lost)]
            tasks.append(commit(writer, name))
        await asyncio.gather(*tasks)

    entries = await state.entries()
    assert [one.sequence for one in entries] == list(range(1, await state.head() + 1))
    assert len({one.source_id for one in entries}) == len(entries)
    assert all(one in entries for one in committed)


# Limits and errors in words.


async def test_a_ledger_of_more_than_one_page(state: DynamoDBState) -> None:
    # A Query answers with at most 1 MB; an entry of up to 16 KiB is stored as it is.
    entries = [entry(f"source-{number:03d}", parts=60) for number in range(100)]
    assert sum(len(one.to_json()) for one in entries if len(one.to_json()) < 16 * 1024) > 1 << 20
    committed = [await state.commit(one) for one in entries]

    assert await state.entries() == committed


async def test_an_entry_that_no_item_holds_is_refused_in_words(state: DynamoDBState) -> None:
    draw = random.Random(1)
    parts = tuple(
        Part(
            key=draw.randbytes(32).hex(),
            rows=1,
            size_bytes=1,
            ranges={"order_id": Range(low=draw.randbytes(16).hex(), high=draw.randbytes(16).hex())},
        )
        for _ in range(8000)
    )
    large = replace(entry("a"), parts=parts)

    with pytest.raises(StoreError, match=r"the entry of s3://shop/orders/a\.csv has \d+ bytes"):
        await state.commit(large)
    assert await state.head() == 0


@pytest.mark.parametrize("category", ["", "é" * 513])
async def test_a_category_that_no_key_holds_leaves_the_day(
    state: DynamoDBState, category: str
) -> None:
    await state.publish(day_kpis(DAY), 1)

    with pytest.raises(StoreError, match="category_kpis of 2024-05-01: category has"):
        await state.publish(day_kpis(DAY, categories=[category]), 2)

    assert await stored(state) == with_as_of(day_kpis(DAY), 1)


# Tables and settings that are missing.


@pytest.mark.usefixtures("aws")
async def test_missing_tables_are_told_with_their_cure() -> None:
    async with await DynamoDBState.open("nowhere", retry=QUICK) as state:
        with pytest.raises(StoreError, match=r"dynamodb://nowhere: .*`shopkpi tables create`"):
            await state.head()
        with pytest.raises(StoreError, match="`shopkpi tables create`"):
            await state.commit(entry("a"))


@pytest.mark.usefixtures("aws")
async def test_tables_that_are_missing_are_created() -> None:
    prefix = unique_name("state")
    async with await DynamoDBState.open(prefix) as state:
        assert await state.create_tables() == [
            f"{prefix}-{name}" for name in ("ledger", "order_kpis", "category_kpis", "product_kpis")
        ]
        await state.database.client.delete_table(TableName=f"{prefix}-category_kpis")
        assert await state.create_tables() == [f"{prefix}-category_kpis"]


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
