"""Use the sums of days with many orders, and keep them up to date."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import Days, to_date, to_day
from kpi.aggregation.sums import NO_SUMS, Added
from kpi.errors import KpiError
from kpi.kernels.keys import keys_of, text_keys
from worker.clean import Workspace
from worker.errors import DamagedObject, SourceError, StoreError
from worker.index.day_sums import (
    MOST_CHANGED,
    MOST_GROUPS,
    StoredSums,
    count_orders,
    drop_sums,
    read_page,
    write_customers,
    write_page,
    write_sums,
)
from worker.state import Ledger, Row
from worker.state.erasures import read_erasures
from worker.state.secret import secret_of
from worker.transform.day_pipeline import DayPipeline, Published, RowsOfDay
from worker.transform.kept_sums import CustomersOf, KeptSums
from worker.transform.summing import Summing, SumsWork
from worker.transform.task import TransformTask

HASH_KEY_BYTES = 16
"""Length of the key under which customers are hashed."""


async def bring_up_to_date(task: TransformTask, work: SumsWork) -> KeptSums:
    """Bring the sums that are kept to the head.

    Those of days that cannot be brought there are left out: such a day is computed of all of its
    orders.

    Raises:
        ConfigError, SourceError, StoreError: As `worker.transform.transform`.
    """
    kept = KeptSums()
    if work.found is None:
        return kept
    limits, pages = task.limits, work.found.pages
    kept.least_orders = limits.summed_at_once if work.every_day else limits.summed_orders
    kept.many_files = None if work.every_day else limits.summed_files
    kept.room = limits.summed_customers
    kept.customers_of = await storable_customers(
        task.state, work.summing.customer_type, is_shop=task.contract.shop is not None
    )
    if work.changed is None:
        return kept
    ids = work.summing.order_ids() if pages else None
    if ids is None:
        changed = {*work.changed.tolist(), *work.vacated_days.tolist()}
        kept.pages = {day: page for day, page in pages.items() if day not in changed}
        return kept
    try:
        before, now = await work.summing.both_states(work.found.up_to, ids, kept.customers_of)
    except KpiError:
        return kept  # of these orders alone, sums exceed 64 bits
    kept.pages = dict(pages)
    for day in sorted(pages.keys() & (before.sums.keys() | now.sums.keys())):
        page = kept.pages.pop(day)
        try:
            stored = await read_page(task.workspace, page, work.summing.scheme)
            if stored is None:
                continue
            stored = await _updated(task.workspace, work.summing, stored, before, now, day)
            rows = work.summing.rows(day, stored.sums, stored.customers)
        except SourceError:
            kept.damaged.add(day)
            continue
        except KpiError:
            continue  # whoever computes the day whole says why it cannot be shown
        if _is_small(stored):
            kept.stored[day], kept.rows[day] = stored, rows
    return kept


def _is_small(stored: StoredSums) -> bool:
    groups = sum(map(len, stored.sums.groups.values()))
    return len(stored.changed) <= MOST_CHANGED and groups <= MOST_GROUPS


async def storable_customers(
    ledger: Ledger, kind: pa.DataType | None, *, is_shop: bool
) -> CustomersOf:
    """Return what makes keys of customers that may be stored.

    Args:
        ledger: Has the secret under which ids are hashed; one is drawn where there is none.
        kind: Type of the ids; None where the contract has none.
        is_shop: Whether the contract is of language 2.

    Raises:
        StoreError: The ledger fails after retries.
    """
    if kind is None or pa.types.is_integer(kind):
        return lambda column: keys_of([column])
    from kpi.kernels.key_hashing import KeyHasher  # noqa: PLC0415  (cryptography, 10 ms)

    secret = await secret_of(ledger)
    key = hmac.digest(secret, b"customers of a day", hashlib.sha256)[:HASH_KEY_BYTES]
    hasher = KeyHasher(key)
    if is_shop:
        return lambda column: text_keys(column, hasher)
    return lambda column: keys_of([column], hasher)


async def _updated(
    workspace: Workspace,
    summing: Summing,
    stored: StoredSums,
    before: Added,
    now: Added,
    day: int,
) -> StoredSums:
    """Return the sums of a day with what its orders add now instead of what they added before.

    Raises:
        SourceError: They cannot be read, or cannot be those of any orders.
        StoreError: The store fails after retries.
    """
    scheme, sums, customers = summing.scheme, stored.sums, stored.customers
    changed = Counter(stored.changed)
    is_sound = scheme.fits(sums)
    if is_sound:
        sums = sums.plus(before.sums.get(day, NO_SUMS), -1).plus(now.sums.get(day, NO_SUMS), 1)
        gone, come = (one.customers.get(day, Counter()) for one in (before, now))
        orders = await count_orders(workspace, stored, {*gone, *come})
        for one, count in orders.items():
            after = count - gone[one] + come[one]
            is_sound &= count >= gone[one]
            customers += (after > 0) - (count > 0)
            changed[one] += after - count
    if not is_sound or not scheme.is_sound(sums, customers):
        raise DamagedObject(
            url=stored.run.name, expected=f"sums of the orders of {to_date(day)}", actual="others"
        )
    return replace(
        stored,
        sums=sums,
        customers=customers,
        changed={one: count for one, count in changed.items() if count},
    )


async def publish_sums(
    task: TransformTask, work: SumsWork, kept: KeptSums, days: Days, published: Published
) -> Days:
    """Publish those of some days whose sums are kept, and return the days that are left.

    Raises:
        As `worker.transform.publish.publish_days`.
    """
    readable: list[int] = []
    for day in np.intersect1d(days, np.array([*kept.stored, *kept.pages], np.int32)).tolist():
        if day in kept.pages:
            try:
                stored = await read_page(task.workspace, kept.pages[day], work.summing.scheme)
            except SourceError:
                kept.damaged.add(day)
                stored = None
            if stored is None:
                del kept.pages[day]
                continue
            kept.stored[day] = stored
        readable.append(day)
    if not readable:
        return days
    loader = _StoredDays(kept, work.summing, np.array(readable, np.int32))
    await DayPipeline(task, work.head, loader, set(readable), published).run()
    return np.setdiff1d(days, loader.batches[0], assume_unique=True)


class _StoredDays:
    """Makes rows of days of their sums; see `DayLoader`."""

    order_days: frozenset[int] = frozenset()

    def __init__(self, kept: KeptSums, summing: Summing, days: Days) -> None:
        self._kept = kept
        self._summing = summing
        self.batches = [days]

    async def load(self, days: Days) -> list[int]:
        return days.tolist()

    def compute(self, loaded: list[int], days: Days) -> RowsOfDay:
        del loaded, days  # rows of a day at a time: as dictionaries they take the most memory
        return lambda order_date: self._rows(to_day(order_date))

    def _rows(self, day: int) -> dict[str, list[Row]]:
        rows = self._kept.rows.pop(day, None)
        if rows is None:
            stored = self._kept.stored[day]
            rows = self._summing.rows(day, stored.sums, stored.customers)
        return dict(rows)


async def keep_sums(task: TransformTask, work: SumsWork, kept: KeptSums) -> dict[str, int]:
    """Write the sums at the head; nothing that fails matters.

    Returns:
        `sums_rebuilt` where sums were damaged.
    """
    if work.found is None:
        return {}
    notes = {"sums_rebuilt": len(kept.damaged)} if kept.damaged else {}
    before, scheme = work.found, work.summing.scheme
    try:
        pages = dict(kept.pages)
        for day, (sums, count) in sorted(kept.sums.items()):
            keys = kept.customers.pop(day)
            if sum(map(len, sums.groups.values())) <= MOST_GROUPS:
                run = await write_customers(task.workspace, keys)
                kept.stored[day] = StoredSums(sums=sums, customers=count, run=run)
        for day in kept.stored.keys() - pages.keys():
            pages[day] = await write_page(task.workspace, kept.stored[day], scheme)
        if pages or before.pages or before.retired:
            await write_sums(
                task.workspace,
                task.state,
                work.in_force,
                before=before,
                pages=pages,
                up_to=work.head,
            )
            # A transform that slept through an erasure must bring nobody back.
            if (await read_erasures(task.state)).last != work.in_force.erasures.last:
                await drop_sums(task.workspace)
    except (SourceError, StoreError):
        return notes  # the next transform computes the days of all of their orders
    return notes
