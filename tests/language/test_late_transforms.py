"""A transform that slept publishes no state that the ledger has left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from kpi.contract.loading import parse_contract
from tests.language.contracts import HEAD
from tests.language.uploads import CONTRACT, Shop
from tests.support.shops import Pipeline
from worker.state import DayKpis, Outcome
from worker.state.records import Decision
from worker.state.sqlite.store import SqliteState

LOOKED_UP = (
    HEAD
    + """
[[files]]
match = "sales*.csv"
feeds = ["orders"]
[[files]]
match = "times*.csv"
feeds = ["times"]
[references.times]
key = "Order"
[orders.columns]
order_id = "Order"
created_at = { from = "Order", via = "times.At" }
"""
)
MON, TUE = "2025-03-01", "2025-03-02"


class Sleepy(SqliteState):
    """Lets every publication wait until it is woken."""

    asleep: asyncio.Event
    woken: asyncio.Event

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        self.asleep.set()
        await self.woken.wait()
        return await super().publish(day, as_of)


async def _sleeper(pipeline: Pipeline, home: Path) -> tuple[asyncio.Task[object], Sleepy]:
    """Start a transform that sleeps before its first publication, with a connection of its own."""
    ours, state = pipeline.state, await Sleepy.open(home / "shopkpi.db")
    assert isinstance(state, Sleepy)
    state.asleep, state.woken = asyncio.Event(), asyncio.Event()
    pipeline.state = state
    task: asyncio.Task[object] = asyncio.create_task(pipeline.transform())
    await state.asleep.wait()
    pipeline.state = ours
    return task, state


async def _wake(task: asyncio.Task[object], state: Sleepy) -> None:
    state.woken.set()
    await task
    await state.close()


@pytest.mark.parametrize("ends", [("retraction",), ("retraction", "restoration", "retraction")])
async def test_a_day_of_a_retracted_upload_alone_stays_empty(
    tmp_path: Path, ends: Iterable[Decision]
) -> None:
    async with Pipeline(tmp_path, parse_contract(CONTRACT, source="test")) as pipeline:
        shop = Shop(pipeline, tmp_path / "in")
        await shop.put("sales1.csv", f"1,1,{MON},A,1,5")
        await pipeline.transform()
        wrong = await shop.put("sales2.csv", f"2,2,{TUE},A,1,5")
        sleeper = await _sleeper(pipeline, tmp_path)
        for kind in ends:
            await shop.rule(wrong, kind)
        await pipeline.transform()
        await _wake(*sleeper)
        assert await shop.days() == [MON]


async def test_a_day_that_an_order_has_left_stays_empty(tmp_path: Path) -> None:
    async with Pipeline(tmp_path, parse_contract(CONTRACT, source="test")) as pipeline:
        shop = Shop(pipeline, tmp_path / "in")
        await shop.put("sales1.csv", f"1,1,{MON},A,1,5")
        sleeper = await _sleeper(pipeline, tmp_path)
        await shop.put("sales2.csv", f"1,1,{TUE},A,1,5")
        await pipeline.transform()
        await _wake(*sleeper)
        assert await shop.days() == [TUE]


async def test_a_looked_up_day_that_an_order_has_left_stays_empty(tmp_path: Path) -> None:
    async with Pipeline(tmp_path, parse_contract(LOOKED_UP, source="test")) as pipeline:
        shop = Shop(pipeline, tmp_path / "in")
        await shop.put("sales1.csv", "1", header="Order")
        await shop.put("times1.csv", f"1,{MON}", header="Order,At")
        sleeper = await _sleeper(pipeline, tmp_path)
        await shop.put("times2.csv", f"1,{TUE}", header="Order,At")
        await pipeline.transform()
        await _wake(*sleeper)
        assert await shop.days() == [TUE]
