"""Transformation by a contract of language 2: every day is computed from all clean rows."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import date

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days, to_date, to_day
from kpi.aggregation.shop_kpis import ShopKpis
from worker.state import DayKpis, Outcome, Progress, Row
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.state.upload import Notice
from worker.transform.day_ranges import ALL_DAYS, DateRange
from worker.transform.former_contracts import days_of_former_contracts
from worker.transform.publish import Contended
from worker.transform.rollbacks import Rollback, count_rolled_back
from worker.transform.shop_days import days_of_versions
from worker.transform.shop_rollbacks import find_shop_rollbacks
from worker.transform.shop_state import ShopState, open_shop
from worker.transform.task import TransformTask

CONCURRENT_PUBLICATIONS = 16


@dataclass(frozen=True, kw_only=True)
class ShopReport:
    """What a transform did; see `worker.transform.Report`."""

    as_of: int
    days: tuple[date, ...]
    rows: dict[str, int]
    waiting: dict[str, int]
    notes: dict[str, int]
    notices: tuple[Notice, ...]
    rollbacks: tuple[Rollback, ...]
    clean_bytes: int
    seconds: float


async def transform_shop(
    task: TransformTask, date_range: DateRange, *, everything: bool
) -> ShopReport | None:
    """Publish every day at the ledger's head; None where that has been done.

    Raises:
        Contended: Another worker is at the same day.
        SourceError: A clean file cannot be read.
        StoreError: A store fails, after retries.
    """
    started = time.perf_counter()
    head, record = await task.state.head(), await task.state.progress()
    done = min([*(record.published.get(name, 0) for name in task.tables), record.waiting_as_of])
    if done >= head and not everything:
        return None
    state = await open_shop(task.state, head, task.workspace, task.contract, task.tables)
    since = 0 if everything else await _sequence_of_contract(task, head, done)
    days = await _due_days(task, state, date_range, head, done, everything=everything)
    counts = dict.fromkeys(sorted(task.tables), 0)
    slots = asyncio.Semaphore(CONCURRENT_PUBLICATIONS)
    finished = 0

    async def publish(day: date) -> Outcome:
        nonlocal finished
        rows = rows_of_day(state.kpis, day, task.tables)
        async with slots:
            outcome = await task.state.publish(DayKpis(order_date=day, tables=rows), head)
        for name, of_table in rows.items():
            counts[name] += len(of_table)
        finished += 1
        if task.progress:
            task.progress(finished, len(days))
        return outcome

    outcomes = await asyncio.gather(*map(publish, days))
    if Outcome.CONTENDED in outcomes:
        raise Contended
    waiting = dict(record.waiting)
    if not date_range.is_bounded:
        waiting = state.waiting()
        effects = {
            entry.source_id: state.effect(entry, head, waiting.get(entry.source_id, 0))
            for entry in state.entries
            if entry.sequence > since
        }
        await task.state.record_effects(effects)
        await task.state.advance(
            Progress(
                published=dict.fromkeys(task.tables, head), waiting=waiting, waiting_as_of=head
            )
        )
    notices: tuple[Notice, ...] = ()
    rollbacks: tuple[Rollback, ...] = ()
    if not everything and not date_range.is_bounded:
        notices = tuple(state.uploads.notices(done))
        rollbacks = tuple(
            await find_shop_rollbacks(
                state.uploads, state.accepted, task.workspace, state.shop, done
            )
        )
    return ShopReport(
        as_of=head,
        days=tuple(days),
        rows=counts,
        waiting=waiting,
        notes=state.notes() | count_rolled_back(rollbacks),
        notices=notices,
        rollbacks=rollbacks,
        clean_bytes=state.size_bytes,
        seconds=round(time.perf_counter() - started, 3),
    )


async def pending_shop_days(task: TransformTask) -> Days:
    """Find the days that a transform would publish, ascending."""
    head = await task.state.head()
    record = await task.state.progress()
    done = min([*(record.published.get(name, 0) for name in task.tables), record.waiting_as_of])
    if done >= head:
        return NO_DAYS
    state = await open_shop(task.state, head, task.workspace, task.contract, task.tables)
    days = await _due_days(task, state, ALL_DAYS, head, done, everything=False)
    return np.array([to_day(day) for day in days], np.int32)


def rows_of_day(kpis: ShopKpis, day: date, tables: frozenset[str]) -> dict[str, list[Row]]:
    """Rows of one day, by table."""
    return {name: list(kpis.tables[name].get(day, [])) for name in sorted(tables)}


async def _sequence_of_contract(task: TransformTask, head: int, since: int) -> int:
    """Return 0 where another contract came into force after a sequence, else that sequence."""
    adoption = await adoption_at(task.state, head)
    return 0 if adoption is not None and adoption.sequence > since else since


async def _due_days(
    task: TransformTask,
    state: ShopState,
    date_range: DateRange,
    head: int,
    since: int,
    *,
    everything: bool,
) -> list[date]:
    """Find the days that have rows, or had or may have had some; without those whole at the head.

    A transform that slept may publish any day that a version of an order was ever on.
    """
    begun = await task.state.days()
    adoption = await adoption_at(task.state, head)
    contract = adopted_contract(adoption, task.contract)
    former_days = await days_of_former_contracts(task, contract, adoption, since)
    days = set(begun).union(*(state.kpis.tables[name] for name in task.tables))
    of_rows = np.union1d(
        state.order_days, await days_of_versions(state.accepted, task.workspace, state.shop)
    )
    days |= set(map(to_date, np.union1d(of_rows, former_days).tolist()))
    days = days.union(*state.erasures.deleted_since(since).values())
    return sorted(
        day
        for day in days
        if (date_range.first or day) <= day <= (date_range.last or day)
        and (everything or not all(begun.get(day, {}).get(name, 0) >= head for name in task.tables))
    )
