"""Slices of one transform share its lease, and go on beside each other."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.support.joined_transforms import Slice, Time, Transform, joined, run
from tests.support.samples import entry
from worker.runtime.process_identity import is_gone
from worker.state.lease import Lease
from worker.state.memory import MemoryState
from worker.transform.joining import Share, choose_share

SLICE = Share(name="arn:aws:states:eu-central-1:1:execution:ingest:big", is_slice=True)


@pytest.fixture(autouse=True)
def _others_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of the processes: as if each were on a machine of its own."""
    monkeypatch.setattr("worker.transform.joining.is_gone", lambda _: False)


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
