"""Maintenance over S3 and DynamoDB: ended before any write, faulted, after a table was put back.

Each end is met by the next run in the same workspace: `maintain` and `maintain --rebuild` are
killed before their first call that writes, then before their second one, and so on, until one comes
to its end. No KPI changes, and everything that a manifest names is there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.contracts.dynamodb.test_marks import KPIS, LEDGER, Items, items, put_back
from tests.recovery.calls import FAULTS, KILLED, Call, Calls
from tests.recovery.summary import tried
from tests.recovery.test_crash_points_aws import (
    CONTRACT,
    EVERY_POINT,
    World,
    begin,
    open_world,
    perform,
    validate_all_below,
)
from tests.support.emulators import Emulator, ministack
from tests.support.shops import ALL_TABLES
from worker.errors import StateRestored
from worker.index.levels import Levels
from worker.jobs import Session
from worker.maintenance import collection
from worker.maintenance.collection import Collector
from worker.maintenance.derived import compare_derived
from worker.maintenance.rebuild import Rebuilt, rebuild
from worker.maintenance.upkeep import Upkeep, keep_up
from worker.state.same_ledger import check_tables
from worker.transform import transform
from worker.transform.limits import TransformLimits
from worker.transform.task import TransformTask

__all__ = ["ministack"]

LIMITS = TransformLimits(
    unindexed_files=0, unpacked_files=1, tail_records=1_000, summed_orders=1, summed_at_once=1
)
"""Index, packs and sums are written by transforms, the checkpoint by `maintain`."""

EVERY = 1 if EVERY_POINT else 6
"""Of the writes one in so many is the last of a run."""

Rows = dict[str, list[dict[str, object]]]


def task_of(world: World, session: Session) -> TransformTask:
    return TransformTask(
        contract=world.contract,
        workspace=session.workspace,
        state=session.state,
        tables=ALL_TABLES,
        limits=LIMITS,
    )


async def transform_all(world: World, session: Session) -> None:
    task = task_of(world, session)
    await transform(
        contract=task.contract,
        workspace=task.workspace,
        state=task.state,
        tables=task.tables,
        limits=task.limits,
    )


async def maintain(world: World, session: Session) -> Upkeep:
    return await keep_up(world.contract, session.workspace, session.state)


async def rebuild_all(world: World, session: Session) -> Rebuilt:
    return await rebuild(task_of(world, session))


async def rows_of(session: Session) -> Rows:
    return {
        table: [
            {name: value for name, value in row.items() if name != "as_of"}
            async for row in session.state.rows(table)
        ]
        for table in sorted(ALL_TABLES)
    }


async def check(session: Session) -> None:
    """Check that what manifests name is there, and holds what it would if built from nothing."""
    named = await Collector(session.workspace, session.state)._named_by_manifests()
    found = {
        key.rpartition("/")[2]
        for zone in ("index", "packs")
        async for key in keys_below(session, zone)
    }
    assert named <= found
    assert await compare_derived(CONTRACT, session.workspace, session.state, LIMITS) == []


async def keys_below(session: Session, zone: str) -> Any:
    async for info in session.workspace.store.list(session.workspace.absolute(zone)):
        yield info.key


@dataclass
class LastWrite(Mapping[Call, str]):
    """Faults of a run that is killed before one of its calls that write."""

    number: int
    seen: int = 0

    def get(self, call: Call, default: Any = None) -> Any:
        self.seen += call.changing
        return KILLED if call.changing and self.seen > self.number else default

    def __getitem__(self, call: Call) -> str:
        raise KeyError(call)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass
class InTurn(LastWrite):
    """Faults of a run of whose calls that write every other one fails, in one way or another."""

    kinds: Any = field(default_factory=lambda: itertools.cycle(FAULTS[:3]))

    def get(self, call: Call, default: Any = None) -> Any:
        self.seen += call.changing
        return next(self.kinds) if call.changing and self.seen % 2 else default


@pytest.fixture
def aws(ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.setattr("worker.index.key_index.LEVELS", Levels(head=0, merged=0))
    monkeypatch.setattr("worker.index.compaction.LEVEL_FACTOR", 1_000)
    monkeypatch.setattr(collection, "MIN_AGE", timedelta(days=-1))  # all objects are old
    ministack.use(monkeypatch)
    return ministack


async def shop_with_index(world: World) -> Session:
    session = await begin(world)
    for prefix in ("first", "later"):
        await validate_all_below(world, session, prefix)
        await transform_all(world, session)
    return session


async def test_maintenance_killed_before_any_write_goes_on(
    aws: Emulator, record_property: Callable[[str, object], None]
) -> None:
    async with open_world(aws) as world:
        session = await shop_with_index(world)
        before = await rows_of(session)
        workspace = session.workspace
        unused = workspace.absolute(workspace.index(f"{'0' * 32}.run"))
        async with workspace.store.create(unused) as writer:
            await writer.write(b"unused")
        for step in (maintain, rebuild_all):
            kinds = set[str]()
            for number in itertools.count(0, EVERY):
                calls = Calls(faults=LastWrite(number))
                ended = await perform(world, session, [step], calls)
                kinds |= {call.name.split(" ")[0] for call in calls.made if call.changing}
                assert await rows_of(session) == before
                if ended is None:
                    break
            assert {"PUT", "DELETE"} <= kinds
            assert number >= EVERY
            await check(session)
            tried(record_property, "over S3 and DynamoDB", number // EVERY)
            assert await perform(world, session, [step], Calls(faults=InTurn(0))) is None
            assert await rows_of(session) == before
        await check(session)
        await check_tables(session.state)


async def test_what_was_put_back_is_told_and_rebuilt(aws: Emulator) -> None:
    """Ledger, KPI tables and index are put back to before the last upload, one after the other."""
    async with open_world(aws) as world:
        session = await begin(world)
        await validate_all_below(world, session, "first")
        await transform_all(world, session)
        state: Any = session.state
        earlier, earlier_rows = await items(state, (LEDGER, *KPIS)), await rows_of(session)
        earlier_index = await objects_below(session, "index")
        await validate_all_below(world, session, "later")
        await transform_all(world, session)
        later, later_rows = await items(state, (LEDGER, *KPIS)), await rows_of(session)
        later_index = await objects_below(session, "index")
        assert earlier_rows != later_rows
        scenes: list[tuple[Items, Rows]] = [
            ({LEDGER: earlier[LEDGER]}, earlier_rows),
            ({table: earlier[table] for table in KPIS}, later_rows),
        ]
        for found, expected in scenes:
            await put_back(state, found)
            with pytest.raises(StateRestored):
                await check_tables(state)
            await rebuild_all(world, session)
            assert await rows_of(session) == expected, [*found]
            await check_tables(state)
            if LEDGER in found:
                await check(session)
                await put_back(state, later)
                await put_objects(session, "index", later_index)
        # An index that was put back is behind the ledger: it is taken, and goes on.
        await put_objects(session, "index", earlier_index)
        await transform_all(world, session)
        assert await rows_of(session) == later_rows
        await check(session)


async def objects_below(session: Session, zone: str) -> dict[str, bytes]:
    store = session.workspace.store
    found = {}
    async for info in store.list(session.workspace.absolute(zone)):
        found[info.key] = await store.read(info, 0, info.size_bytes)
    return found


async def put_objects(session: Session, zone: str, found: dict[str, bytes]) -> None:
    """Make the objects of a zone those of an earlier time."""
    store = session.workspace.store
    async for key in keys_below(session, zone):
        if key not in found:
            await store.delete(key)
    for key, data in found.items():
        async with store.create(key) as writer:
            await writer.write(data)
