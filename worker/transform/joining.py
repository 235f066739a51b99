"""Run one transform at a time for a shop; others join it.

After a burst of files many transforms begin at once, and each would publish the same days. One
holds the lease (`worker.state.lease`), the others wait until the tables have come to the sequence
that they began with: the next holder publishes for all of them. A holder that was killed or sleeps
loses the lease after a while. One that wakes up goes on, which is right, as it always was: each day
has its guard. So the lease saves work, and nothing else depends on it.

A transform may be run as slices: some days each, in parallel, by processes of their own. They have
a name in common, under which they hold one lease. Each of them renews it, and none releases it: it
expires, unless a transform of that name publishes the rest and releases it. Transforms of some days
without a name neither take nor heed the lease.
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


SHARED = "slices"
"""Begin of the owner of a shared lease: no process is known by it."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """How a transform belongs to others.

    Attributes:
        name: Name that these have in common; empty for one that is run whole.
        is_slice: Whether others of that name may still run at its end.
    """

    name: str = ""
    is_slice: bool = False

    @property
    def owner(self) -> str:
        """Return the owner under which it holds the lease; another one each time without a name."""
        if self.name:
            return f"{SHARED}/{self.name}"
        return f"{identify_process()}/{uuid.uuid4().hex}"


def choose_share(name: str | None, *, of_some_days: bool) -> Share | None:
    """Return how a transform belongs to others; None for one that neither takes nor heeds a lease.

    Args:
        name: Name that it has in common with others.
        of_some_days: Whether it leaves days to others.
    """
    return None if of_some_days and not name else Share(name=name or "", is_slice=of_some_days)


async def transform_jointly(
    state: State,
    tables: frozenset[str],
    run: Callable[[], Awaitable[Report]],
    *,
    everything: bool = False,
    share: Share | None = None,
    timings: JoinTimings | None = None,
) -> Report:
    """Run a transform, or wait for one that does its work.

    Args:
        state: Ledger and KPI tables.
        tables: KPI tables that must come to the ledger's head.
        run: The transform.
        everything: Whether it has work that no other does.
        share: With whom it has the lease in common; None for nobody.
        timings: Of the lease; None for `TIMINGS`.

    Raises:
        Exception: What `run` raises.
        StoreError: The state fails.
    """
    timings, share = timings or TIMINGS, share or Share()
    head, owner = await state.head(), share.owner
    watch = _Watch(timings)
    while True:
        if not everything:
            record = await state.progress()
            if reached_sequence(tables, record) >= head:
                notes = {"joined": 1} if watch.waited else {}
                return Report(as_of=head, waiting=dict(record.waiting), notes=notes)
        lease = await state.lease()
        while not watch.changes(lease):
            if lease.owner == owner or watch.is_free(lease):
                held = await _write(state, lease.held_by(owner, timings.lease_s))
                if held is not None:
                    async with _renewing(state, held, timings, releases=not share.is_slice):
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


async def _write(store: KpiStore, lease: Lease) -> Lease | None:
    """Write the next state of a lease.

    Returns:
        The state that its holder has written, who may be another transform of its name; None where
        another one has the lease.
    """
    if await store.put_lease(lease):
        return lease
    found = await store.lease()
    return found if found.owner == lease.owner else None


@asynccontextmanager
async def _renewing(
    store: KpiStore, lease: Lease, timings: JoinTimings, *, releases: bool
) -> AsyncIterator[None]:
    """Renew a lease while the block runs, unless another has taken it over.

    Args:
        store: Where it is.
        lease: As it was written.
        timings: When to renew it.
        releases: Whether to release it at the end.
    """
    held = [lease]

    async def renew() -> None:
        while True:
            await timings.sleep(timings.renew_s * random.uniform(0.5, 1.0))  # noqa: S311
            with suppress(StoreError):  # the next renewal may succeed
                found: Lease | None = await store.lease()
                if found == held[-1]:  # else another of our name has renewed it
                    later = held[-1].held_by(lease.owner, timings.lease_s)
                    found = await _write(store, later)
                if found is None or found.owner != lease.owner:
                    return  # we slept, and another one goes on
                held.append(found)

    renewal = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)
        if releases:
            with suppress(StoreError):  # it expires
                await store.put_lease(held[-1].released())
