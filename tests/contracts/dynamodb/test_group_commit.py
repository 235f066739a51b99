"""Commits at once share transactions, and each gets the verdict that it would get alone."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.dynamodb.workers import ONCE, TRANSACTION, another
from tests.support.emulators import Emulator
from tests.support.faults import Fault
from tests.support.samples import adoption, entry, erasure
from worker.errors import ContractChanged, CustomersErased, StoreError
from worker.state import Entry
from worker.state.dynamodb.store import DynamoDBState


def names(count: int, prefix: str = "source") -> list[str]:
    return [f"{prefix}-{number:04d}" for number in range(count)]


def count_requests(state: DynamoDBState, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each request of a state."""
    made: list[str] = []
    call = state.database.call

    async def counted(doing: str, send: Any) -> Any:
        made.append(doing)
        return await call(doing, send)

    monkeypatch.setattr(state.database, "call", counted)
    return made


async def test_a_thousand_commits_at_once_take_few_requests(
    state: DynamoDBState, monkeypatch: pytest.MonkeyPatch
) -> None:
    await state.commit(entry("first"), adoption=adoption())
    made = count_requests(state, monkeypatch)
    committed = await asyncio.gather(
        *(state.commit(entry(name), adoption=adoption()) for name in names(1000))
    )
    assert sorted(one.sequence for one in committed) == list(range(3, 1003))
    assert await state.head() == 1002
    assert len(made) <= 50  # a head and a transaction for each 49, and for the first alone
    assert await state.entries(after=2) == sorted(committed, key=lambda one: one.sequence)
    found = await state.pointers([one.source_id for one in committed])
    assert {one.source_id: one.sequence for one in committed} == {
        name: pointer.sequence for name, pointer in found.items()
    }


async def test_many_workers_at_once_all_commit(aws: Emulator, state: DynamoDBState) -> None:
    async with AsyncExitStack() as opened:
        workers = [(await opened.enter_async_context(another(aws, state)))[0] for _ in range(3)]
        committed = await asyncio.gather(
            *(
                worker.commit(entry(name), adoption=adoption())
                for number, worker in enumerate(workers)
                for name in names(10, f"worker-{number % 2}")  # each name by two of them
            )
        )
    assert {one.sequence for one in committed} == set(range(2, 22))
    assert [one.sequence for one in await state.records()] == list(range(1, 22))


async def test_each_of_a_group_gets_its_own_verdict(state: DynamoDBState) -> None:
    known = await state.commit(entry("known"), adoption=adoption())
    refused = await state.commit(replace(entry("refused"), verdict="refused", reason="no header"))
    results = await asyncio.gather(
        state.commit(entry("a"), adoption=adoption()),
        state.commit(replace(entry("known"), seconds=9.0), adoption=adoption()),
        state.commit(replace(entry("b"), contract="other"), adoption=adoption("other")),
        state.commit(replace(entry("c"), erased=7), adoption=adoption()),
        state.commit(entry("a"), adoption=adoption()),
        state.commit(entry("refused"), adoption=adoption(), replaces=refused.sequence),
        state.commit(replace(entry("d"), verdict="refused", reason="no header")),
        state.commit(entry("e"), adoption=adoption()),
        return_exceptions=True,
    )
    first, known_again, other, erased, first_again, accepted, refused_too, last = results
    assert known_again == known
    assert first == first_again
    assert isinstance(other, ContractChanged)
    assert isinstance(erased, CustomersErased)
    new = [one for one in (first, accepted, refused_too, last) if isinstance(one, Entry)]
    assert sorted(one.sequence for one in new) == [4, 5, 6, 7]
    assert await state.entries(after=3) == sorted(new, key=lambda one: one.sequence)
    assert [await state.find(one.source_id) for one in new] == new
    assert await state.find("b") is None


async def test_an_erasure_divides_a_group(state: DynamoDBState) -> None:
    await state.commit(entry("a"), adoption=adoption())
    await state.erase(erasure(), head=2)
    results = await asyncio.gather(
        *(state.commit(entry(name), adoption=adoption()) for name in names(3)),
        *(state.commit(replace(entry(name), erased=3), adoption=adoption()) for name in "bc"),
        return_exceptions=True,
    )
    assert [type(one) for one in results] == [*[CustomersErased] * 3, Entry, Entry]
    assert await state.head() == 5


@pytest.mark.parametrize("answer_is_lost", [False, True])
async def test_a_group_whose_transaction_fails_is_not_lost(
    answer_is_lost: bool, aws: Emulator, state: DynamoDBState
) -> None:
    await state.commit(entry("first"), adoption=adoption())
    async with another(aws, state, retry=ONCE) as (worker, proxy):
        lost = Fault(marker=TRANSACTION, request_lost=True)
        proxy.faults = [Fault(marker=TRANSACTION, answer_bytes=0) if answer_is_lost else lost]
        results = await asyncio.gather(
            *(worker.commit(entry(name), adoption=adoption()) for name in names(5)),
            return_exceptions=True,
        )
    # Who had the transaction sent is told; the others look for themselves what became of theirs.
    assert isinstance(results[0], StoreError)
    done = [one for one in results[1:] if isinstance(one, Entry)]
    assert len(done) == 4
    assert await state.entries(after=2) == sorted(
        [*done, *([await state.find("source-0000")] if answer_is_lost else [])],
        key=lambda one: one.sequence if one else 0,
    )
    again = await state.commit(entry("source-0000"), adoption=adoption())
    assert len(await state.entries(after=2)) == 5
    assert await state.find("source-0000") == again
