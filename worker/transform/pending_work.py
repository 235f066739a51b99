"""Find what a transform has to do: its ledger sequence, and the days that may have changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days, to_day
from kpi.kernels.fixed_point import distinct
from worker.errors import OtherContract
from worker.index.day_sums import open_sums
from worker.index.sums_manifest import SumsManifest
from worker.state import Progress
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.transform import changed_days
from worker.transform.day_pipeline import Contended
from worker.transform.day_ranges import ALL_DAYS, DateRange, possible_days
from worker.transform.former_contracts import (
    days_of_former_contracts,
    sequence_of_same_kpis,
)
from worker.transform.latest_versions import LatestVersions
from worker.transform.product_days import days_of_changed_products
from worker.transform.reached import reached_sequence, whole_days
from worker.transform.snapshot import Snapshot, open_snapshot
from worker.transform.task import TransformTask
from worker.transform.touched_orders import TouchedOrders


@dataclass(frozen=True, kw_only=True)
class PendingWork:
    """What a transform has to do.

    Attributes:
        head: The ledger's head.
        since: Sequence that all tables have come to; 0 where everything is computed again.
        record: How far the tables have come.
        snapshot: The clean zone at the head.
        new_sources: Source objects that the tables do not have yet.
        ceased_sources: Of these, the ones that ceased to count, or came back.
        every_day: Whether every day may have changed.
        changed: Days that may have changed; None for every day.
        touched: Orders that may add something else than they did.
        sums: Sums of days at `since`, where they may be used and kept; else None.
        days: Days to publish, ascending.
        skipped: Whether days were left out because they are whole at the head already.
        begun: Days whose publication was ever begun.
        vacated_days: Days that orders may have left, since an upload ceased to count or a contract
            with another time zone came into force. They get a guard even where no order is left:
            else a transform that slept could publish them.
        order_versions: Latest orders.
        item_versions: Latest items.
    """

    head: int
    since: int
    record: Progress
    snapshot: Snapshot
    new_sources: set[str]
    ceased_sources: set[str]
    every_day: bool
    changed: Days | None
    touched: TouchedOrders
    sums: SumsManifest | None
    days: Days
    skipped: bool
    begun: Mapping[date, object]
    vacated_days: Days
    order_versions: LatestVersions
    item_versions: LatestVersions

    def with_days(self, days: Days) -> PendingWork:
        """Return what is left to do where some of its days are done."""
        if len(days) == len(self.days):
            return self
        return replace(self, days=days, skipped=True)


async def find_pending_work(
    task: TransformTask, date_range: DateRange = ALL_DAYS, *, everything: bool = False
) -> PendingWork | None:
    """Find what there is to do; None where the tables are at the ledger's head.

    Args:
        task: What to bring up to date.
        date_range: Days to look at.
        everything: Recompute every day, whatever the progress record says.

    Raises:
        Contended: A contract of the other language was adopted meanwhile.
        ConfigError, SourceError, StoreError: As `worker.transform.transform`.
    """
    head = await task.state.head()
    adoption = await adoption_at(task.state, head)
    if adopted_contract(adoption, task.contract).shop is not None:
        raise Contended  # a contract of language 2 was adopted meanwhile
    record = await task.state.progress()
    since = reached = 0 if everything else min(reached_sequence(task.tables, record), head)
    if since == head:
        return None
    former_since = since
    since = await sequence_of_same_kpis(task, adoption, since)  # else of another contract
    snapshot = await open_snapshot(
        task.state, head, task.workspace, task.contract, limits=task.limits, since=since
    )
    former_days = await days_of_former_contracts(task, snapshot.contract, adoption, former_since)
    task = replace(task, contract=snapshot.contract)
    new_sources = snapshot.sources_since(since)
    touched = TouchedOrders(task.limits.touched_orders)
    try:
        changed = await changed_since(task, snapshot, since, touched)
        abandoned = await _abandoned_days(task, snapshot, since)
    except OtherContract:
        # Nothing is known of the rows of such a file. Where it counts, its days cannot be computed;
        # where it was retracted, they are among those that were ever begun, or never published.
        changed, abandoned = None, NO_DAYS
    erased = snapshot.erasures.deleted_since(since)
    if changed is not None and erased:
        changed = np.union1d(changed, _days_of(erased))
    sums = None if date_range.is_bounded else await _sums(task, snapshot, since, everything)
    begun = await task.state.days()
    vacated_days = np.union1d(abandoned, former_days)
    vacated_days = np.union1d(vacated_days, _days_of(erased)).astype(np.int32)
    every_day = date_range.select(await _every_day(snapshot, begun, vacated_days))
    due = every_day if changed is None else np.intersect1d(every_day, changed, assume_unique=True)
    days = task.left(due, head)
    if not everything:
        days = np.setdiff1d(due, whole_days(task, begun, head), assume_unique=True)
    return PendingWork(
        head=head,
        since=reached,
        record=record,
        snapshot=snapshot,
        # Of these, effects and waiting items are counted again.
        new_sources=new_sources | erased.keys(),
        ceased_sources=snapshot.ceased_since(since),
        every_day=changed is None,
        changed=changed,
        touched=touched,
        sums=sums,
        days=days,
        skipped=len(days) < len(due) or bool(erased),
        begun=begun,
        vacated_days=vacated_days,
        order_versions=LatestVersions(snapshot.orders),
        item_versions=LatestVersions(snapshot.items),
    )


async def _sums(
    task: TransformTask, snapshot: Snapshot, since: int, everything: bool
) -> SumsManifest | None:
    """Return the sums of days; None where items have a key of other columns than the order.

    Of its first column alone, most items may have the one of a touched item.
    """
    key = snapshot.items.dataset.key
    if len(key) > 1 and "order_id" not in key:
        return None
    wanted = None if everything else since
    return await open_sums(task.workspace, task.state, snapshot.in_force, wanted)


async def changed_since(
    task: TransformTask, snapshot: Snapshot, since: int, touched: TouchedOrders
) -> Days | None:
    """Return the days that records after a sequence may have changed; None for every day.

    Rows of uploads that do not count are looked at as well: their days change when they go and
    return.

    Args:
        task: Of the contract of the snapshot.
        snapshot: The clean zone.
        since: Sequence that the tables have come to.
        touched: Gets the ids of the orders that they may have changed.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    if since == 0:
        return None
    new_sources = snapshot.sources_since(since)
    every = [one.with_uncounted() for one in snapshot.catalogs]
    orders, items, products = (one.of_sources(new_sources) for one in every)
    of_products = await days_of_changed_products(task, snapshot, products, since, touched)
    if of_products is None:
        return None
    contract = task.contract
    of_orders = await changed_days.days_of_new_orders(every[0], orders, contract, touched)
    of_items = await changed_days.days_of_new_items(every[1], every[0], items, contract, touched)
    return np.unique(np.concatenate([of_orders, of_items, of_products]))


def _days_of(erased: Mapping[str, Iterable[date]]) -> Days:
    """Return the days that the deletion of customers from some sources may have changed."""
    return np.unique(np.array([to_day(day) for days in erased.values() for day in days], np.int32))


async def _abandoned_days(task: TransformTask, snapshot: Snapshot, since: int) -> Days:
    """Return the days of every order in uploads that counted since and do not any more."""
    orders = snapshot.orders.with_uncounted().without(snapshot.orders)
    ceased = orders.of_sources(snapshot.ceased_since(since))
    return await changed_days.days_of_files(ceased, task.contract)


async def _every_day(snapshot: Snapshot, begun: Iterable[date], vacated_days: Days) -> Days:
    """Return the days that may have an order, and those whose orders may all be gone."""
    of_begun = np.array([to_day(day) for day in begun], np.int32)
    of_orders = await possible_days(snapshot.orders)
    return distinct(np.concatenate([of_orders, of_begun, vacated_days]))
