"""Find what a transform has to do: its ledger sequence, and the days that may have changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import NO_DAYS, Days, to_day
from kpi.aggregation.tables import CATEGORY_KPIS, UNKNOWN_CATEGORY
from kpi.kernels.fixed_point import distinct
from worker.state import Progress
from worker.state.contract_in_force import adoption_at
from worker.transform import changed_days
from worker.transform.catalog import Catalog
from worker.transform.day_loader import latest_products
from worker.transform.day_ranges import ALL_DAYS, DateRange, possible_days
from worker.transform.former_contracts import days_of_former_contracts
from worker.transform.latest_versions import LatestVersions
from worker.transform.snapshot import Snapshot, open_snapshot
from worker.transform.task import TransformTask


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
    days: Days
    skipped: bool
    begun: Mapping[date, object]
    vacated_days: Days
    order_versions: LatestVersions
    item_versions: LatestVersions


async def find_pending_work(
    task: TransformTask, date_range: DateRange = ALL_DAYS, *, everything: bool = False
) -> PendingWork | None:
    """Find what there is to do; None where the tables are at the ledger's head.

    Args:
        task: What to bring up to date.
        date_range: Days to look at.
        everything: Recompute every day, whatever the progress record says.

    Raises:
        ConfigError, SourceError, StoreError: As `worker.transform.transform`.
    """
    head = await task.state.head()
    adoption = await adoption_at(task.state, head)
    record = await task.state.progress()
    done = min([*(record.published.get(name, 0) for name in task.tables), record.waiting_as_of])
    since = reached = 0 if everything else min(done, head)
    if since == head:
        return None
    snapshot = await open_snapshot(
        task.state, head, task.workspace, task.contract, limits=task.limits
    )
    former_days = await days_of_former_contracts(task, snapshot.contract, adoption, since)
    task = replace(task, contract=snapshot.contract)
    if adoption is not None and adoption.sequence > since:
        since = 0  # whatever was published may be of another contract
    new_sources = snapshot.sources_since(since)
    changed = await _changed_days(task, snapshot, new_sources, since)
    erased = snapshot.erasures.deleted_since(since)
    if changed is not None and erased:
        changed = np.union1d(changed, _days_of(erased))
    begun = await task.state.days()
    vacated_days = np.union1d(await _abandoned_days(task, snapshot, since), former_days)
    vacated_days = np.union1d(vacated_days, _days_of(erased)).astype(np.int32)
    every_day = date_range.select(await _every_day(snapshot, begun, vacated_days))
    due = every_day if changed is None else np.intersect1d(every_day, changed, assume_unique=True)
    days = due
    if not everything:
        days = np.setdiff1d(due, _whole_days(task, begun, head), assume_unique=True)
    return PendingWork(
        head=head,
        since=reached,
        record=record,
        snapshot=snapshot,
        # Of these, effects and waiting items are counted again.
        new_sources=new_sources | erased.keys(),
        ceased_sources=snapshot.ceased_since(since),
        every_day=changed is None,
        days=days,
        skipped=len(days) < len(due) or bool(erased),
        begun=begun,
        vacated_days=vacated_days,
        order_versions=LatestVersions(snapshot.orders),
        item_versions=LatestVersions(snapshot.items),
    )


async def _changed_days(
    task: TransformTask, snapshot: Snapshot, new_sources: set[str], since: int
) -> Days | None:
    """Return the days that new source objects may have changed; None for every day.

    Rows of uploads that do not count are looked at as well: their days change when they go and
    return.
    """
    if since == 0:
        return None
    every = [one.with_uncounted() for one in snapshot.catalogs]
    orders, items, products = (one.of_sources(new_sources) for one in every)
    if not products.source_ids.isdisjoint(snapshot.ceased_since(since)):
        # Categories go back to those of earlier uploads, which may be sold on any day.
        return None
    of_products = await _days_of_products(
        task, snapshot, snapshot.products.of_sources(new_sources), since
    )
    if of_products is None:
        return None
    contract = task.contract
    of_orders = await changed_days.days_of_new_orders(every[0], orders, contract)
    of_items = await changed_days.days_of_new_items(every[1], every[0], items, contract)
    return np.unique(np.concatenate([of_orders, of_items, of_products]))


async def _days_of_products(
    task: TransformTask, snapshot: Snapshot, new: Catalog, since: int
) -> Days | None:
    """Return the days that new versions of products may have changed; None for every day.

    A product that changes its category may be sold on any day. One that becomes known changes
    days with items of unknown products, and days that were published since. A category that
    changes and changes back has changed: a transform that slept since then may publish the state
    between, and only days published at a later state prevent that.
    """
    if not len(new) or CATEGORY_KPIS.name not in task.tables:
        return NO_DAYS
    old_ids, old_categories = await latest_products(snapshot.products.without(new))
    becomes_known = False
    for source_id in sorted(new.source_ids):
        ids, categories = await latest_products(new.of_sources([source_id]))
        at = pc.index_in(ids, value_set=old_ids)
        same = equal_or_both_null(old_categories.take(at), categories)
        if pc.any(pc.and_(at.is_valid(), pc.invert(same))).as_py():
            return None
        becomes_known |= at.null_count > 0
    days: set[int] = set()
    if becomes_known:
        days = {
            to_day(date.fromisoformat(str(row["order_date"])))
            async for row in task.state.rows(CATEGORY_KPIS.name)
            if row["category"] == UNKNOWN_CATEGORY
        }
    # A day published since (by a transform of some days, by a worker that died) may show a product
    # in a category that it had in between. Read after the rows: what is published meanwhile is
    # found either there or here.
    for day, published in (await task.state.days()).items():
        if published.get(CATEGORY_KPIS.name, since + 1) > since:
            days.add(to_day(day))
    return np.array(sorted(days), np.int32)


def equal_or_both_null(left: pa.Array, right: pa.Array) -> pa.Array:
    """Compare texts null-safely: null equals null, and differs from every text, even the empty."""
    both_null = pc.and_(left.is_null(), right.is_null())
    return pc.or_(pc.equal(left, right).fill_null(False), both_null)


def _days_of(erased: Mapping[str, Iterable[date]]) -> Days:
    """Return the days that the deletion of customers from some sources may have changed."""
    return np.unique(np.array([to_day(day) for days in erased.values() for day in days], np.int32))


def _whole_days(task: TransformTask, begun: Mapping[date, Mapping[str, int]], head: int) -> Days:
    """Return the days whose tables are whole at the head: a transform of some days did them."""
    days = [
        to_day(day)
        for day, published in begun.items()
        if all(published.get(name, 0) >= head for name in task.tables)
    ]
    return np.array(days, np.int32)


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
