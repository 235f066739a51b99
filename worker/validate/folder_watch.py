"""Read files as they arrive: look at a place again and again, and act where it has changed.

Polling works on every file system, network drives and S3 among them; notices of the kernel do not.
What is known of a place between two looks is one number, so that a watch of months takes no memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass

from worker.errors import NothingToRead, WorkerError
from worker.objects import ObjectInfo

LOOKING_SHARE = 0.05
"""Most of the time that is spent looking at a place in which nothing happens."""

FIRST_RETRY_S = 5.0
MAX_RETRY_S = 300.0
"""Wait after a failure, doubled after each further one."""

PASSING_EXIT_CODES = (1, 5)
"""Of errors that go by without a person: a retry may cure it, or another worker was first."""

NOTHING = 0
"""Fingerprint of a place without files."""


async def fingerprint(objects: AsyncIterable[ObjectInfo]) -> int:
    """Sum up names and versions of objects; it differs wherever one was added, changed or removed.

    The sum of one digest each does not depend on their order.
    """
    total = NOTHING
    async for info in objects:
        text = f"{info.url}\0{info.size_bytes}\0{info.version}\0{info.stamp}"
        digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        total += int.from_bytes(digest, "big")
    return total % (1 << 128)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time and waiting, for tests to replace.

    Attributes:
        monotonic_s: Returns seconds that never go back.
        sleep: Waits some seconds.
    """

    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


SYSTEM_CLOCK = Clock()


class FolderWatch:
    """Call `read` after each change of a place, until cancelled.

    Args:
        look: Returns the `fingerprint` of what is there now.
        read: Reads what is new; called a second time for the same files it changes nothing.
        tell: Hears of an error that passes, and after how many seconds the next attempt follows;
            None where it follows the next change.
        every_s: Seconds between two looks, or more where a look takes long.
        clock: Time and waiting.
    """

    def __init__(
        self,
        *,
        look: Callable[[], Awaitable[int]],
        read: Callable[[], Awaitable[None]],
        tell: Callable[[WorkerError, float | None], None],
        every_s: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._look = look
        self._read = read
        self._tell = tell
        self._every_s = every_s
        self._clock = clock
        self._seen = NOTHING
        self._failures = 0
        self._retry_at_s: float | None = None

    async def watch(self) -> None:
        """Look, read what is new, wait; and again.

        Raises:
            WorkerError: Something that a person has to change; no retry cures it.
        """
        while True:
            begun_s = self._clock.monotonic_s()
            try:
                now = await self._look()
                looked_s = self._clock.monotonic_s() - begun_s
                await self._read_changes(now)
            except WorkerError as error:
                if error.exit_code not in PASSING_EXIT_CODES:
                    raise
                looked_s = 0.0
                self._fail(error)
            await self._clock.sleep(max(self._every_s, looked_s / LOOKING_SHARE))

    async def _read_changes(self, now: int) -> None:
        """Read if the place has changed, or if an attempt has failed and is to be repeated."""
        is_due = self._retry_at_s is not None and self._clock.monotonic_s() >= self._retry_at_s
        if now == self._seen and not is_due:
            return
        # What arrives while files are read makes the next look differ from this one.
        self._seen = now
        self._retry_at_s = None
        if now != NOTHING:
            try:
                await self._read()
            except NothingToRead as error:
                self._tell(error, None)
        self._failures = 0

    def _fail(self, error: WorkerError) -> None:
        """Plan the next attempt."""
        wait_s = min(FIRST_RETRY_S * 2**self._failures, MAX_RETRY_S)
        self._failures = min(self._failures + 1, 16)
        self._retry_at_s = self._clock.monotonic_s() + wait_s
        self._tell(error, wait_s)
