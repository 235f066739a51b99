"""What histories ask of ledger and KPI tables is answered alike by every store."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.simulation.generation import make_history
from tests.simulation.history import History
from tests.simulation.replay import Asked, operations_of, replay
from tests.simulation.test_mutants import DURING_AN_ADOPTION, SCHEDULES
from tests.support.emulators import Emulator, ministack, unique_name
from worker.errors import HeadMoved
from worker.state.dynamodb.store import DynamoDBState
from worker.state.sqlite.store import SqliteState

__all__ = ["ministack"]

SHARE = int(os.environ.get("SHOPKPI_HISTORIES", "2000")) // 2_000 or 1
"""How many times as many as in CI."""

SQLITE_HISTORIES = 5 * SHARE
DYNAMODB_HISTORIES = SHARE


def interesting(first: int, count: int) -> list[list[Asked]]:
    """The operations of histories that rule on uploads or adopt contracts.

    In the first of them an upload comes between the list of an adoption and its record.
    """
    during = (
        operations_of(History(steps=DURING_AN_ADOPTION, schedule=schedule, calm=0.9))
        for schedule in range(SCHEDULES)
    )
    found = [next(asked for asked in during if any(one.result is HeadMoved for one in asked))]
    seed = first
    while len(found) <= count:
        asked = operations_of(make_history(seed))
        if {"rule", "adopt"} & {one.operation for one in asked}:
            found.append(asked)
        seed += 1
    return found


def test_sqlite_answers_as_memory_does(tmp_path: Path) -> None:
    async def work(asked: list[Asked], path: Path) -> None:
        state = await SqliteState.open(path)
        try:
            await replay(asked, state)
        finally:
            await state.close()

    seen: set[str] = set()
    for number, asked in enumerate(interesting(0, SQLITE_HISTORIES)):
        asyncio.run(work(asked, tmp_path / f"{number}.db"))
        seen |= {one.operation for one in asked}
    assert seen >= {"stage", "adopt", "rule", "publish", "advance", "sightings"}


def test_dynamodb_answers_as_memory_does(
    ministack: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministack.use(monkeypatch)

    async def work(asked: list[Asked]) -> None:
        state = await DynamoDBState.open(unique_name("state"))
        try:
            await state.create_tables()
            await replay(asked, state)
        finally:
            await state.close()

    for asked in interesting(1, DYNAMODB_HISTORIES):
        asyncio.run(work(asked))
