"""One transform at a time: others join it, and take over where its holder is gone or sleeps."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.support.joined_transforms import Time, Transform, joined, run
from tests.support.samples import entry
from worker.errors import StoreError
from worker.state.lease import Lease
from worker.state.memory import MemoryState
from worker.transform.joining import Share
from worker.transform.report import Report


class Killed(BaseException):
    """Ends a process at an operation."""


@pytest.fixture(autouse=True)
def _others_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of the processes: as if each were on a machine of its own."""
    monkeypatch.setattr("worker.transform.joining.is_gone", lambda _: False)


def test_a_burst_is_published_a_few_times() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        work = Transform(state, time)
        reports = []

        async def upload(number: int) -> None:
            await time.sleep(number * 0.01)
            committed = await state.commit(entry(f"{number}"))
            report = await joined(state, time, work)
            reached = (await state.progress()).published["order_kpis"]
            assert reached >= committed.sequence  # the promise of a transform
            assert report.as_of >= committed.sequence
            reports.append(report)

        await asyncio.gather(*(upload(number) for number in range(200)))
        assert len(reports) == 200
        assert work.most_at_once == 1
        assert work.runs <= 3
        assert (await state.lease()).owner == ""
        assert sum("joined" in report.notes for report in reports) == 200 - work.runs

    run(scene)


def test_what_is_published_costs_two_reads() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        work = Transform(state, time)
        await state.commit(entry("a"))
        await joined(state, time, work)
        version = (await state.lease()).version
        report = await joined(state, time, work)
        assert (report.as_of, report.notes, work.runs) == (1, {}, 1)
        assert (await state.lease()).version == version
        await joined(state, time, work, everything=True)
        assert work.runs == 2

    run(scene)


def test_a_killed_holder_is_followed_after_its_lease() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        assert await state.put_lease(Lease(owner="killed/1", version=1, seconds=15.0))
        work = Transform(state, time)
        await joined(state, time, work)
        assert work.runs == 1
        assert 15 <= time.now_s - work.seconds <= 17

    run(scene)


def test_a_holder_that_renews_is_waited_for() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        first, second = Transform(state, time, seconds=100.0), Transform(state, time)
        holder = asyncio.ensure_future(joined(state, time, first))
        await time.sleep(1)
        await joined(state, time, second)
        await holder
        assert (first.runs, second.runs) == (1, 0)

    run(scene)


def test_a_holder_that_hangs_is_not_waited_for_for_ever() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        hanging, other = Transform(state, time, seconds=10_000.0), Transform(state, time)
        holder = asyncio.ensure_future(joined(state, time, hanging))
        await time.sleep(1)
        await joined(state, time, other, timings={"limit_s": 60.0})
        assert other.runs == 1
        assert time.now_s < 80
        await holder

    run(scene)


def test_a_holder_that_slept_takes_nothing_back() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        sleeper, other = Transform(state, time, seconds=60.0), Transform(state, time, seconds=90.0)
        # Its renewals come too late: it slept.
        late = {"renew_s": 40.0}
        slept = asyncio.ensure_future(joined(state, time, sleeper, timings=late))
        await time.sleep(1)
        await state.commit(entry("b"))
        going_on = asyncio.ensure_future(joined(state, time, other))
        await slept
        lease = await state.lease()
        assert lease.owner != ""  # that of the other, which the sleeper neither renews nor releases
        await joined(state, time, sleeper)  # waits for it
        await going_on
        assert (sleeper.runs, other.runs) == (1, 1)
        assert (await state.progress()).published["order_kpis"] == 2

    run(scene)


def test_a_failed_holder_releases_its_lease() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))

        async def fail() -> Report:
            raise StoreError("no disk")

        with pytest.raises(StoreError, match="no disk"):
            await joined(state, time, fail)
        started_s, work = time.now_s, Transform(state, time)
        await joined(state, time, work)
        assert time.now_s - started_s == work.seconds

    run(scene)


@pytest.mark.parametrize("seed", range(30))
def test_whoever_dies_or_fails_the_others_are_done(seed: int) -> None:
    """Kill or fail operations on the lease, before or after they took effect."""
    draw = random.Random(seed)

    class Faulty(MemoryState):
        async def put_lease(self, lease: Lease) -> bool:
            chance = draw.random()
            if chance < 0.1:
                raise StoreError("throttled")
            done = await super().put_lease(lease)
            if chance < 0.2:
                raise Killed
            if chance < 0.3:
                await asyncio.sleep(0)
                raise StoreError("no answer")
            return done

        async def lease(self) -> Lease:
            if draw.random() < 0.05:
                raise StoreError("throttled")
            return await super().lease()

    async def main() -> None:
        state, time = Faulty(), Time()
        work = Transform(state, time)

        async def upload(number: int) -> None:
            await time.sleep(draw.random() * 30)
            committed = await state.commit(entry(f"{number}"))
            # Every third belongs to a transform of slices, as the last one of its name.
            share = Share(name="some") if number % 3 == 0 else None
            while True:
                try:
                    await joined(state, time, work, share=share)
                except (StoreError, Killed):
                    continue  # it is started again
                break
            assert (await state.progress()).published["order_kpis"] >= committed.sequence

        all_done = asyncio.gather(*(upload(number) for number in range(40)))
        await time.pass_until(all_done)
        await all_done
        assert work.runs < 30

    asyncio.run(main())
