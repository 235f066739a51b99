"""The transformation task: KPI tables as a function of the ledger.

It reads the ledger's head s and the sequence p that the tables have come to, works out which days
may differ between both, computes those days from the entries up to s, and publishes each. Only
when all of them are published does the progress record move from p to s; so whatever dies on the
way, the next transform starts from a p whose days are whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from kpi.aggregation.calendar import NO_DAYS, to_date
from kpi.aggregation.tables import DEFAULT_TABLES
from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.errors import SourceChanged, StoreError
from worker.state import Progress, State
from worker.transform.day_loader import Seen
from worker.transform.pending_work import Task, survey
from worker.transform.publish import Contended, publish_days
from worker.transform.source_effects import record_effects, see_days, waiting_items

MAX_RESTARTS = 20
"""How often to begin anew where other workers are at the same days or clean objects."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a transform did.

    Attributes:
        as_of: Sequence that was computed from.
        days: Order dates published, ascending.
        rows: KPI table -> rows published.
        waiting: source_id -> items whose order has not arrived.
        clean_bytes: Bytes in the clean zone at that sequence.
        clean_bytes_read: Bytes of it that were read.
        seconds: Wall time.
    """

    as_of: int
    days: tuple[date, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    clean_bytes: int = 0
    clean_bytes_read: int = 0
    seconds: float = 0.0


async def transform(
    *,
    contract: Contract,
    workspace: Workspace,
    state: State,
    tables: frozenset[str] = DEFAULT_TABLES,
    first: date | None = None,
    last: date | None = None,
    everything: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Bring the KPI tables to the ledger's head.

    Args:
        contract: What the clean rows mean.
        workspace: Where they lie.
        state: Ledger and KPI tables.
        tables: KPI tables to publish.
        first: With `last`, publish only days from `first` to `last` (None: no bound) and leave
            the progress record alone: others do the other days.
        last: See `first`.
        everything: Compute every day anew, whatever the progress record says.
        progress: Told days done and days to do.

    Errors: `SourceError` or `StoreError` where a retry may help; `ConfigError` where the contract
        does not fit the clean zone.
    """
    task = Task(
        contract=contract, workspace=workspace, state=state, tables=tables, progress=progress
    )
    failure: Exception = StoreError("newer writers keep beginning days")
    for _ in range(MAX_RESTARTS):
        try:
            return await _round(task, first, last, everything=everything)
        except Contended:
            # Whoever claimed the day knew a newer head; so does the next round, and ends the day.
            await asyncio.sleep(0.05)
        except SourceChanged as error:
            # A slower worker has written a clean object again: the same rows, another version.
            failure = error
            await asyncio.sleep(0.05)
    raise StoreError(f"gave up after {MAX_RESTARTS} rounds: {failure}") from failure


async def plan_days(
    *,
    contract: Contract,
    workspace: Workspace,
    state: State,
    tables: frozenset[str] = DEFAULT_TABLES,
    days: int,
) -> list[tuple[date, date]]:
    """Slices of at most `days` of the days to be published, for transforms that run apart.

    Returns:
        First and last day of each slice, ascending.
    """
    work = await survey(Task(contract=contract, workspace=workspace, state=state, tables=tables))
    found = NO_DAYS if work is None else work.days
    return [
        (to_date(found[at]), to_date(found[min(at + days, len(found)) - 1]))
        for at in range(0, len(found), days)
    ]


async def _round(task: Task, first: date | None, last: date | None, *, everything: bool) -> Report:
    started = time.perf_counter()
    work = await survey(task, first=first, last=last, everything=everything)
    if work is None:
        return Report(
            as_of=await task.state.head(),
            waiting=dict((await task.state.progress()).waiting),
            seconds=round(time.perf_counter() - started, 3),
        )
    seen = Seen(new=work.new)
    published = await publish_days(task, work, seen)
    waiting = dict(work.record.waiting)
    if first is None and last is None:
        waiting = await waiting_items(work, seen)
        if work.skipped:
            await see_days(task, work, seen)
        await record_effects(task, work, waiting, seen)
        reached = Progress(
            published=dict.fromkeys(task.tables, work.head),
            waiting=waiting,
            waiting_as_of=work.head,
        )
        await task.state.advance(reached)
    return Report(
        as_of=work.head,
        days=tuple(published.days),
        rows=published.rows,
        waiting=waiting,
        clean_bytes=work.zone.size_bytes,
        clean_bytes_read=work.zone.bytes_read,
        seconds=round(time.perf_counter() - started, 3),
    )
