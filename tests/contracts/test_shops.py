"""Two shops in one store: each sees what it would see alone, whatever the other does."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.conftest import emulator
from tests.contracts.states import rows
from tests.support.emulators import unique_name
from tests.support.samples import adoption, day_kpis, entry, erasure, ruling
from worker.state import Effect, Progress, State
from worker.state.dynamodb.store import DynamoDBState
from worker.state.memory import MemoryState
from worker.state.sqlite.store import SqliteState

SHOPS = ("default", "berlin", "berlin-2")
"""One whose keys have no lead, and two of whose names one begins with the other."""

TABLES = ("order_kpis", "category_kpis")
SOURCES = ("a", "b", "c")
DAYS = [date(2024, 5, number) for number in range(1, 4)]
NAMES = ["Jeans", "Swim", "berlin#Swim", "x" * 1024]
STEPS = 60


@pytest.fixture(params=["sqlite", "dynamodb-ministack"])
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, State]]:
    kind, _, server = str(request.param).partition("-")
    states: dict[str, State] = {}
    if kind == "sqlite":
        for shop in SHOPS:
            states[shop] = await SqliteState.open(tmp_path / "state.db", shop=shop)
    else:
        emulator(request, server).use(monkeypatch)
        prefix = unique_name("shops")
        for shop in SHOPS:
            states[shop] = await DynamoDBState.open(prefix, shop=shop)
        await states["default"].create_tables()
    try:
        yield states
    finally:
        for state in states.values():
            await state.close()


def make_step(choices: random.Random) -> Callable[[State], Awaitable[object]]:
    """Choose what a shop does; the same call is made to its twin."""
    source, as_of = choices.choice(SOURCES), choices.randint(1, 6)
    day = day_kpis(
        choices.choice(DAYS),
        Decimal(choices.randint(1, 3)),
        categories=choices.sample(NAMES, choices.randint(0, len(NAMES))),
    )
    progress = Progress(
        published=dict.fromkeys(TABLES, as_of), waiting={source: as_of}, waiting_as_of=as_of
    )
    key = choices.randbytes(4)
    steps: list[Callable[[State], Awaitable[object]]] = [
        lambda state: state.commit(entry(source), adoption=adoption()),
        lambda state: state.stage(replace(entry(source), staged=True)),
        lambda state: state.rule(ruling(source, ruling_id=str(as_of))),
        lambda state: state.publish(day, as_of),
        lambda state: state.publish(day, as_of),
        lambda state: state.publish(day, as_of),
        lambda state: state.record_effects({source: Effect(as_of=as_of)}),
        lambda state: state.advance(progress),
        lambda state: state.erasure_key(key),
    ]
    return choices.choice(steps)


async def seen(state: State) -> dict[str, Any]:
    """Everything that a shop can read."""
    return {
        "head": await state.head(),
        "records": await state.records(),
        "adoption": await state.adoption(),
        "rulings": await state.rulings(),
        "erasures": await state.erasures(),
        "key": await state.erasure_key(),
        "sources": [await state.find(source) for source in SOURCES],
        "staged": [await state.find_staged(source, "c0ffee") for source in SOURCES],
        "effects": await state.effects(SOURCES),
        "progress": await state.progress(),
        "days": await state.days(),
        "rows": [await rows(state, table) for table in TABLES],
        "groups": [await rows(state, "category_kpis", group=name) for name in NAMES],
    }


@pytest.mark.parametrize("seed", range(3))
async def test_each_shop_sees_what_it_would_see_alone(opened: dict[str, State], seed: int) -> None:
    choices = random.Random(seed)
    twins: dict[str, State] = {shop: MemoryState() for shop in SHOPS}
    for _ in range(STEPS):
        shop = choices.choice(SHOPS)
        step = make_step(choices)
        assert await step(opened[shop]) == await step(twins[shop])
    for shop in SHOPS:
        found, alone = await seen(opened[shop]), await seen(twins[shop])
        # A store of several transactions knows less of the tables that a writer left alone.
        assert found.pop("days").keys() == alone.pop("days").keys()
        assert found == alone, shop


async def test_an_erasure_concerns_one_shop(opened: dict[str, State]) -> None:
    for shop in ("default", "berlin"):
        await opened[shop].commit(entry("a"))
    await opened["berlin"].erase(erasure(), head=1)
    assert await opened["default"].erasures() == []
    # An entry that knows of no erasure is committed where there is none.
    committed = await opened["default"].commit(entry("b"))
    assert committed.sequence == 2
