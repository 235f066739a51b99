"""An erasure that ends before any of its calls to a store, and is run again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from kpi.contract.loading import built_in
from tests.erasure.places import texts_of, whole_value
from tests.erasure.shop import CUSTOMER, FILES
from tests.erasure.stepping import Killed, Stepped, Steps
from tests.support.shops import ALL_TABLES
from worker.clean import Workspace
from worker.maintenance.audit import audit
from worker.maintenance.erasure.erase import erase
from worker.maintenance.erasure.purge import purge
from worker.maintenance.erasure.request import Request
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.state import Adoption
from worker.state.contract_in_force import contract_of
from worker.state.memory import MemoryState
from worker.state.records import ErasureMode
from worker.state.secret import secret_of
from worker.transform import transform
from worker.validate.context import ValidationContext
from worker.validate.validate_source import validate

CONTRACT = built_in()
ADOPTION = Adoption(
    digest=CONTRACT.digest,
    text=CONTRACT.text,
    tables=tuple(sorted(ALL_TABLES)),
    recorded_at=datetime(2025, 4, 1, tzinfo=UTC),
)


WRITING = {
    *("create", "delete", "stage", "erase", "erasure_key"),
    *("publish", "advance", "record_effects"),
}
"""Calls that change what is stored."""


@dataclass
class World:
    """Everything that outlives a process."""

    raw: MemoryStore = field(default_factory=lambda: MemoryStore("raw"))
    clean: MemoryStore = field(default_factory=lambda: MemoryStore("clean"))
    state: MemoryState = field(default_factory=MemoryState)

    def workspace(self, steps: Steps) -> Workspace:
        store: Any = Stepped(self.clean, steps)
        return Workspace(store=store, location=Location(bucket="clean", key=""))

    def stepped_state(self, steps: Steps) -> Any:
        return Stepped(self.state, steps)

    async def validate_all(self, executor: ThreadPoolExecutor) -> None:
        context = await ValidationContext(
            contract=CONTRACT,
            adoption=ADOPTION,
            workspace=self.workspace(Steps()),
            ledger=self.state,
            executor=executor,
        ).with_erasures()
        infos = [info async for info in self.raw.list("")]
        for info in infos:
            dataset = info.key.split("/")[0]
            await validate(Source(info=info, dataset=dataset, store=self.raw), context)

    async def erase(self, mode: ErasureMode, steps: Steps) -> None:
        state: Any = Stepped(self.state, steps)
        request = Request(
            ledger=state,
            workspace=self.workspace(steps),
            in_force=await contract_of(self.state, await self.state.adoption(), CONTRACT),
            customer=CUSTOMER,
            mode=mode,
            secret=await secret_of(state, dry_run=False),
        )
        await erase(request)
        await purge(request.workspace, state)
        await self.transform(steps)

    async def transform(self, steps: Steps) -> None:
        state: Any = Stepped(self.state, steps)
        workspace = self.workspace(steps)
        await transform(contract=CONTRACT, workspace=workspace, state=state, tables=ALL_TABLES)

    async def kpis(self) -> list[Any]:
        return [
            {name: value for name, value in row.items() if name != "as_of"}
            for table in sorted(ALL_TABLES)
            async for row in self.state.rows(table)
        ]

    async def check(self) -> None:
        found = await audit(contract=CONTRACT, workspace=self.workspace(Steps()), state=self.state)
        assert found.differences == ()
        assert found.behind == {}

    async def objects_with_customer(self) -> list[str]:
        objects = [
            text
            for info in [one async for one in self.clean.list("")]
            for text in texts_of(info.key, await self.clean.read(info, 0, info.size_bytes))
        ]
        records = [("ledger", one.to_json()) for one in await self.state.records()]
        found = whole_value(CUSTOMER)
        return [name for name, data in [*objects, *records] if found.search(data)]


@asynccontextmanager
async def prepared() -> AsyncIterator[tuple[World, ThreadPoolExecutor]]:
    world = World()
    for name, text in FILES.items():
        async with world.raw.create(name) as writer:
            await writer.write(text.encode())
    with ThreadPoolExecutor(1) as executor:
        await world.validate_all(executor)
        await world.transform(Steps())
        yield world, executor


async def test_a_killed_erasure_is_run_again() -> None:
    mode: ErasureMode = "delete"  # it does all that the other does, and publishes days
    async with prepared() as (start, executor):
        before = await start.kpis()
        done, steps = deepcopy(start), Steps()
        await done.erase(mode, steps)
        after = await done.kpis()
        assert after != before
        assert {"create", "stage", "erase", "delete", "erasure_key"} <= set(steps.made)
        assert "publish" in steps.made
        # Between two calls that only read, nothing has changed.
        points = [at for at, name in enumerate(steps.made) if name in WRITING]
        assert len(points) >= 12
        for kill_at in points:
            world = deepcopy(start)
            with pytest.raises(Killed):
                await world.erase(mode, Steps(kill_at))
            if steps.made[kill_at] not in steps.made[:kill_at]:
                await _check_between(world, before, after)
            await world.erase(mode, Steps())
            assert await world.kpis() == after, f"{kill_at}: {steps.made[kill_at]}"
            assert await world.objects_with_customer() == []
        await world.check()
        await world.validate_all(executor)
        assert await world.objects_with_customer() == []


async def _check_between(world: World, before: list[Any], after: list[Any]) -> None:
    """Check that whoever comes next finds one state or the other, whole."""
    found = await audit(contract=CONTRACT, workspace=world.workspace(Steps()), state=world.state)
    assert found.differences == ()
    await world.transform(Steps())
    assert await world.kpis() in (before, after)
    await world.check()
