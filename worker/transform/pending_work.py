"""What a transform has to do: the sequence it computes from, and the days that may have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow.compute as pc

from kpi.aggregation.calendar import NO_DAYS, Days, to_day
from kpi.aggregation.tables import CATEGORY_KPIS, UNKNOWN_CATEGORY
from kpi.contract.model import Contract
from kpi.kernels.fixed_point import distinct
from worker.clean import Workspace
from worker.state import Progress, State
from worker.transform import changed_days
from worker.transform.catalog import Catalog
from worker.transform.day_loader import latest_products
from worker.transform.day_ranges import possible_days
from worker.transform.latest_versions import Versions
from worker.transform.snapshot import Zone, open_zone


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be brought up to date.

    Attributes:
        contract: What the clean rows mean.
        workspace: Where they lie.
        state: Ledger and KPI tables.
        tables: KPI tables to publish.
        progress: Told days done and days to do.
    """

    contract: Contract
    workspace: Workspace
    state: State
    tables: frozenset[str]
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a transform has to do.

    Attributes:
        head: The ledger's head.
        record: How far the tables have come.
        zone: The clean zone at the head.
        new: Source objects that the tables do not have yet.
        every_day: Whether every day may have changed.
        days: Days to publish.
        skipped: Whether days were left out since they are whole at the head already.
        begun: Days that were ever published.
    """

    head: int
    record: Progress
    zone: Zone
    new: set[str]
    every_day: bool
    days: Days
    skipped: bool
    begun: Mapping[date, object]
    versions: tuple[Versions, Versions] = field(init=False)

    def __post_init__(self) -> None:
        versions = (Versions(self.zone.orders), Versions(self.zone.items))
        object.__setattr__(self, "versions", versions)


async def survey(
    task: Task, *, first: date | None = None, last: date | None = None, everything: bool = False
) -> Work | None:
    """What there is to do; None where the tables are at the ledger's head.

    Args:
        task: What to bring up to date.
        first: First day; None for no bound.
        last: Last day.
        everything: Every day anew, whatever the progress record says.

    Errors: as `worker.transform.transform`.
    """
    head = await task.state.head()
    record = await task.state.progress()
    done = min([*(record.published.get(name, 0) for name in task.tables), record.waiting_as_of])
    since = 0 if everything else min(done, head)
    if since == head:
        return None
    zone = await open_zone(task.state, head, task.workspace, task.contract)
    new = zone.since(since)
    changed = await _changed_days(task, zone, new, since)
    begun = await task.state.days()
    every = _within(await _every_day(zone, begun), first, last)
    days = every if changed is None else np.intersect1d(every, changed, assume_unique=True)
    left = days if everything else np.setdiff1d(days, _whole(task, begun, head), assume_unique=True)
    return Work(
        head=head,
        record=record,
        zone=zone,
        new=new,
        every_day=changed is None,
        days=left,
        skipped=len(left) < len(days),
        begun=begun,
    )


async def _changed_days(task: Task, zone: Zone, new: set[str], since: int) -> Days | None:
    """Days that the new entries may have changed; None for every day."""
    if since == 0:
        return None
    orders, items, products = (catalog.of_sources(new) for catalog in zone.catalogs)
    of_products = await _days_of_products(task, zone, products, since)
    if of_products is None:
        return None
    contract = task.contract
    of_orders = await changed_days.days_of_new_orders(zone.orders, orders, contract)
    of_items = await changed_days.days_of_new_items(zone.items, zone.orders, items, contract)
    return np.unique(np.concatenate([of_orders, of_items, of_products]))


async def _days_of_products(task: Task, zone: Zone, new: Catalog, since: int) -> Days | None:
    """A product that changes its category may be sold on any day; one that becomes known, only
    on days that have items of unknown products so far, or that were published since.

    A category that changes and changes back has changed: a transform that slept since then may
    publish what was between, and only days published at a later state keep it away.
    """
    if not len(new) or CATEGORY_KPIS.name not in task.tables:
        return NO_DAYS
    old_ids, old_categories = await latest_products(zone.products.without(new))
    unknown = False
    for source_id in sorted(new.source_ids):
        ids, categories = await latest_products(new.of_sources([source_id]))
        at = pc.index_in(ids, value_set=old_ids)
        same = pc.equal(old_categories.take(at).fill_null(""), categories.fill_null(""))
        if pc.any(pc.and_(at.is_valid(), pc.invert(same))).as_py():
            return None
        unknown |= at.null_count > 0
    found: set[int] = set()
    if unknown:
        found = {
            to_day(date.fromisoformat(str(row["order_date"])))
            async for row in task.state.rows(CATEGORY_KPIS.name)
            if row["category"] == UNKNOWN_CATEGORY
        }
    # A day published since (by a slice of days, by a worker that died) may show a product in a
    # category that it had in between. Asked after the rows: what is published meanwhile is
    # found either there or here.
    for day, known in (await task.state.days()).items():
        if known.get(CATEGORY_KPIS.name, since + 1) > since:
            found.add(to_day(day))
    return np.array(sorted(found), np.int32)


def _whole(task: Task, begun: Mapping[date, Mapping[str, int]], head: int) -> Days:
    """Days that are published whole at the head already: a slice of days did them."""
    days = [
        to_day(day)
        for day, known in begun.items()
        if all(known.get(name, 0) >= head for name in task.tables)
    ]
    return np.array(days, np.int32)


async def _every_day(zone: Zone, begun: Iterable[date]) -> Days:
    """Days that may have an order now, and those whose orders may all be gone."""
    of_begun = np.array([to_day(day) for day in begun], np.int32)
    return distinct(np.concatenate([await possible_days(zone.orders), of_begun]))


def _within(days: Days, first: date | None, last: date | None) -> Days:
    low = -(2**31) if first is None else to_day(first)
    high = 2**31 - 1 if last is None else to_day(last)
    return days[(days >= low) & (days <= high)]
