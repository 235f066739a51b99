"""Waiting before another attempt: bounds, jitter and limits, on a clock of the test's own."""

from __future__ import annotations

from worker.runtime.retry import CONTENDED_S, CONTENDED_WAIT_S, RetryPolicy


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sleeps: list[float] = []

    async def sleep(self, wait_s: float) -> None:
        self.sleeps.append(wait_s)
        self.now_s += wait_s

    def read(self) -> float:
        return self.now_s


async def waits(clock: Clock, policy: RetryPolicy) -> list[float]:
    """All waits of a piece of work that never succeeds."""
    retries = policy.start()
    while await retries.again():
        assert retries.attempts == len(clock.sleeps) + 1
    return clock.sleeps


async def test_bounds_double_up_to_the_longest_wait() -> None:
    clock = Clock()
    policy = RetryPolicy(
        attempts=6,
        first_wait_s=1,
        max_wait_s=5,
        limit_s=100,
        sleep=clock.sleep,
        clock=clock.read,
        draw=lambda: 1.0,
    )

    assert await waits(clock, policy) == [1, 2, 4, 5, 5]


async def test_a_wait_is_drawn_below_its_bound() -> None:
    clock = Clock()
    draws = iter([0.0, 0.5, 0.25])
    policy = RetryPolicy(
        attempts=4,
        first_wait_s=1,
        sleep=clock.sleep,
        clock=clock.read,
        draw=lambda: next(draws),
    )

    assert await waits(clock, policy) == [0, 1, 1]


async def test_no_attempt_begins_after_the_limit() -> None:
    clock = Clock()
    policy = RetryPolicy(
        attempts=100,
        first_wait_s=1,
        max_wait_s=1,
        limit_s=3.5,
        sleep=clock.sleep,
        clock=clock.read,
        draw=lambda: 1.0,
    )

    assert await waits(clock, policy) == [1, 1, 1]


async def test_one_attempt_waits_for_nothing() -> None:
    clock = Clock()

    assert await waits(clock, RetryPolicy(attempts=1, sleep=clock.sleep, clock=clock.read)) == []


async def test_very_many_attempts_do_not_overflow() -> None:
    clock = Clock()
    policy = RetryPolicy(
        attempts=3000,
        max_wait_s=0.01,
        sleep=clock.sleep,
        clock=clock.read,
        draw=lambda: 1.0,
    )

    assert max(await waits(clock, policy)) == 0.01


async def test_contention_is_bounded_by_time_alone() -> None:
    clock = Clock()
    policy = RetryPolicy(attempts=2, sleep=clock.sleep, clock=clock.read, draw=lambda: 1.0)
    found = await waits(clock, policy.while_contended())
    assert CONTENDED_S - CONTENDED_WAIT_S < sum(found) <= CONTENDED_S
    assert max(found) == CONTENDED_WAIT_S
