"""Compare sums of busy days, and packs, with what is made of the clean files.

Sums that are wrong are found out by transforms only where they cannot be those of any orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa

from kpi.aggregation.calendar import to_date
from kpi.aggregation.products import Products
from kpi.aggregation.shop_kpis import compute_kpis
from kpi.aggregation.shop_sums import sums_of_totals
from kpi.aggregation.shop_totals import shop_scheme
from kpi.aggregation.sums import NO_SUMS, Scheme, Sums, storable_keys
from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS, PRODUCT_KPIS
from kpi.errors import KpiError
from kpi.index.pointers import POINTER, Pointers
from kpi.kernels.arrays import Words
from kpi.kernels.keys import NO_KEYS, Keys
from worker.clean import Workspace
from worker.errors import SourceError
from worker.index.day_sums import CUSTOMERS, StoredSums, open_sums, read_page
from worker.index.run_object import RunReader
from worker.index.sums_manifest import Page
from worker.packs.packs import Packs
from worker.state import State
from worker.transform.catalog import Catalog
from worker.transform.day_batches import plan_batches
from worker.transform.day_loader import LoadContext, Observed, latest_products, load_days
from worker.transform.day_summing import customer_type
from worker.transform.kept_sums import CustomersOf, KeptSums
from worker.transform.latest_versions import LatestVersions
from worker.transform.order_sums import scheme_of
from worker.transform.publish import keep_days
from worker.transform.shop.loader import line_columns_of
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.shop.summing import customer_type_of
from worker.transform.shop.transform import ShopDays, open_context
from worker.transform.snapshot import Snapshot
from worker.transform.sums_upkeep import storable_customers

TABLES = tuple(
    frozenset({ORDER_KPIS.name, *others})
    for others in (
        (CATEGORY_KPIS.name,),
        (CATEGORY_KPIS.name, PRODUCT_KPIS.name),
        (PRODUCT_KPIS.name,),
        (),
    )
)
"""KPI tables of which sums may have been kept."""

_MIXERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
"""Odd factors by which keys and places are mixed (from splitmix64 and xxHash)."""


def mixed_words(pointers: Pointers) -> Words:
    """Mix each pointer to a word, so that their sum tells sets of pointers apart."""
    keys, places = pointers["key"] * _MIXERS[0], pointers["place"] * _MIXERS[1]
    words = (keys ^ (keys >> np.uint64(29))) + (places ^ (places >> np.uint64(31)))
    words *= _MIXERS[0]
    found: Words = words ^ (words >> np.uint64(32))
    return found


async def compare_sums(
    snapshot: Snapshot | ShopSnapshot, workspace: Workspace, state: State, reached: int
) -> list[str]:
    """Compare the sums of each day with those made of all of its orders.

    Args:
        snapshot: The clean zone at the sequence that the KPI tables have come to.
        workspace: Where the sums are.
        state: Its ledger.
        reached: The sequence; sums of another one are never used.

    Returns:
        What differs, in words.

    Raises:
        ConfigError, SourceError, StoreError: As `worker.maintenance.audit.audit`.
    """
    in_force = snapshot.history.in_force
    manifest = await open_sums(workspace, state, in_force, reached)
    differences = []
    for day, page in sorted(manifest.pages.items()):
        try:
            is_equal = await _is_right(snapshot, workspace, state, day, page)
        except SourceError as error:
            differences.append(f"the sums of {to_date(day)} cannot be read: {error}")
            continue
        if not is_equal:
            differences.append(f"the sums of {to_date(day)} are not those of its orders")
    return differences


async def _is_right(
    snapshot: Snapshot | ShopSnapshot, workspace: Workspace, state: State, day: int, page: Page
) -> bool:
    for tables in TABLES:
        maker = _maker(snapshot, tables)
        stored = await read_page(workspace, page, maker.scheme)
        if stored is not None:
            break
    else:
        return False
    reader = RunReader(
        workspace.store, workspace.absolute(workspace.index(stored.run.name)), stored.run
    )
    run = (await reader.load())[CUSTOMERS]
    is_shop = isinstance(snapshot, ShopSnapshot)
    customers_of = await storable_customers(state, maker.customer_type, is_shop=is_shop)
    try:
        made = await maker.make(day, customers_of)
    except KpiError:
        return False  # no sums are kept of a day that cannot be computed
    return (
        maker.scheme.fits(stored.sums)
        and _named(maker.scheme, stored.sums) == _named(maker.scheme, made.sums)
        and stored.customers == made.customers
        and _digest_of(stored, run) == _digest(_pointers(made.keys))
    )


def _maker(snapshot: Snapshot | ShopSnapshot, tables: frozenset[str]) -> _Maker:
    if isinstance(snapshot, ShopSnapshot):
        return _ShopMaker(snapshot, tables)
    return _DayMaker(snapshot, tables)


@dataclass(frozen=True, kw_only=True)
class _Made:
    """Sums of a day made of all of its orders, their customers, and the number of these."""

    sums: Sums
    customers: int
    keys: Keys


class _Maker(Protocol):
    """Makes the sums of a day of all of its orders."""

    @property
    def scheme(self) -> Scheme: ...

    @property
    def customer_type(self) -> pa.DataType | None: ...

    async def make(self, day: int, customers_of: CustomersOf) -> _Made: ...


@dataclass(frozen=True)
class _DayMaker:
    """Of a contract of language 1."""

    snapshot: Snapshot
    tables: frozenset[str]

    @property
    def scheme(self) -> Scheme:
        return scheme_of(self.tables)

    @property
    def customer_type(self) -> pa.DataType:
        return customer_type(self.snapshot)

    async def make(self, day: int, customers_of: CustomersOf) -> _Made:
        days = np.array([day], np.int32)
        kept = KeptSums(least_orders=1, room=1 << 62, customers_of=customers_of)
        context = LoadContext(
            snapshot=self.snapshot,
            products=Products(*await latest_products(self.snapshot.products)),
            order_versions=LatestVersions(self.snapshot.orders),
            item_versions=LatestVersions(self.snapshot.items),
            tables=self.tables,
            observed=Observed(),
            plan=await plan_batches(days, self.snapshot),
            kept=kept,
        )
        keep_days(kept, await load_days(days, context), self.tables)
        sums, count = kept.sums.get(day, (NO_SUMS, 0))
        return _Made(sums=sums, customers=count, keys=kept.customers.get(day, NO_KEYS))


@dataclass(frozen=True)
class _ShopMaker:
    """Of a contract of language 2."""

    snapshot: ShopSnapshot
    tables: frozenset[str]

    @property
    def scheme(self) -> Scheme:
        return shop_scheme(line_columns_of(self.snapshot.shop, self.tables))

    @property
    def customer_type(self) -> pa.DataType | None:
        return customer_type_of(self.snapshot.shop)

    async def make(self, day: int, customers_of: CustomersOf) -> _Made:
        days = np.array([day], np.int32)
        kept = KeptSums(customers_of=customers_of)
        context = replace(open_context(self.snapshot, self.tables), kept=kept)
        loader = await ShopDays.plan(context, days)
        kpis = compute_kpis(await loader.load(days), days, self.tables)
        keys, orders = NO_KEYS, kpis.orders
        if orders.orders.users is not None and orders.orders.has_user is not None:
            keys = orders.orders.users.take(orders.counts & orders.orders.has_user)
        at = np.flatnonzero(kpis.totals.days == day)
        return _Made(
            sums=sums_of_totals(self.scheme, kpis.totals, days).get(day, NO_SUMS),
            customers=int(kpis.totals.customers[at].sum()),
            keys=keys,
        )


def _named(scheme: Scheme, sums: Sums) -> list[object]:
    groups = [scheme.named_groups(sums, one.name) for one in scheme.groupings]
    return [scheme.named(sums), *groups]


def _pointers(keys: Keys) -> Pointers:
    stored = storable_keys(keys)
    pointers = np.empty(len(keys), POINTER)
    pointers["key"] = stored.high
    pointers["place"] = stored.high if stored.low is None else stored.low
    return pointers


def _digest(pointers: Pointers) -> tuple[int, int]:
    """Return number and sum of some pointers."""
    return len(pointers), int(np.add.reduce(mixed_words(pointers), dtype=np.uint64))


def _digest_of(stored: StoredSums, run: Pointers) -> tuple[int, int]:
    """Return number and sum of the customers of a run, with those that changed since."""
    count, total = _digest(run)
    changed = np.array(list(stored.changed), POINTER)
    for word, orders in zip(mixed_words(changed).tolist(), stored.changed.values(), strict=True):
        count, total = count + orders, total + orders * word
    return count, total % (1 << 64)


async def compare_packs(
    snapshot: Snapshot | ShopSnapshot, workspace: Workspace, catalogs: Sequence[Catalog]
) -> list[str]:
    """Compare the copies of small clean files in packs with the files.

    Returns:
        What differs, in words. A file without a copy is none: it is read itself.

    Raises:
        StoreError: The store fails after retries.
    """
    packs = await Packs.open(workspace, snapshot.history.in_force.erasures.generation)
    differing = 0
    files = [file for one in catalogs for file in one.with_uncounted().small_files(0)]
    for file in sorted(files, key=lambda one: one.sequence):
        copied = await packs.find(file.sequence, file.key)
        if packs.failure is not None:
            return [f"the packs cannot be read: {packs.failure}"]
        if copied is None:
            continue
        try:
            info = await workspace.store.stat(workspace.stored(file.key))
            differing += await workspace.store.read(info, 0, info.size_bytes) != copied
        except SourceError:
            differing += 1
    if not differing:
        return []
    return [f"the packs have copies of {differing} clean files that are not theirs"]
