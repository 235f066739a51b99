"""Adoptions over S3 and DynamoDB that are killed between any two calls, while an upload comes.

After each kill a task of another image validates an upload, with the contract that the ledger has
then. The adoption is run again. The KPIs are those of an adoption that nothing disturbed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kpi.contract.loading import built_in
from tests.recovery.calls import KILLED, Calls
from tests.recovery.summary import tried
from tests.recovery.test_crash_points_aws import (
    CONTRACT,
    EVERY_POINT,
    TRANSACTION_ROWS,
    Step,
    World,
    begin,
    open_world,
    perform,
    result,
    transform_days,
    validate_all_below,
)
from tests.support.emulators import Emulator, ministack
from worker.cli.adopt import proposal_of
from worker.jobs import Session, apply_adoption
from worker.maintenance.adoption import stage_and_adopt
from worker.maintenance.raw_objects import RawObjects
from worker.objects import ObjectStore
from worker.objects.location import Location
from worker.reporting.reporters import SilentReporter
from worker.state.contract_in_force import contract_of
from worker.state.dynamodb import kpis

__all__ = ["ministack"]

PROPOSED = built_in("string-ids")
EVERY = 1 if EVERY_POINT else 6
"""Of the calls that change something, one in so many is the last of a run."""


async def in_force(session: Session) -> Session:
    """Return the session with the contract that the ledger has now, as each task opens it."""
    adoption = await session.state.adoption()
    settings = session.settings
    if adoption is not None:
        settings = apply_adoption(settings, adoption)
    rows = await contract_of(session.state, adoption, settings.contract)
    return replace(session, settings=settings, adoption=adoption, in_force=rows)


async def upload_comes(world: World, session: Session) -> None:
    await validate_all_below(world, await in_force(session), "later")


async def adopt(world: World, session: Session) -> None:
    async def open_store(_: Location) -> ObjectStore:
        return world.uploads

    session = await in_force(session)
    await stage_and_adopt(proposal_of(session, PROPOSED, RawObjects(open_store), SilentReporter()))


OPENS: tuple[Step, ...] = (
    lambda world, session: validate_all_below(world, session, "first"),
    transform_days,
)
ADOPTS: tuple[Step, ...] = (adopt, transform_days)


async def kpis_of(world: World, session: Session) -> dict[str, object]:
    found = await result(world, session)
    names = ("days", *(name for name in found if name.endswith("_kpis")))
    return {name: found[name] for name in names}


async def test_an_adoption_killed_between_any_two_calls_is_run_again(
    ministack: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    ministack.use(monkeypatch)
    monkeypatch.setattr(kpis, "TRANSACTION_ROWS", TRANSACTION_ROWS)
    async with open_world(ministack) as world:
        session, calls = await begin(world), Calls()
        assert await perform(world, session, OPENS, Calls()) is None
        before = await kpis_of(world, session)
        assert await perform(world, session, ADOPTS, calls) is None
        assert await perform(world, session, (upload_comes, transform_days), Calls()) is None
        expected = await kpis_of(world, session)
        assert expected != before
        changing = [call for call in calls.made if call.changing]
        assert len(changing) > 10
        for call in changing[::EVERY]:
            session = await begin(world)
            assert await perform(world, session, OPENS, Calls()) is None
            step = await perform(world, session, ADOPTS, Calls(faults={call: KILLED}))
            assert step is not None
            again = (upload_comes, *ADOPTS)
            assert await perform(world, session, again, Calls()) is None, call
            assert await kpis_of(world, session) == expected, call
            adoption = await session.state.adoption()
            assert adoption is not None
            assert adoption.digest == PROPOSED.digest != CONTRACT.digest
        tried(record_property, "adoptions over S3 and DynamoDB", len(changing[::EVERY]))
