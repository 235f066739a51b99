"""Find what a transform of a shop has to do: its ledger sequence, and the days to publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from kpi.aggregation.calendar import Days, to_day
from kpi.contract.shop import Shop
from worker.index.day_sums import open_sums
from worker.index.sums_manifest import SumsManifest
from worker.state import Progress
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.transform.day_pipeline import Contended
from worker.transform.day_ranges import ALL_DAYS, DateRange
from worker.transform.former_contracts import (
    days_of_former_contracts,
    sequence_of_same_kpis,
)
from worker.transform.reached import reached_sequence, whole_days
from worker.transform.shop.changed_days import changed_days
from worker.transform.shop.changed_files import ChangedFiles
from worker.transform.shop.days import days_of_versions
from worker.transform.shop.snapshot import ShopSnapshot, open_shop_snapshot
from worker.transform.task import TransformTask
from worker.transform.touched_orders import TouchedOrders


@dataclass(frozen=True, kw_only=True)
class ShopWork:
    """What a transform of a shop has to do.

    Attributes:
        task: What is brought up to date; its contract is the one in force.
        head: The ledger's head.
        reached: Sequence that all tables have come to; 0 where everything is computed again.
        since: The same; 0 where another contract came into force after it.
        record: How far the tables have come.
        snapshot: The clean zone at the head.
        changed_days: Days that files may have changed since; None for every day.
        touched: Orders that may add something else than they did.
        sums: Sums of days at `since`, where they may be used and kept; else None.
        every_day: Whether every day is computed that may have rows.
        erased: Source objects that lost rows of erased customers: their effects, and their waiting
            rows, are counted again.
        days: Days to publish, ascending.
        known: Days to publish even where they have no row: those that any version of an order or a
            refund is on, or that were ever begun. Else a transform that slept could publish them.
    """

    task: TransformTask
    head: int
    reached: int
    since: int
    record: Progress
    snapshot: ShopSnapshot
    changed_days: Days | None
    touched: TouchedOrders
    sums: SumsManifest | None
    every_day: bool
    erased: frozenset[str]
    days: Days
    known: frozenset[int]

    @property
    def changed(self) -> ChangedFiles:
        """Return the files that count otherwise than the tables have it."""
        return ChangedFiles(self.snapshot, self.since)


async def find_shop_work(
    task: TransformTask, date_range: DateRange = ALL_DAYS, *, everything: bool = False
) -> ShopWork | None:
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
    if adopted_contract(adoption, task.contract).shop is None:
        raise Contended  # a contract of language 1 was adopted meanwhile
    record = await task.state.progress()
    since = reached = 0 if everything else min(reached_sequence(task.tables, record), head)
    if since == head:
        return None
    former_since = since
    since = await sequence_of_same_kpis(task, adoption, since)  # else of another contract
    snapshot = await open_shop_snapshot(
        task.state, head, task.workspace, task.contract, limits=task.limits, since=since
    )
    task = replace(task, contract=snapshot.contract)
    former_days = await days_of_former_contracts(task, snapshot.contract, adoption, former_since)
    touched = TouchedOrders(task.limits.touched_orders)
    changed = await changed_days(snapshot, since, task.tables, touched) if since else None
    erased = snapshot.erasures.deleted_since(since)
    of_erased = {to_day(day) for days in erased.values() for day in days}
    begun = await task.state.days()
    of_begun = np.array([to_day(day) for day in begun], np.int32)
    if changed is None:
        of_rows = await days_of_versions(snapshot)
        due = np.unique(np.concatenate([of_rows, of_begun, former_days]))
    else:
        due = np.union1d(changed, _published_since(begun, since, snapshot))
    due = np.union1d(due, np.array(sorted(of_erased), np.int32)).astype(np.int32)
    due = date_range.select(due)
    days = task.left(due, head)
    if not everything:
        days = np.setdiff1d(due, whole_days(task, begun, head), assume_unique=True)
    sums = None
    if not date_range.is_bounded and _has_sums(snapshot.shop):
        wanted = None if everything else since
        sums = await open_sums(task.workspace, task.state, snapshot.history.in_force, wanted)
    return ShopWork(
        task=task,
        head=head,
        reached=reached,
        since=since,
        record=record,
        snapshot=snapshot,
        changed_days=changed,
        touched=touched,
        sums=sums,
        every_day=changed is None
        and len(days) == len(due)
        and not (date_range.is_bounded or erased),
        erased=frozenset(erased),
        days=days,
        known=frozenset(due.tolist()),
    )


def _has_sums(shop: Shop) -> bool:
    """Return whether sums are kept of a shop.

    Not where a look-up gives an order its day, or a refund names a line of any order: what such a
    row changes is not known from its own order.
    """
    refunds = shop.datasets.get("refunds")
    names_lines = refunds is not None and "item" in refunds.columns
    return not shop.datasets["orders"].columns["created_at"].via and (
        not names_lines or shop.has("refunds", "order_id")
    )


def _published_since(
    begun: Mapping[date, Mapping[str, int]], since: int, snapshot: ShopSnapshot
) -> Days:
    """Return the days published after a sequence, where a reference has changed since.

    They may show a row of it that came and went in between.
    """
    files = ChangedFiles(snapshot, since)
    names = [*snapshot.shop.references, "products"]
    if not any(files.sources(name) for name in names if name in snapshot.catalogs):
        return np.zeros(0, np.int32)
    days = [
        to_day(day)
        for day, published in begun.items()
        if max(published.values(), default=0) > since
    ]
    return np.array(days, np.int32)
