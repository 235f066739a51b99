"""Run one transform at a time for a shop; others join it.

After a burst of files many transforms begin at once, and each would publish the same days. One
holds the lease (`worker.state.lease`), the others wait until the tables have come to the sequence
that they began with: the next holder publishes for all of them. A holder that was killed or sleeps
loses the lease after a while. One that wakes up goes on, which is right, as it always was: each day
has its guard. So the lease saves work, and nothing else depends on it.

Transforms of some days are slices of one that a state machine runs: they neither take nor heed it.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from worker.errors import StoreError
from worker.runtime.process_identity import identify_process, is_gone
from worker.state import KpiStore, State
from worker.state.lease import Lease
from worker.transform.reached import reached_sequence
from worker.transform.report import Report


@dataclass(frozen=True, kw_only=True)
class JoinTimings:
    """Set the times of leases, in seconds.

    Attributes:
        lease_s: Time without a renewal after which others take over.
        renew_s: Time between renewals.
        poll_s: Longest time between two looks of who waits.
        limit_s: Who has waited so long goes on without the lease: its holder may hang.
        sleep: Waits some seconds; tests pass their own.
        clock: Seconds from a fixed point, never going back.
    """

    lease_s: float = 15.0
    renew_s: float = 4.0
    poll_s: float = 1.0
    limit_s: float = 1800.0
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic


TIMINGS = JoinTimings()
"""Timings of commands."""


async def transform_jointly(
    state: State,
    tables: frozenset[str],
    run: Callable[[], Awaitable[Report]],
    *,
    everything: bool = False,
    timings: JoinTimings | None = None,
) -> Report:
    """Run a transform, or wait for one that does its work.

    Args:
        state: Ledger and KPI tables.
        tables: KPI tables that must come to the ledger's head.
        run: The transform.
        everything: Whether it has work that no other does.
        timings: Of the lease; None for `TIMINGS`.

    Raises:
        Exception: What `run` raises.
        StoreError: The state fails.
    """
    timings = timings or TIMINGS
    head = await state.head()
    owner = f"{identify_process()}/{uuid.uuid4().hex}"
    watch = _Watch(timings)
    while True:
        if not everything:
            record = await state.progress()
            if reached_sequence(tables, record) >= head:
                notes = {"joined": 1} if watch.waited else {}
                return Report(as_of=head, waiting=dict(record.waiting), notes=notes)
        lease = await state.lease()
        while not watch.changes(lease):
            if watch.is_free(lease):
                taken = lease.held_by(owner, timings.lease_s)
                if await state.put_lease(taken):
                    async with _renewing(state, taken, timings):
                        return await run()
            elif watch.waited_s > timings.limit_s:
                return await run()
            else:
                await watch.wait()
            lease = await state.lease()


class _Watch:
    """Observes who holds the lease.

    Attributes:
        waited: Whether somebody was waited for.
    """

    def __init__(self, timings: JoinTimings) -> None:
        self._timings = timings
        self._started_s = timings.clock()
        self._seen: Lease | None = None
        self._seen_at_s = self._started_s
        self.waited = False

    @property
    def waited_s(self) -> float:
        """Return the time since the first look."""
        return self._timings.clock() - self._started_s

    async def wait(self) -> None:
        """Wait for the next look; apart, so that those that wait do not all ask at once."""
        self.waited = True
        await self._timings.sleep(self._timings.poll_s * random.uniform(0.5, 1.0))  # noqa: S311

    def changes(self, lease: Lease) -> bool:
        """Observe the lease, and return whether a holder has gone since the look before.

        It may have brought the tables to the sequence that is waited for.
        """
        before, self._seen = self._seen, lease
        if lease != before:
            self._seen_at_s = self._timings.clock()
        return self.waited and before is not None and lease.owner != before.owner

    def is_free(self, lease: Lease) -> bool:
        """Return whether the lease, as it was observed last, may be taken."""
        unchanged_s = self._timings.clock() - self._seen_at_s
        return (
            not lease.owner
            or is_gone(lease.owner.rpartition("/")[0])
            or unchanged_s >= lease.seconds
        )


@asynccontextmanager
async def _renewing(store: KpiStore, lease: Lease, timings: JoinTimings) -> AsyncIterator[None]:
    """Renew a lease while the block runs, then release it, unless another has taken it over."""
    held = [lease]

    async def renew() -> None:
        while True:
            await timings.sleep(timings.renew_s)
            later = held[-1].held_by(lease.owner, timings.lease_s)
            with suppress(StoreError):  # the next renewal may succeed
                if not await store.put_lease(later):
                    return  # we slept, and another one goes on
                held.append(later)

    renewal = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)
        with suppress(StoreError):  # it expires
            await store.put_lease(held[-1].released())
