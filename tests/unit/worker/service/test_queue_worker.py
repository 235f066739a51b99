"""`shopkpi serve`: every message is answered, given back or left to the dead letters.

The rules, tried on a queue and on states in memory.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.service import QUICK, World, body, do_nothing, served, until
from worker.errors import ConfigError, StoreError

KINDS = {
    "fine": "success",
    "retry": "Worker.ExitCode1",
    "wrong": "Worker.ExitCode2",
    "bug": "Worker.ExitCode1",
    "empty": "Worker.ExitCode2",
}


@given(
    st.lists(
        st.tuples(st.sampled_from([*KINDS, "malformed", "gone"]), st.integers(0, 3)), max_size=12
    ),
    st.integers(1, 4),
)
def test_every_message_is_answered_or_left(kinds: list[tuple[str, int]], concurrency: int) -> None:
    bodies = []
    for number, (kind, _) in enumerate(kinds):
        words = () if kind == "empty" else (kind, number)
        token = f"{kind}-{number}"
        made = json.dumps(
            {"task_token": token, "command": [str(word) for word in words]}
            if kind != "malformed"
            else {"command": [token]}
        )
        bodies.append(made)
    world = World(list(bodies), gone={f"gone-{number}" for number in range(len(kinds))})
    running: list[str] = []
    most = 0

    async def run(words: Sequence[str]) -> None:
        nonlocal most
        kind, number = words
        running.append(number)
        most = max(most, len(running))
        try:
            for _ in range(kinds[int(number)][1]):
                await asyncio.sleep(0)
            errors = {"retry": StoreError("x"), "wrong": ConfigError("x"), "bug": KeyError("x")}
            if kind in errors:
                raise errors[kind]
        finally:
            running.remove(number)

    left = [text for text, (kind, _) in zip(bodies, kinds, strict=True) if kind == "malformed"]

    def ended() -> bool:
        return len(world.deleted) + world.events().count("message.malformed") == len(kinds)

    asyncio.run(served(world, run, ended, concurrency))
    assert most <= concurrency
    assert sorted(world.deleted + left) == sorted(bodies)
    expected = [
        (f"{kind}-{number}", KINDS[kind]) for number, (kind, _) in enumerate(kinds) if kind in KINDS
    ]
    assert sorted(world.answers) == sorted(expected)
    assert all(count <= concurrency for count in world.asked_for)
    assert world.given_back == []


async def test_a_state_gets_heartbeats_while_its_command_runs() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        await until(lambda: len(world.beats) >= 4)

    await served(world, run, lambda: bool(world.deleted))
    assert world.hidden >= 3
    assert world.answers == [("t", "success")]
    beats = len(world.beats)
    await asyncio.sleep(0.05)
    assert len(world.beats) == beats


async def test_what_nobody_waits_for_any_more_is_cancelled() -> None:
    world = World([body("t", "transform")])
    cancelled = asyncio.Event()

    async def run(_: Sequence[str]) -> None:
        world.gone.add("t")
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    await served(world, run, lambda: bool(world.deleted))
    assert cancelled.is_set()
    assert world.answers == []
    assert world.events() == ["job.started", "job.expired"]


async def test_late_answer_is_logged_and_its_message_deleted() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        world.gone.add("t")

    await served(world, run, lambda: bool(world.deleted))
    assert world.events() == ["job.started", "job.expired"]


async def test_heartbeats_that_fail_do_not_stop_the_work() -> None:
    world = World([body("t", "transform")])

    async def extend_visibility(*_: object) -> None:
        raise StoreError("no way through")

    world.extend_visibility = extend_visibility  # type: ignore[method-assign, assignment]

    async def run(_: Sequence[str]) -> None:
        await until(lambda: world.events().count("heartbeat.failed") >= 2)

    await served(world, run, lambda: bool(world.deleted))
    assert world.answers == [("t", "success")]


async def test_a_message_whose_answer_does_not_get_through_comes_back() -> None:
    world = World([body("t", "transform"), body("u", "transform")])

    async def succeed(token: str) -> bool:
        if token == "t":
            raise StoreError("no way through")
        world.answers.append((token, "success"))
        return True

    world.succeed = succeed  # type: ignore[method-assign]
    await served(world, do_nothing, lambda: bool(world.deleted))
    assert world.deleted == [body("u", "transform")]
    assert "job.unanswered" in world.events()


async def test_a_job_may_end_within_the_grace() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        await asyncio.sleep(0.01)

    await served(world, run, lambda: "job.started" in world.events())
    assert world.answers == [("t", "success")]
    assert world.given_back == []


async def test_a_job_that_takes_longer_goes_back_to_the_queue() -> None:
    world = World([body("t", "transform"), body("u", "transform")])

    async def run(_: Sequence[str]) -> None:
        await asyncio.sleep(3600)

    started_s = time.monotonic()
    await served(world, run, lambda: "job.started" in world.events(), concurrency=1)
    assert time.monotonic() - started_s < 5
    assert world.given_back == [(body("t", "transform"), 0)]
    assert (world.answers, world.deleted) == ([], [])
    assert world.bodies == [body("u", "transform")]
    assert world.events()[-2:] == ["serve.stopping", "job.abandoned"]


async def test_released_job_does_not_reach_an_abandoned_poll() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        await asyncio.sleep(3600)

    await served(world, run, lambda: len(world.asked_for) == 2, concurrency=2)
    assert world.given_back == [(body("t", "transform"), QUICK.poll_s)]


async def test_stopping_does_not_wait_for_a_poll() -> None:
    world = World([])
    started_s = time.monotonic()
    await served(world, do_nothing, lambda: bool(world.asked_for))
    assert time.monotonic() - started_s < 5


async def test_unreadable_queue_ends_the_service_but_not_its_jobs() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        world.broken = StoreError("no way through")
        await asyncio.sleep(0.01)

    with pytest.raises(StoreError):
        await served(world, run, lambda: False)
    assert world.answers == [("t", "success")]
