"""A ledger that was put back to before an erasure: a rebuild repeats it, and brings nobody back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from tests.erasure.shop import CUSTOMER, ITEMS, ORDERS, OTHER
from tests.erasure.stepping import Killed, Steps
from tests.erasure.test_crash_points import CONTRACT, WRITING, World, prepared
from tests.support.shops import ALL_TABLES
from worker.errors import ConfigError, SourceError
from worker.maintenance.erasure.erase import erase
from worker.maintenance.erasure.journal import keep_copies
from worker.maintenance.erasure.purge import purge
from worker.maintenance.erasure.request import Request
from worker.maintenance.rebuild import Rebuilt, rebuild
from worker.maintenance.upkeep import keep_up
from worker.objects.memory import MemoryStore
from worker.state.contract_in_force import contract_of
from worker.state.erasures import read_erasures
from worker.state.memory import MemoryState
from worker.state.records import ErasureMode
from worker.state.secret import secret_of
from worker.transform.task import TransformTask

Scene = tuple[World, Any]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with prepared() as opened:
        yield opened


async def rebuild_world(world: World, steps: Steps | None = None) -> Rebuilt:
    steps = steps or Steps()
    state: Any = world.stepped_state(steps)
    task = TransformTask(
        contract=CONTRACT, workspace=world.workspace(steps), state=state, tables=ALL_TABLES
    )
    return await rebuild(task)


async def erase_one(world: World, customer: str, mode: ErasureMode = "delete") -> None:
    request = Request(
        ledger=world.state,
        workspace=world.workspace(Steps()),
        in_force=await contract_of(world.state, await world.state.adoption(), CONTRACT),
        customer=customer,
        mode=mode,
        secret=await secret_of(world.state),
    )
    await erase(request)
    await purge(request.workspace, world.state)
    await world.transform(Steps())


async def upload(world: World, executor: Any, name: str, text: str) -> None:
    async with world.raw.create(name) as writer:
        await writer.write(text.encode())
    await world.validate_all(executor)


@pytest.mark.parametrize("mode", ["pseudonymise", "delete"])
async def test_a_rebuild_repeats_an_erasure(scene: Scene, mode: ErasureMode) -> None:
    world, executor = scene
    before = deepcopy(world.state)
    await erase_one(world, CUSTOMER, mode)
    kpis, erased = await world.kpis(), (await world.state.erasures())[0]
    world.state = before
    done = await rebuild_world(world)
    assert done.erasures == 1
    assert await world.kpis() == kpis
    (again,) = await world.state.erasures()
    assert replace(again, sequence=0) == replace(erased, sequence=0)
    await world.check()
    # The files that the ledger does not know any more, and new ones, bring nobody back.
    await upload(world, executor, "orders/c.csv", ORDERS + f"9,{CUSTOMER},shipped,2025-03-01,\n")
    await world.transform(Steps())
    assert await world.objects_with_customer() == []
    await world.check()
    assert (await rebuild_world(world)).erasures == 0


async def test_a_killed_repetition_goes_on(scene: Scene) -> None:
    world, _ = scene
    before = deepcopy(world.state)
    await erase_one(world, CUSTOMER)
    kpis, world.state = await world.kpis(), before
    done, steps = deepcopy(world), Steps()
    await rebuild_world(done, steps)
    last = max(at for at, name in enumerate(steps.made) if name in ("stage", "erase", "delete"))
    points = [at for at, name in enumerate(steps.made[: last + 1]) if name in WRITING]
    assert {steps.made[at] for at in points} >= {"stage", "erase", "delete", "create"}
    for kill_at in points:
        killed = deepcopy(world)
        with pytest.raises(Killed):
            await rebuild_world(killed, Steps(kill_at))
        await rebuild_world(killed)
        assert await killed.kpis() == kpis, f"{kill_at}: {steps.made[kill_at]}"
        assert await killed.objects_with_customer() == []


@pytest.mark.parametrize("known", [0, 1])
async def test_several_erasures_are_repeated_in_their_order(scene: Scene, known: int) -> None:
    world, executor = scene
    # Only a later erasure rewrites this one, whose first object is gone by then.
    only = f"11,{OTHER},shipped,2025-03-02T10:00:00,\n"
    await upload(world, executor, "orders/only.csv", ORDERS + only)
    await world.transform(Steps())
    states = [deepcopy(world.state)]
    for customer, mode in ((CUSTOMER, "delete"), (OTHER, "pseudonymise"), ("1", "delete")):
        await erase_one(world, customer, "delete" if mode == "delete" else "pseudonymise")
        states.append(deepcopy(world.state))
    kpis = await world.kpis()
    world.state = states[known]
    assert (await rebuild_world(world)).erasures == 3 - known
    assert await world.kpis() == kpis
    assert await world.objects_with_customer() == []
    await world.check()


async def test_uploads_since_are_looked_through(scene: Scene) -> None:
    """Of a ledger that went on before anybody noticed."""
    world, executor = scene
    before = deepcopy(world.state)
    await erase_one(world, CUSTOMER)
    world.state = before
    text = ORDERS + f"9,{CUSTOMER},shipped,2025-03-01T10:00:00,\n10,7,shipped,2025-03-01,\n"
    await upload(world, executor, "orders/c.csv", text)
    items = ITEMS + f"9,9,{CUSTOMER},5,,2025-03-01T10:00:00,5.00\n"
    await upload(world, executor, "order_items/c.csv", items)
    assert await world.objects_with_customer() != []
    await rebuild_world(world)
    assert await world.objects_with_customer() == []
    await world.check()


async def test_erased_rows_that_a_workspace_brings_back_are_deleted(scene: Scene) -> None:
    world, _ = scene
    before = dict(world.clean._objects)
    await erase_one(world, CUSTOMER)
    kpis = await world.kpis()
    world.clean._objects.update(before)
    assert await world.objects_with_customer() != []
    await rebuild_world(world)
    assert await world.objects_with_customer() == []
    assert await world.kpis() == kpis


async def test_a_ledger_with_another_secret_is_refused(scene: Scene) -> None:
    world, executor = scene
    await erase_one(world, CUSTOMER)
    world.state = MemoryState()
    await world.validate_all(executor)
    await secret_of(world.state)
    objects = set(world.clean._objects)
    with pytest.raises(ConfigError, match="has another secret"):
        await rebuild_world(world)
    assert set(world.clean._objects) == objects


async def test_a_damaged_copy_is_told(scene: Scene) -> None:
    world, _ = scene
    before = deepcopy(world.state)
    await erase_one(world, CUSTOMER)
    world.state = before
    (key,) = [key for key in world.clean._objects if key.startswith("index/erasure-")]
    async with world.clean.create(key) as writer:
        await writer.write(b"{}")
    with pytest.raises(SourceError, match="a copy of an erasure cannot be read"):
        await rebuild_world(world)


async def test_maintenance_copies_erasures_of_releases_before(scene: Scene) -> None:
    world, _ = scene
    await erase_one(world, CUSTOMER)
    copies = [key for key in world.clean._objects if key.startswith("index/erasure-")]
    (copy,) = [world.clean._objects.pop(key)[1] for key in copies]
    await keep_up(CONTRACT, world.workspace(Steps()), world.state)
    assert [world.clean._objects[key][1] for key in copies] == [copy]


async def test_a_copy_is_kept_once(scene: Scene) -> None:
    world, _ = scene
    await erase_one(world, CUSTOMER, "pseudonymise")
    await erase_one(world, OTHER, "pseudonymise")
    written: list[str] = []

    class Watching(MemoryStore):
        def _put(self, key: str, data: bytes) -> None:
            written.append(key)
            super()._put(key, data)

    world.clean.__class__ = Watching
    erasures = await read_erasures(world.state)
    world.clean._objects = {
        key: one for key, one in world.clean._objects.items() if "erasure-" in key
    }
    await keep_copies(world.workspace(Steps()), world.state, erasures)
    assert written == []  # those of both are there, with the same bytes
