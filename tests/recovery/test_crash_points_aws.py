"""Runs over S3 and DynamoDB in which every AWS call fails, or is the last.

Each *point* is one call of a run (see `calls`) and one thing that happens to it:

- The process is killed before it. Then the task that died, and those after it, are run again.
- It is throttled. Or it takes effect, and is answered with an error of the service or not at all.
  Or the connection is reset in the middle of an object's bytes. The run must end well by itself.

Then clean zone, rejects, ledger and KPI tables are those of an undisturbed run. A day may
take up to three transactions here, so that some of the runs end within its publication. All calls
are struck by each fault every time, every third one in the same run; a third of the kills is tried,
and those between calls that only read are one. Of a contract of language 2 a tenth of these kills
is tried, and every second call is struck by one of the faults in turn.
With SHOPKPI_EVERY_POINT=1 each point has a run of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from tests.recovery import shop
from tests.recovery.calls import FAULTS, KILLED, Call, Calls, Dead
from tests.recovery.inline import Inline
from tests.recovery.shop import LANGUAGE_1
from tests.recovery.shop_of_language_2 import LANGUAGE_2_OF_TEXTS
from tests.recovery.summary import tried
from tests.support.emulators import Emulator, create_bucket, unique_name
from tests.support.shops import ALL_TABLES
from worker.clean import Workspace
from worker.jobs import Session, validate_all
from worker.objects import s3_upload
from worker.objects.location import Location
from worker.objects.s3 import S3Store
from worker.reporting.reporters import SilentReporter
from worker.runtime.retry import RetryPolicy
from worker.settings import Settings
from worker.state.dynamodb import kpis
from worker.state.dynamodb.client import Database
from worker.state.dynamodb.store import DynamoDBState
from worker.transform import transform
from worker.validate.context import ValidationContext
from worker.validate.discovery import find_inputs
from worker.validate.range_planner import plan_ranges
from worker.validate.range_task import validate_range as validate_byte_range

EVERY_POINT = os.environ.get("SHOPKPI_EVERY_POINT") == "1"
STRIDE = 3
TRANSACTION_ROWS = 4
"""Rows of one transaction, instead of 99, so that days of this shop take up to three."""

# Without waiting for a time drawn by chance, so that the calls are the same in each run.
QUICK = RetryPolicy(draw=lambda: 0.0)
CONTRACT = built_in()


@dataclass(frozen=True, kw_only=True)
class World:
    """Stores that the tests of one fault share.

    Attributes:
        uploads: Bucket that users write.
        zone: Bucket of clean zones.
        database: Its client is used under other prefixes.
        contract: The shop's.
    """

    uploads: S3Store
    uploads_bucket: str
    zone: S3Store
    zone_bucket: str
    database: Database
    threads: Inline
    contract: Contract


Step = Callable[[World, Session], Awaitable[object]]


async def validate_all_below(world: World, session: Session, *prefixes: str) -> None:
    places = [
        (world.uploads, Location(bucket=world.uploads_bucket, key=prefix)) for prefix in prefixes
    ]
    inputs = await find_inputs(places, world.contract)
    (await validate_all(session, inputs, SilentReporter())).check()


async def transform_days(world: World, session: Session, *days: date | None) -> None:
    first, last = days or (None, None)
    await transform(
        contract=world.contract,
        workspace=session.workspace,
        state=session.state,
        tables=ALL_TABLES,
        first=first,
        last=last,
    )


async def validate_range(world: World, session: Session, part: int) -> None:
    place = Location(bucket=world.uploads_bucket, key="first/order_items/1.csv")
    (source,) = (await find_inputs([(world.uploads, place)], CONTRACT)).sources
    ranges = await plan_ranges(source, CONTRACT, source.info.size_bytes // 2)
    context = ValidationContext(
        contract=CONTRACT,
        workspace=session.workspace,
        ledger=session.state,
        executor=world.threads,
    )
    await validate_byte_range(source, ranges[part], context)


UPDATE_ARRIVES: Sequence[Step] = (
    lambda world, session: validate_all_below(world, session, "first"),
    transform_days,
    lambda world, session: validate_all_below(world, session, "later"),
    transform_days,
)
MANY_TASKS: Sequence[Step] = (
    lambda world, session: validate_range(world, session, 1),
    lambda world, session: validate_range(world, session, 0),
    lambda world, session: validate_all_below(
        world, session, "first/products", "first/orders", "later"
    ),
    lambda world, session: transform_days(world, session, None, date(2025, 3, 2)),
    transform_days,
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Steps over a shop.

    Attributes:
        steps: The steps.
        of: The shop.
        kills_apart: Of the kills one in so many is tried, unless every point is.
    """

    steps: Sequence[Step]
    of: shop.Shop = LANGUAGE_1
    kills_apart: int = 3


RUNS = {
    "update_arrives": Run(steps=UPDATE_ARRIVES),
    "many_tasks": Run(steps=MANY_TASKS),
    "language_2": Run(steps=UPDATE_ARRIVES, of=LANGUAGE_2_OF_TEXTS, kills_apart=30),
}


@asynccontextmanager
async def open_world(aws: Emulator, of: shop.Shop = LANGUAGE_1) -> AsyncIterator[World]:
    uploads, zone = await create_bucket(aws, versioned=True), await create_bucket(aws)
    asyncio.get_running_loop().set_default_executor(Inline(1))
    with Inline(1) as threads:
        async with (
            await S3Store.open(uploads, retry=QUICK) as uploads_store,
            await S3Store.open(zone, retry=QUICK) as zone_store,
            await DynamoDBState.open("none", retry=QUICK) as state,
        ):
            for prefix, files in {
                "first": of.first,
                "later": of.later,
            }.items():
                for key, data in files.items():
                    async with uploads_store.create(f"{prefix}/{key}") as writer:
                        await writer.write(data)
            yield World(
                uploads=uploads_store,
                uploads_bucket=uploads,
                zone=zone_store,
                zone_bucket=zone,
                database=state.database,
                threads=threads,
                contract=CONTRACT
                if of.contract is None
                else parse_contract(of.contract, source="shop"),
            )


async def begin(world: World, prefix: str | None = None, *, creates: bool = True) -> Session:
    """Return a new workspace and new tables; of a name, or with tables that are there already."""
    prefix = prefix or unique_name("zone")
    location = Location(bucket=world.zone_bucket, key=prefix)
    database = world.database
    state = DynamoDBState(
        # The connections are the world's, which closes them.
        Database(
            database.client,
            prefix,
            shop=database.shop,
            retry=database.retry,
            owned=database._owned,
        )
    )
    if creates:
        await state.create_tables()
    return Session(
        settings=Settings(
            workspace=location, state_url="", contract=world.contract, tables=ALL_TABLES
        ),
        workspace=Workspace(store=world.zone, location=location),
        state=state,
        executor=world.threads,
    )


async def perform(
    world: World, session: Session, steps: Sequence[Step], calls: Calls
) -> int | None:
    """Do the steps, and return the one that a kill ended."""
    with calls.in_the_way():
        for number, step in enumerate(steps):
            try:
                await step(world, session)
            except (Dead, BaseExceptionGroup) as end:
                if isinstance(end, BaseExceptionGroup) and end.split(Dead)[0] is None:
                    raise
                others = asyncio.all_tasks() - {asyncio.current_task()}
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
                return number
    return None


async def result(world: World, session: Session) -> dict[str, Any]:
    """Return what must not depend on faults: everything but the order of commits."""
    state, zone = session.state, session.workspace.location
    listed = await world.zone._bucket.client.list_objects_v2(
        Bucket=zone.bucket, Prefix=f"{zone.key}/"
    )
    objects: dict[str, object] = {}
    for item in listed["Contents"]:
        key = item["Key"]
        # The etag is an MD5 of the content; a piece of an object says how long it took.
        objects[key.removeprefix(zone.key)] = item["ETag"]
        if key.endswith(".json"):
            info = await world.zone.stat(key)
            fields = json.loads(await world.zone.read(info, 0, info.size_bytes))
            objects[key.removeprefix(zone.key)] = {**fields, "seconds": 0}
    entries = await state.entries()
    effects = await state.effects([entry.source_id for entry in entries])
    progress = await state.progress()
    return {
        "objects": objects,
        # Which one the contract's adoption has depends on the order of commits.
        "sequences": (len(entries), entries[-1].sequence),
        "ledger": sorted(
            (replace(entry, seconds=0, sequence=0) for entry in entries),
            key=lambda entry: entry.source_id,
        ),
        "effects": {
            one: (effect.superseded_rows, effect.waiting_items) for one, effect in effects.items()
        },
        "progress": progress,
        "days": sorted(await state.days()),
        **{
            table: [
                {name: value for name, value in row.items() if name != "as_of"}
                async for row in state.rows(table)
            ]
            for table in sorted(ALL_TABLES)
        },
    }


async def undisturbed(world: World, run: Run) -> tuple[list[Call], dict[str, Any]]:
    session, calls = await begin(world), Calls()
    assert await perform(world, session, run.steps, calls) is None
    expected = await result(world, session)
    assert len(expected["ledger"]) == len(run.of.first) + len(run.of.later)
    assert all(len(expected[table]) > 3 for table in ALL_TABLES)
    rows = Counter(row["order_date"] for table in ALL_TABLES for row in expected[table])
    assert max(rows.values()) > 2 * TRANSACTION_ROWS
    return calls.made, expected


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(kpis, "TRANSACTION_ROWS", TRANSACTION_ROWS)
    if request.param == "many_tasks":
        # So that small objects are uploaded in parts too; the emulator takes parts of any size.
        monkeypatch.setattr(s3_upload, "PART_BYTES", 2500)
    return RUNS[request.param]


@pytest.fixture
def aws(ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    ministack.use(monkeypatch)
    return ministack


async def test_a_run_killed_between_any_two_calls_is_run_again(
    aws: Emulator, run: Run, record_property: Callable[[str, object], None]
) -> None:
    steps = run.steps
    async with open_world(aws, run.of) as world:
        made, expected = await undisturbed(world, run)
        changing = [call for call in made if EVERY_POINT or call.changing]
        every = 1 if EVERY_POINT else run.kills_apart
        for call in [*changing[::every], None]:
            session = await begin(world)
            killed = Calls(faults={call: KILLED} if call else {})
            step = await perform(world, session, steps, killed)
            assert killed.made == made[: made.index(call) + 1 if call else None]
            again = steps[step if step is not None else -1 :]
            assert await perform(world, session, again, Calls()) is None
            assert await result(world, session) == expected, call
        tried(record_property, "over S3 and DynamoDB", len(made) // every + 1)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_run_survives_faults_of_its_calls(
    aws: Emulator, run: Run, fault: str, record_property: Callable[[str, object], None]
) -> None:
    steps = run.steps
    if run is RUNS["language_2"] and not EVERY_POINT:
        pytest.skip("one run has all faults in turn")
    async with open_world(aws, run.of) as world:
        made, expected = await undisturbed(world, run)
        points = [call for call in made if call.streaming or fault != "body broken off"]
        assert len(points) > 10
        stride = len(points) if EVERY_POINT else STRIDE
        together = [points[first::stride] for first in range(stride)]
        struck = 0
        while together:
            chosen = together.pop()
            session = await begin(world)
            calls = Calls(faults=dict.fromkeys(chosen, fault))
            assert await perform(world, session, steps, calls) is None
            assert await result(world, session) == expected, chosen
            missed = [call for call in chosen if call not in calls.made]
            # Commits that a fault holds up get in each other's way less often: then the last calls
            # of a name are not made. Alone each of them is struck: until its own fault comes, the
            # run is the undisturbed one.
            assert len(missed) < len(chosen), missed
            together += [[call] for call in missed]
            struck += len(chosen) - len(missed)
        assert struck == len(points)
        tried(record_property, "over S3 and DynamoDB", struck)


@pytest.mark.parametrize("run", ["language_2"], indirect=True)
async def test_a_run_of_language_2_survives_faults_in_turn(
    aws: Emulator, run: Run, record_property: Callable[[str, object], None]
) -> None:
    async with open_world(aws, run.of) as world:
        made, expected = await undisturbed(world, run)
        broken = [call for call in made if call.streaming][::4]
        others = [call for call in made if call not in broken][::2]
        faults = {call: FAULTS[number % 3] for number, call in enumerate(others)}
        calls = Calls(faults=faults | dict.fromkeys(broken, FAULTS[3]))
        session = await begin(world)
        assert await perform(world, session, run.steps, calls) is None
        assert await result(world, session) == expected
        struck = len(set(calls.faults) & set(calls.made))
        assert struck > 0.9 * len(calls.faults)
        tried(record_property, "over S3 and DynamoDB", struck)
