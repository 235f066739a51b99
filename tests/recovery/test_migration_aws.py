"""DynamoDB tables of release 0.1.0, migrated by a worker that is killed between any two calls.

After each kill an upload comes, by a worker of this release. Then the same commands run again. The
KPIs are those of a migration that nothing disturbed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.migration.stored import Stored
from tests.recovery.calls import KILLED, Calls
from tests.recovery.summary import tried
from tests.recovery.test_adoption_aws import kpis_of, upload_comes
from tests.recovery.test_crash_points_aws import (
    EVERY_POINT,
    TRANSACTION_ROWS,
    Step,
    World,
    begin,
    open_world,
    perform,
    transform_days,
)
from tests.support.emulators import Emulator, ministack, unique_name
from worker.jobs import Session
from worker.state.dynamodb import kpis

__all__ = ["ministack"]

RELEASE = Stored(Path(__file__).parents[1] / "migration" / "v0_1_0" / "default")
EVERY = 1 if EVERY_POINT else 9
"""Of the calls that change something, one in so many is the last of a run."""


async def create_tables(_: World, session: Session) -> None:
    await session.state.create_tables()


MIGRATES: tuple[Step, ...] = (create_tables, transform_days)


async def begin_with_tables_of_the_release(
    world: World, aws: Emulator, objects: dict[str, bytes]
) -> Session:
    """Return tables as the release has left them, and its clean zone."""
    prefix = unique_name("v010")
    RELEASE.load_tables(aws, prefix)
    session = await begin(world, prefix, creates=False)
    for key, data in objects.items():
        async with world.zone.create(session.workspace.absolute(key)) as writer:
            await writer.write(data)
    return session


async def test_a_migration_killed_between_any_two_calls_is_run_again(
    ministack: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    ministack.use(monkeypatch)
    monkeypatch.setattr(kpis, "TRANSACTION_ROWS", TRANSACTION_ROWS)
    objects = RELEASE.unpack_objects(tmp_path)
    async with open_world(ministack) as world:
        session, calls = await begin_with_tables_of_the_release(world, ministack, objects), Calls()
        assert await perform(world, session, MIGRATES, calls) is None
        of_release = await kpis_of(world, session)
        assert await perform(world, session, (upload_comes, transform_days), Calls()) is None
        expected = await kpis_of(world, session)
        assert expected != of_release
        changing = [call for call in calls.made if call.changing]
        assert len(changing) > 20
        for call in changing[::EVERY]:
            session = await begin_with_tables_of_the_release(world, ministack, objects)
            step = await perform(world, session, MIGRATES, Calls(faults={call: KILLED}))
            assert step is not None
            again = (create_tables, upload_comes, *MIGRATES)
            assert await perform(world, session, again, Calls()) is None, call
            assert await kpis_of(world, session) == expected, call
        tried(record_property, "migrations over S3 and DynamoDB", len(changing[::EVERY]))
