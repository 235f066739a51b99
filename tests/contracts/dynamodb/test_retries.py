"""Lost requests and answers: what is retried is applied once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contracts.dynamodb.workers import TRANSACTION, another, large_day
from tests.contracts.states import stored
from tests.support.emulators import Emulator
from tests.support.faults import Fault
from tests.support.samples import entry, with_as_of
from worker.state import Outcome, Progress
from worker.state.dynamodb.client import CONDITION_FAILED
from worker.state.dynamodb.items import absent, put
from worker.state.dynamodb.store import DynamoDBState

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item, Write

LOST = pytest.mark.parametrize(
    "lost", [{"request_lost": True}, {"answer_bytes": 0}], ids=["request", "answer"]
)


@LOST
async def test_a_retried_commit_is_applied_once(
    aws: Emulator, state: DynamoDBState, lost: dict[str, Any]
) -> None:
    async with another(aws, state) as (writer, proxy):
        proxy.faults = [Fault(marker=TRANSACTION, **lost), Fault(marker=b"GetItem", **lost)]
        committed = await writer.commit(entry("a"))
        assert proxy.faults == []

    assert committed == entry("a").at(1)
    assert await state.entries() == [committed]


async def test_the_token_separates_lost_answer_and_failed_condition(
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
async def test_a_retried_publication_is_applied_once(
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
@pytest.mark.parametrize("waiting", [{}, {"a": 1}])
async def test_a_retried_advance_is_applied_once(
    aws: Emulator, state: DynamoDBState, lost: dict[str, Any], waiting: dict[str, int]
) -> None:
    record = Progress(published={"order_kpis": 3}, waiting=waiting, waiting_as_of=3)
    marker = TRANSACTION if waiting else b"PutItem"
    async with another(aws, state) as (writer, proxy):
        proxy.faults = [Fault(marker=marker, **lost)]
        assert await writer.advance(record) == record
        assert proxy.faults == []

    assert await state.progress() == record
