"""The transformation task: KPI tables as a function of the ledger.

It reads the ledger's head s and the sequence p that the tables have come to. It finds the days that
may differ between both, computes them from the entries up to s, and publishes each. Only when all
of them are published does the progress record move from p to s. So whatever dies on the way, the
next transform starts from a p whose days are whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date

from kpi.aggregation.calendar import NO_DAYS, Days, to_date
from kpi.aggregation.tables import DEFAULT_TABLES, record_names
from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.errors import SourceChanged, SourceMissing, StoreError
from worker.state import Progress, State
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.state.secret import draw_secret
from worker.state.upload import Notice
from worker.transform.day_loader import Observed
from worker.transform.day_pipeline import Contended, Published
from worker.transform.day_ranges import ALL_DAYS, DateRange
from worker.transform.day_summing import sums_work
from worker.transform.indexed_files import indexed_columns
from worker.transform.latest_versions import LatestVersions
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.transform.pending_work import find_pending_work
from worker.transform.publish import publish_days
from worker.transform.report import Report
from worker.transform.rollbacks import Rollback, count_rolled_back, find_rollbacks
from worker.transform.source_effects import (
    Versions,
    count_waiting_items,
    observe_days,
    record_effects,
)
from worker.transform.strides import joined_report, transform_in_strides
from worker.transform.sums_upkeep import bring_up_to_date, keep_sums, publish_sums
from worker.transform.takeovers import Takeover, committed_after, find_takeovers
from worker.transform.task import PublishedDays, TransformTask
from worker.transform.upkeep import keep_up

__all__ = ["Report", "plan_days", "transform"]

MAX_ROUNDS = 20
"""Attempts of one transform while others write the same days or clean files."""

ROUND_PAUSE_S = 0.05
"""Seconds between two attempts."""


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
    limits: TransformLimits = DEFAULT_LIMITS,
    published: PublishedDays | None = None,
) -> Report:
    """Bring the KPI tables to the ledger's head.

    Args:
        contract: Meaning of the clean rows, where the ledger has adopted no contract.
        workspace: Where they are.
        state: Ledger and KPI tables.
        tables: KPI tables to publish.
        first: Publish no day before it (None: no bound). With a bound, the progress record stays
            as it is: others publish the other days.
        last: Publish no day after it.
        everything: Recompute every day, whatever the progress record says.
        progress: Called with the number of days done and the number of days to do.
        limits: What may be held in memory at once.
        published: With `everything`: days that need not be computed again.

    Raises:
        ConfigError: The contract does not fit the clean zone.
        SourceError, StoreError: A retry may help.
    """
    task = TransformTask(
        contract=contract,
        workspace=workspace,
        state=state,
        tables=tables,
        progress=progress,
        limits=limits,
        published=published,
    )
    date_range = DateRange(first=first, last=last)
    strides: list[Report] = []
    in_strides = not everything and not date_range.is_bounded
    failure: Exception = StoreError("newer writers keep beginning days")
    for _ in range(MAX_ROUNDS):
        head = await state.head()
        if in_strides and head > limits.stride_records:
            strides, in_strides = await transform_in_strides(task, _transform_once), False
        try:
            report = await _transform_once(task, date_range, everything=everything)
            return joined_report([*strides, report])
        except Contended:
            # Whoever claimed the day knew a newer head. So does the next round, and ends the day.
            await asyncio.sleep(ROUND_PAUSE_S)
        except SourceChanged as error:
            # A slower worker has written a clean file again: the same rows, another version.
            failure = error
            await asyncio.sleep(ROUND_PAUSE_S)
        except SourceMissing as error:
            if not any(one.sequence > head for one in await state.erasures()):
                raise
            failure = error  # a customer was erased, and the clean file is another one now
    raise StoreError(f"gave up after {MAX_ROUNDS} rounds: {failure}") from failure


async def plan_days(
    *,
    contract: Contract,
    workspace: Workspace,
    state: State,
    tables: frozenset[str] = DEFAULT_TABLES,
    days: int,
) -> list[tuple[date, date]]:
    """Split the pending days for transforms that run in parallel.

    Returns:
        First and last day of each part with at most `days` days, ascending.
    """
    task = TransformTask(contract=contract, workspace=workspace, state=state, tables=tables)
    try:
        pending = await _pending_days(task)
    except Contended:
        pending = await _pending_days(task)  # a contract of the other language was adopted
    return [
        (to_date(pending[at]), to_date(pending[min(at + days, len(pending)) - 1]))
        for at in range(0, len(pending), days)
    ]


async def _pending_days(task: TransformTask) -> Days:
    """Return the days that a transform would publish, ascending."""
    head = await task.state.head()
    adopted = adopted_contract(await adoption_at(task.state, head), task.contract)
    if adopted.shop is not None:
        from worker.transform.shop.transform import pending_shop_days  # noqa: PLC0415  (as below)

        return await pending_shop_days(replace(task, contract=adopted))
    work = await find_pending_work(task)
    return NO_DAYS if work is None else work.days


async def _transform_once(
    task: TransformTask, date_range: DateRange = ALL_DAYS, *, everything: bool = False
) -> Report:
    started = time.perf_counter()
    adopted = adopted_contract(
        await adoption_at(task.state, await task.state.head()), task.contract
    )
    if adopted.shop is not None:
        task = replace(task, contract=adopted)
        return await _transform_shop_once(task, date_range, everything=everything)
    work = await find_pending_work(task, date_range, everything=everything)
    if work is None:
        return Report(
            as_of=await task.state.head(),
            waiting=dict((await task.state.progress()).waiting),
            seconds=round(time.perf_counter() - started, 3),
        )
    task = replace(task, contract=work.snapshot.contract)
    observed = Observed(new=work.new_sources)
    published = Published(rows=dict.fromkeys(sorted(task.tables), 0))
    summed = sums_work(work, task.tables)
    kept = await bring_up_to_date(task, summed)
    left = await publish_sums(task, summed, kept, work.days, published)
    work = work.with_days(left)
    await publish_days(task, work, observed, kept, published)
    waiting = dict(work.record.waiting)
    notes: dict[str, int] = {}
    is_incremental = not everything and not date_range.is_bounded
    takeovers: tuple[Takeover, ...] = ()
    if is_incremental:
        new = committed_after(work.snapshot.history, work.since)
        takeovers = tuple(await find_takeovers(work.snapshot, new))
    if not date_range.is_bounded:
        waiting = await count_waiting_items(work, observed)
        if work.skipped:
            versions = Versions(
                orders=work.order_versions,
                items=work.item_versions,
                products=LatestVersions(work.snapshot.products),
            )
            await observe_days(work.snapshot, work.new_sources, versions, observed)
        await record_effects(task, work, waiting, observed, takeovers)
        await draw_secret(task.state, work.record)
        reached = Progress(
            published=dict.fromkeys(record_names(task.tables), work.head),
            waiting=waiting,
            waiting_as_of=work.head,
        )
        await task.state.advance(reached)
        columns, catalogs = indexed_columns(task.contract), work.snapshot.catalogs
        notes = await keep_up(task, work.snapshot.history, columns, catalogs)
        notes |= await keep_sums(task, summed, kept)
    notices: tuple[Notice, ...] = ()
    rollbacks: tuple[Rollback, ...] = ()
    if is_incremental:
        notices = tuple(work.snapshot.uploads.notices(work.since))
        rollbacks = tuple(await find_rollbacks(work.snapshot, work.since))
    return Report(
        notices=notices,
        rollbacks=rollbacks,
        takeovers=takeovers,
        notes=notes | count_rolled_back(rollbacks),
        as_of=work.head,
        days=tuple(published.days),
        rows=published.rows,
        waiting=waiting,
        clean_bytes=work.snapshot.size_bytes,
        clean_bytes_read=work.snapshot.bytes_read,
        seconds=round(time.perf_counter() - started, 3),
    )


async def _transform_shop_once(
    task: TransformTask, date_range: DateRange, *, everything: bool
) -> Report:
    from worker.transform.shop.transform import transform_shop  # noqa: PLC0415  (25 ms)

    done = await transform_shop(task, date_range, everything=everything)
    if done is None:
        waiting = dict((await task.state.progress()).waiting)
        return Report(as_of=await task.state.head(), waiting=waiting)
    return done
