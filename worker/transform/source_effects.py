"""Derive what became of the rows of each source object: waiting, superseded, counted on days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace

from kpi.aggregation.calendar import to_date
from worker.state import Effect
from worker.transform import changed_days
from worker.transform.catalog import Catalog
from worker.transform.clean_files import CleanFile
from worker.transform.day_loader import Observed
from worker.transform.latest_versions import LatestVersions
from worker.transform.pending_work import PendingWork
from worker.transform.snapshot import Snapshot
from worker.transform.takeovers import Takeover, find_takeovers, with_takeovers
from worker.transform.task import TransformTask


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Latest rows of each dataset, resolved for the row groups that were asked for."""

    orders: LatestVersions
    items: LatestVersions
    products: LatestVersions


async def count_waiting_items(work: PendingWork, observed: Observed) -> dict[str, int]:
    """Count the items whose order has not arrived, by source object.

    Only sources whose count may have changed are counted again.
    """
    snapshot, versions = work.snapshot, work.item_versions
    waiting: dict[str, int] = defaultdict(int)
    # Where every day was computed, an item that was seen on none of them is waiting.
    if work.every_day and not work.skipped:
        await versions.resolve(await snapshot.items.row_groups())
        for file in snapshot.items.files:
            latest = file.rows - versions.count_superseded(await file.row_groups())
            waiting[file.source_id] += latest - observed.matched[file]
    else:
        due = await _sources_to_count(work)
        known = snapshot.items.of_sources(work.record.waiting).source_ids - due
        waiting |= {one: count for one, count in work.record.waiting.items() if one in known}
        to_count = snapshot.items.of_sources(due)
        await versions.resolve(await to_count.row_groups())
        counted = await changed_days.items_without_order(to_count, snapshot.orders, versions)
        for file, count in counted.items():
            waiting[file.source_id] += count
    return {source_id: count for source_id, count in waiting.items() if count}


async def _sources_to_count(work: PendingWork) -> set[str]:
    """Return the new source objects, and those whose waiting items may have changed.

    These have waiting items of which an order, or a later version, may have arrived. An upload
    that ceases to count makes items wait whose order it takes away, and brings back items that it
    had superseded.
    """
    items = work.snapshot.items
    due = await _sharing_keys(work, work.new_sources, items.of_sources(work.record.waiting))
    due |= await _sharing_keys(work, work.ceased_sources, items)
    return due | work.new_sources


async def _sharing_keys(work: PendingWork, source_ids: Set[str], among: Catalog) -> set[str]:
    """Return the sources of items that may share an order or a key with rows of some uploads."""
    items, orders = (
        one.with_uncounted().of_sources(source_ids)
        for one in (work.snapshot.items, work.snapshot.orders)
    )
    key = among.dataset.key[0]
    keys = await among.ids_of(key, await items.row_groups())
    order_ids = await among.ids_of("order_id", await orders.row_groups())
    sharing_key = await among.holding(key, keys)
    sharing_order = await among.holding("order_id", order_ids)
    return sharing_key.source_ids | sharing_order.source_ids


async def observe_days(
    snapshot: Snapshot,
    source_ids: Set[str],
    versions: Versions,
    observed: Observed,
) -> None:
    """Add the days of some sources' files to `observed`, from the clean files alone."""
    orders = snapshot.orders.of_sources(source_ids)
    items = snapshot.items.of_sources(source_ids)
    new_items = await items.row_groups()
    new_rows = [*await orders.row_groups(), *new_items]
    ids = await snapshot.orders.ids_of("order_id", new_rows)
    await versions.orders.resolve(await snapshot.orders.row_groups_holding("order_id", ids))
    await versions.items.resolve(new_items)
    contract = snapshot.contract
    for file in orders.files:
        days = await changed_days.days_of_latest_orders(file, versions.orders, contract)
        observed.add_days(file, days)
    for file in items.files:
        days = await changed_days.days_of_latest_items(
            file, versions.items, snapshot.orders, versions.orders, contract
        )
        observed.add_days(file, days)


async def record_effects(
    task: TransformTask,
    work: PendingWork,
    waiting: dict[str, int],
    observed: Observed,
    takeovers: Iterable[Takeover],
) -> None:
    """Record in the ledger what the new source objects changed."""
    effects: dict[str, Effect] = {}
    for catalog in work.snapshot.catalogs:
        for file in catalog.with_uncounted().since(work.since).without(catalog).files:
            so_far = effects.get(file.source_id, Effect(as_of=work.head))
            rows = so_far.superseded_rows + file.rows
            effects[file.source_id] = replace(so_far, superseded_rows=rows)
    versions = Versions(
        orders=work.order_versions,
        items=work.item_versions,
        products=LatestVersions(work.snapshot.products),
    )
    sources = work.new_sources
    effects |= await _effects(work.snapshot, sources, versions, waiting, observed, work.head)
    await task.state.record_effects(with_takeovers(effects, takeovers))


async def present_effects(
    snapshot: Snapshot, source_ids: Set[str], as_of: int
) -> dict[str, Effect]:
    """Compute what became of the rows of some sources, from the clean files of a snapshot.

    Args:
        snapshot: At the sequence that is asked about.
        source_ids: Sources; those that do not count are left out.
        as_of: That sequence.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    observed = Observed(new=source_ids)
    versions = Versions(
        orders=LatestVersions(snapshot.orders),
        items=LatestVersions(snapshot.items),
        products=LatestVersions(snapshot.products),
    )
    await observe_days(snapshot, source_ids, versions, observed)
    waiting: dict[str, int] = defaultdict(int)
    counted = await changed_days.items_without_order(
        snapshot.items.of_sources(source_ids), snapshot.orders, versions.items
    )
    for file, count in counted.items():
        waiting[file.source_id] += count
    effects = await _effects(snapshot, source_ids, versions, waiting, observed, as_of)
    return with_takeovers(effects, await find_takeovers(snapshot, source_ids))


async def _effects(
    snapshot: Snapshot,
    source_ids: Set[str],
    versions: Versions,
    waiting: Mapping[str, int],
    observed: Observed,
    as_of: int,
) -> dict[str, Effect]:
    """Gather the effects of sources that count; their days have been observed."""
    effects: dict[str, Effect] = {}
    all_versions = (versions.orders, versions.items, versions.products)
    for catalog, of_dataset in zip(snapshot.catalogs, all_versions, strict=True):
        chosen = catalog.of_sources(source_ids)
        # All at once: each row group is compared with every other that may share a key with it.
        await of_dataset.resolve(await chosen.row_groups())
        of_sources: dict[str, list[CleanFile]] = defaultdict(list)
        for file in chosen.files:
            of_sources[file.source_id].append(file)
        for source_id, files in sorted(of_sources.items()):
            groups = [group for file in files for group in await file.row_groups()]
            days = sorted(set().union(*(observed.days[file] for file in files)))
            effects[source_id] = Effect(
                as_of=as_of,
                superseded_rows=of_dataset.count_superseded(groups),
                waiting_items=waiting.get(source_id, 0),
                days=len(days),
                first_day=to_date(days[0]) if days else None,
                last_day=to_date(days[-1]) if days else None,
            )
    return effects
