"""Transformation by a contract of language 2."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from kpi.aggregation.calendar import NO_DAYS, Days, to_day
from kpi.aggregation.day_table import DayTable
from kpi.aggregation.shop_kpis import compute_kpis
from kpi.aggregation.shop_slice import ShopSlice
from kpi.aggregation.tables import record_names
from worker.runtime import allocator
from worker.runtime.execution import threaded
from worker.state import Progress, Row
from worker.state.secret import draw_secret
from worker.transform.day_pipeline import DayPipeline, Published, RowsOfDay
from worker.transform.day_ranges import DateRange
from worker.transform.report import Report
from worker.transform.rollbacks import Rollback, count_rolled_back
from worker.transform.shop.days import plan_batches
from worker.transform.shop.effects import count_waiting, effects_of
from worker.transform.shop.indexed_columns import shop_indexed_columns
from worker.transform.shop.loader import ShopContext, load_days
from worker.transform.shop.moved_orders import MOVED_ORDERS, count_moved_orders
from worker.transform.shop.references import References
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.shop.summing import keep_days, shop_sums_work
from worker.transform.shop.takeovers import find_shop_takeovers
from worker.transform.shop.versions import ShopVersions
from worker.transform.shop.work import ShopWork, find_shop_work
from worker.transform.shop_rollbacks import find_shop_rollbacks
from worker.transform.sums_upkeep import bring_up_to_date, keep_sums, publish_sums
from worker.transform.takeovers import Takeover, committed_after, with_takeovers
from worker.transform.task import TransformTask
from worker.transform.upkeep import keep_up


def open_context(snapshot: ShopSnapshot, tables: frozenset[str]) -> ShopContext:
    """Prepare to load days of a snapshot; nothing is read yet."""
    shop = snapshot.shop
    return ShopContext(
        snapshot=snapshot,
        versions={
            name: ShopVersions(
                dataset, snapshot.catalogs[name], snapshot.precedence[name], snapshot.feeds
            )
            for name, dataset in shop.all_datasets.items()
        },
        references=References(snapshot, snapshot.limits.held_reference_rows),
        tables=tables,
    )


class ShopDays:
    """Loads and computes batches of days of a shop; see `DayLoader`."""

    def __init__(self, context: ShopContext, batches: list[Days]) -> None:
        self.context = context
        self.batches = batches

    @classmethod
    async def plan(cls, context: ShopContext, days: Days) -> ShopDays:
        """Split days into batches.

        Raises:
            ConfigError, SourceError: As `Catalog.row_groups`.
        """
        batches, scattered = await plan_batches(days, context.snapshot)
        context.seen.ids_first = scattered
        if scattered:
            # Each batch will need all of them; here they are resolved while little else is held.
            groups = await context.snapshot.live("order_items").row_groups()
            await context.versions["order_items"].resolve(groups)
            allocator.give_back()
        return cls(context, batches)

    @property
    def order_days(self) -> set[int]:
        return self.context.seen.order_days

    async def load(self, days: Days) -> ShopSlice:
        return await load_days(days, self.context)

    def compute(self, loaded: ShopSlice, days: Days) -> RowsOfDay:
        kpis = compute_kpis(loaded, days, self.context.tables, threaded())
        keep_days(self.context.kept, kpis, loaded.columns)
        tables = kpis.tables
        self.context.seen.provisional.update(kpis.provisional.tolist())
        return lambda day: rows_of_day(tables, day)


def rows_of_day(tables: Mapping[str, DayTable], day: date) -> dict[str, list[Row]]:
    """Return the rows of a day, by table."""
    return {name: list[Row](table.rows(to_day(day))) for name, table in tables.items()}


async def transform_shop(
    task: TransformTask, date_range: DateRange, *, everything: bool
) -> Report | None:
    """Publish the pending days at the ledger's head; None where there is nothing to do.

    Raises:
        Contended: Another worker is at the same day.
        KpiError: Some days cannot be computed; all others are published.
        ConfigError, SourceError, StoreError: As `worker.transform.transform`.
    """
    started = time.perf_counter()
    work = await find_shop_work(task, date_range, everything=everything)
    if work is None:
        return None
    task, snapshot = work.task, work.snapshot
    context = open_context(snapshot, task.tables)
    published = Published(rows=dict.fromkeys(sorted(task.tables), 0))
    summed = shop_sums_work(work, context)
    kept = await bring_up_to_date(task, summed)
    left = await publish_sums(task, summed, kept, work.days, published)
    if summed.found is not None:
        context = replace(context, kept=kept)
    days = await ShopDays.plan(context, left)
    await DayPipeline(task, work.head, days, work.known, published).run()
    waiting: Mapping[str, int] = work.record.waiting
    is_incremental = not everything and not date_range.is_bounded
    takeovers: list[Takeover] = []
    notes: dict[str, int] = {}
    if is_incremental:
        committed = committed_after(snapshot.history, work.reached)
        takeovers = await find_shop_takeovers(snapshot, committed)
    if not date_range.is_bounded:
        waiting = await count_waiting(work, context)
        new = snapshot.uploads.changed_since(work.since) | work.erased
        effects = await effects_of(context, new, waiting, work.head)
        await task.state.record_effects(with_takeovers(effects, takeovers))
        reached = Progress(
            published=dict.fromkeys(record_names(task.tables), work.head),
            waiting=dict(waiting),
            waiting_as_of=work.head,
        )
        await draw_secret(task.state, work.record)
        await task.state.advance(reached)
        columns, catalogs = shop_indexed_columns(snapshot.shop), tuple(snapshot.catalogs.values())
        notes = await keep_up(task, snapshot.history, columns, catalogs)
        notes |= await keep_sums(task, summed, kept)
    rollbacks: tuple[Rollback, ...] = ()
    if is_incremental:
        rollbacks = tuple(await find_shop_rollbacks(snapshot, work.reached))
    return Report(
        notices=tuple(snapshot.uploads.notices(work.reached)) if is_incremental else (),
        rollbacks=rollbacks,
        takeovers=tuple(takeovers),
        notes=notes | await _notes(context, work) | count_rolled_back(rollbacks),
        as_of=work.head,
        days=tuple(published.days),
        rows=published.rows,
        waiting=dict(waiting),
        clean_bytes=snapshot.size_bytes,
        clean_bytes_read=snapshot.bytes_read,
        seconds=round(time.perf_counter() - started, 3),
    )


async def pending_shop_days(task: TransformTask) -> Days:
    """Find the days that a transform would publish, ascending."""
    work = await find_shop_work(task)
    return NO_DAYS if work is None else work.days


async def _notes(context: ShopContext, work: ShopWork) -> dict[str, int]:
    """Count what a reader of the KPIs should know of the days that were computed."""
    new = work.snapshot.uploads.changed_since(work.since)
    counts = {
        MOVED_ORDERS: await count_moved_orders(context.versions["orders"], new),
        "provisional_days": len(context.seen.provisional),
        "orders_of_a_later_file": sum(one.replaced_orders for one in context.versions.values()),
    }
    return {name: count for name, count in counts.items() if count}
