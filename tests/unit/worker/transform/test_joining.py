"""One transform at a time: others join it, and take over where its holder is gone or sleeps."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.samples import entry
from worker.errors import StoreError
from worker.runtime.process_identity import PROC, identify_process, is_gone
from worker.state import Progress
from worker.state.lease import Lease
from worker.state.memory import MemoryState
from worker.transform.joining import JoinTimings, Share, choose_share, transform_jointly
from worker.transform.report import Report

TABLES = frozenset({"order_kpis"})


class Killed(BaseException):
    """Ends a process at an operation."""


@dataclass
class Time:
    """Time that passes only where all tasks sleep."""

    now_s: float = 0.0
    sleepers: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now_s + seconds, len(self.sleepers), woken))
        await woken

    async def pass_until(self, work: asyncio.Future[Any]) -> None:
        """Let time pass until some work is done."""
        while not work.done():
            for _ in range(50):
                await asyncio.sleep(0)
            waiting = [one for one in self.sleepers if not one[2].done()]
            self.sleepers[:] = waiting
            if not work.done() and waiting:
                first = min(waiting)
                self.now_s = max(self.now_s, first[0])
                first[2].set_result(None)


@dataclass
class Transform:
    """A transform of some length in seconds, which publishes the head that it began with."""

    state: MemoryState
    time: Time
    seconds: float = 10.0
    runs: int = 0
    at_once: int = 0
    most_at_once: int = 0
    began_s: float = 0.0

    async def __call__(self) -> Report:
        self.runs += 1
        self.began_s = self.time.now_s
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            head = await self.state.head()
            await self.time.sleep(self.seconds)
            await self.state.advance(
                Progress(published=dict.fromkeys(TABLES, head), waiting_as_of=head)
            )
            return Report(as_of=head)
        finally:
            self.at_once -= 1


@dataclass
class Slice(Transform):
    """Some days of a transform, which leaves the progress record as it is."""

    async def __call__(self) -> Report:
        self.runs += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.time.sleep(self.seconds)
        self.at_once -= 1
        return Report(as_of=await self.state.head())


def joined(
    state: MemoryState, time: Time, run: Callable[[], Awaitable[Report]], **options: Any
) -> Awaitable[Report]:
    timings = JoinTimings(sleep=time.sleep, clock=lambda: time.now_s)
    return transform_jointly(
        state, TABLES, run, timings=replace(timings, **options.pop("timings", {})), **options
    )


def run(scene: Callable[[MemoryState, Time], Awaitable[None]]) -> None:
    async def main() -> None:
        time = Time()
        work = asyncio.ensure_future(scene(MemoryState(), time))
        await time.pass_until(work)
        await work

    asyncio.run(main())


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
        assert (await state.progress()).published == {"order_kpis": 2}

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


SLICE = Share(name="arn:aws:states:eu-central-1:1:execution:ingest:big", is_slice=True)


def test_slices_of_one_transform_run_beside_each_other() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        slices, other = Slice(state, time, seconds=40.0), Transform(state, time)
        running = [
            asyncio.ensure_future(joined(state, time, slices, share=SLICE)) for _ in range(8)
        ]
        await time.sleep(1)
        waiting = asyncio.ensure_future(joined(state, time, other))
        await asyncio.gather(*running)
        assert (slices.runs, slices.most_at_once, other.runs) == (8, 8, 0)
        await waiting
        assert other.began_s >= 40 + 15 - 4  # once the lease has expired, which nobody released

    run(scene)


def test_any_slice_renews_the_lease_of_all() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        short, long = Slice(state, time, seconds=2.0), Slice(state, time, seconds=60.0)
        first = asyncio.ensure_future(joined(state, time, short, share=SLICE))
        await time.sleep(0.1)
        second = asyncio.ensure_future(joined(state, time, long, share=SLICE))
        await first
        other = Transform(state, time)
        waiting = asyncio.ensure_future(joined(state, time, other))
        await second
        assert other.runs == 0
        await waiting
        # One renews for all of them, each some four seconds.
        assert (await state.lease()).version <= 2 + 60 / 2 + 3

    run(scene)


def test_slices_write_the_lease_no_more_often_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    put_lease = MemoryState.put_lease

    async def counted(state: MemoryState, lease: Lease) -> bool:
        done = await put_lease(state, lease)
        writes.append(done)
        return done

    monkeypatch.setattr(MemoryState, "put_lease", counted)

    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        slices = Slice(state, time, seconds=100.0)

        async def begin(number: int) -> None:
            await time.sleep(number * 0.1)
            await joined(state, time, slices, share=SLICE)

        await asyncio.gather(*(begin(number) for number in range(40)))
        assert slices.runs == 40
        assert len(writes) <= 40 + 110 / 2  # each at its begin; then the first to wake, every 2 s

    run(scene)


def test_the_last_transform_of_slices_goes_on_at_once_and_releases() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        slices, last = Slice(state, time, seconds=30.0), Transform(state, time)
        await asyncio.gather(*(joined(state, time, slices, share=SLICE) for _ in range(3)))
        assert (await state.lease()).owner == SLICE.owner
        started_s = time.now_s
        await joined(state, time, last, share=replace(SLICE, is_slice=False))
        assert time.now_s - started_s == last.seconds
        assert (await state.lease()).owner == ""

    run(scene)


def test_a_slice_waits_for_another_transform_and_joins_it() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        other, slices = Transform(state, time, seconds=50.0), Slice(state, time)
        holder = asyncio.ensure_future(joined(state, time, other))
        await time.sleep(1)
        report = await joined(state, time, slices, share=SLICE)
        await holder
        assert (slices.runs, report.notes) == (0, {"joined": 1})

    run(scene)


def test_slices_that_slept_leave_the_lease_to_whoever_took_it() -> None:
    async def scene(state: MemoryState, time: Time) -> None:
        await state.commit(entry("a"))
        sleepers, other = Slice(state, time, seconds=100.0), Transform(state, time, seconds=200.0)
        late, rare = {"renew_s": 40.0}, {"renew_s": 1000.0, "lease_s": 2000.0}
        slept = [
            asyncio.ensure_future(joined(state, time, sleepers, share=SLICE, timings=late))
            for _ in range(3)
        ]
        await time.sleep(1)
        taken = asyncio.ensure_future(joined(state, time, other, timings=rare))
        await asyncio.gather(*slept)
        assert other.runs == 1
        # They looked several times meanwhile, at a record that did not change.
        assert "slices" not in (await state.lease()).owner
        await taken

    run(scene)


def test_some_days_without_a_name_go_without_a_lease() -> None:
    assert choose_share(None, of_some_days=True) is None
    assert choose_share(None, of_some_days=False) == Share()
    assert choose_share("x", of_some_days=True) == Share(name="x", is_slice=True)
    assert choose_share("x", of_some_days=False) == Share(name="x")
    assert not is_gone(SLICE.owner.rpartition("/")[0])  # as no process of this machine
    assert Share().owner != Share().owner


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


def test_a_process_knows_whether_another_one_runs(tmp_path: Path) -> None:
    mine = identify_process()
    assert not is_gone(mine)
    machine, pid, started = mine.split("/")
    assert int(pid) == os.getpid()
    assert is_gone(f"{machine}/{pid}/{int(started) - 1}")  # its number came again
    assert is_gone(f"{machine}/{2**22 + 1}/{started}")
    assert not is_gone(f"other/{pid}/1")
    assert not is_gone("")
    assert not is_gone(identify_process(tmp_path), tmp_path)  # no /proc: nothing is known


def test_a_process_that_ended_is_gone_before_its_parent_waits() -> None:
    """Else a lease of a worker that was killed would be waited for until it expires."""
    machine = identify_process().split("/")[0]
    with subprocess.Popen(["sleep", "60"]) as child:
        stat = (PROC / str(child.pid) / "stat").read_text()
        identity = f"{machine}/{child.pid}/{stat.rpartition(')')[2].split()[19]}"
        assert not is_gone(identity)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert (PROC / str(child.pid)).exists()
        assert is_gone(identity)
