"""Wait before another attempt: exponential backoff with full jitter, bounded.

Full jitter (a wait drawn evenly between zero and the exponential bound) spreads clients that failed
together; see "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

CONTENDED_S = 600.0
"""Seconds in which a writer gets its turn among others: a thousand take less than a minute."""


CONTENDED_WAIT_S = 3.0
"""Longest wait of a writer for its turn."""


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Set how often and how long to try.

    Attributes:
        attempts: Attempts in all, the first one included.
        first_wait_s: Upper bound of the first wait; each later bound is twice the one before.
        max_wait_s: No wait is longer.
        limit_s: No attempt begins later than this after the first one.
        sleep: Waits for some seconds; tests and simulations pass their own.
        clock: Seconds from a fixed point, never going back.
        draw: A number from 0 to 1, evenly.
    """

    attempts: int = 10
    first_wait_s: float = 0.1
    max_wait_s: float = 10.0
    limit_s: float = 120.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random

    def while_contended(self) -> RetryPolicy:
        """Return a policy for writers that disturb each other: bounded by time alone.

        One of them succeeds each time, so that however many there are, each does in the end.
        """
        return replace(
            self,
            attempts=sys.maxsize,
            max_wait_s=min(self.max_wait_s, CONTENDED_WAIT_S),
            limit_s=max(self.limit_s, CONTENDED_S),
        )

    def start(self) -> Retries:
        """Start counting attempts and time; the first attempt follows."""
        return Retries(self)


class Retries:
    """Count the attempts of one operation under a policy.

    Attributes:
        attempts: Attempts begun so far.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self.attempts = 1
        self._policy = policy
        self._started_s = policy.clock()

    async def again(self) -> bool:
        """Wait before the next attempt; return False at once where none is left."""
        policy = self._policy
        if self.attempts >= policy.attempts:
            return False
        # 2.0 ** 1023 is the largest power that a float holds.
        bound_s = min(policy.max_wait_s, policy.first_wait_s * 2.0 ** min(self.attempts - 1, 1000))
        wait_s = policy.draw() * bound_s
        if policy.clock() - self._started_s + wait_s > policy.limit_s:
            return False
        self.attempts += 1
        await policy.sleep(wait_s)
        return True
