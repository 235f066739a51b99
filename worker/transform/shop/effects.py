"""Derive what became of the rows of each source object of a shop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import to_date
from kpi.kernels.masks import booleans
from kpi.mapping.clean_rows import DAY
from worker.state import Effect
from worker.transform.catalog import Catalog
from worker.transform.clean_files import CleanFile, RowGroup
from worker.transform.key_sets import KeySet
from worker.transform.shop.changed_references import TooManyKeysError, changed_cells
from worker.transform.shop.days import days_of
from worker.transform.shop.loader import ShopContext
from worker.transform.shop.order_ids import batches_of, ids_of, rows_with
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.shop.takeovers import find_shop_takeovers
from worker.transform.shop.versions import JOINED, deleted_rows, row_mask
from worker.transform.shop.waiting import WaitingRows
from worker.transform.shop.work import ShopWork
from worker.transform.takeovers import with_takeovers


async def count_waiting(work: ShopWork, context: ShopContext) -> dict[str, int]:
    """Count the rows that wait for an order or a reference, by source object.

    Only sources whose count may have changed are counted again.
    """
    snapshot, counting = work.snapshot, WaitingRows(context)
    waiting: dict[str, int] = defaultdict(int)
    due: set[str] | None = None
    if not work.every_day:
        due = await _due_sources(work, counting)
    if due is not None:
        kept = work.record.waiting.keys() - due
        counted = {one for name in JOINED for one in _live_sources(snapshot, name, kept)}
        waiting |= {one: work.record.waiting[one] for one in counted}
    for name in JOINED:
        if not counting.may_wait(name):
            continue
        files = snapshot.live(name)
        if due is not None:
            files = files.of_sources(due)
        elif name == "order_items":
            files = await _with_rows_not_joined(files, context)
        for source_id, count in (await counting.count(name, files)).items():
            waiting[source_id] += count
    return {source_id: count for source_id, count in waiting.items() if count}


def _live_sources(
    snapshot: ShopSnapshot, name: str, among: Collection[str] | None = None
) -> set[str]:
    """Return the source objects of the files of a dataset that count; None for among all."""
    if name not in snapshot.catalogs:
        return set()
    files = snapshot.live(name)
    return (files if among is None else files.of_sources(among)).source_ids


async def _with_rows_not_joined(files: Catalog, context: ShopContext) -> Catalog:
    """Select the files of which loading every day has not joined every latest row to an order."""
    versions = context.versions["order_items"]
    await versions.resolve(await files.row_groups())
    found = set()
    for file in files.files:
        latest = file.rows - versions.count_superseded(await file.row_groups())
        if latest > context.seen.joined[file]:
            found.add(file.source_id)
    return files.of_sources(found)


async def _due_sources(work: ShopWork, counting: WaitingRows) -> set[str]:
    """Return the sources whose waiting rows may have changed.

    These are the changed ones, and those with waiting rows of which an order may have come. Rows
    of others may begin to wait where an order goes, comes back, or begins to wait itself.
    """
    snapshot, files = work.snapshot, work.changed
    changed = {name: files.sources(name) for name in snapshot.catalogs}
    due = {one for name in JOINED if name in changed for one in changed[name]} | work.erased
    references = {one for name, of_name in changed.items() if name not in JOINED for one in of_name}
    if references and any(map(counting.needs_references, JOINED)):
        try:
            due |= await _with_changed_look_ups(work)
        except TooManyKeysError:
            return due | {one for name in JOINED for one in _live_sources(snapshot, name)}
    arrived = snapshot.uploads.changed_since(work.since) - snapshot.uploads.ceased_since(work.since)
    others: set[str] | None = set(work.record.waiting)
    # A line whose order was gone waited for nothing; when the order comes back, it may wait for a
    # reference.
    needed = any(map(counting.needs_references, ("orders", "order_items")))
    if due - arrived or needed:
        others = None  # any may
    groups = await _groups_of(snapshot, changed, ("orders", "order_items"))
    for name in ("order_items", "refunds"):
        if name in snapshot.catalogs and "order_id" in snapshot.catalogs[name].dataset.columns:
            due |= await _sharing(snapshot, name, "order_id", groups, others)
    if "order_items" in snapshot.catalogs:
        key = snapshot.catalogs["order_items"].dataset.key[0]
        of_items = await _groups_of(snapshot, changed, ("order_items",))
        due |= await _sharing(snapshot, "order_items", key, of_items, others)
    return due


async def _with_changed_look_ups(work: ShopWork) -> set[str]:
    """Return the sources of rows that look up what may have changed, or whose order does.

    Raises:
        TooManyKeysError: They are too many to be looked for.
    """
    snapshot, found = work.snapshot, set[str]()
    ids: list[pa.Array] = []
    async for name, column, cells in changed_cells(work.changed, work.task.tables):
        found |= await _sources_with(snapshot, name, column, cells)
        if name == "orders":
            every = snapshot.catalogs[name].with_uncounted()
            tables = rows_with(every, column, cells, ["order_id"])
            ids += [ids_of(table) async for table in tables]
    of_orders = pc.unique(pa.chunked_array(ids, pa.string()))
    for name in ("order_items", "refunds"):
        if name in snapshot.catalogs and "order_id" in snapshot.catalogs[name].dataset.columns:
            found |= await _sources_with(snapshot, name, "order_id", of_orders)
    return found


async def _sources_with(
    snapshot: ShopSnapshot, name: str, column: str, cells: pa.Array
) -> set[str]:
    """Return the sources of a dataset of which a column may have one of some cells."""
    files = snapshot.live(name)
    wanted = KeySet.of_values(cells, files.limits.lookup_points)
    return (await files.holding(column, wanted)).source_ids


async def _groups_of(
    snapshot: ShopSnapshot, changed: Mapping[str, Collection[str]], names: Iterable[str]
) -> list[RowGroup]:
    """Return the row groups of the changed files of some datasets."""
    found = []
    for name in names:
        if name in snapshot.catalogs:
            files = snapshot.catalogs[name].with_uncounted().of_sources(changed[name])
            found += await files.row_groups()
    return found


async def _sharing(
    snapshot: ShopSnapshot,
    name: str,
    column: str,
    groups: Sequence[RowGroup],
    among: Collection[str] | None,
) -> set[str]:
    """Return the sources of a dataset that may share an id with some row groups.

    Args:
        snapshot: The clean zone.
        name: The dataset.
        column: Column of the id.
        groups: The row groups, of this dataset or another.
        among: Sources that are looked at; None for all that count.
    """
    live = snapshot.live(name)
    files = live if among is None else live.of_sources(among)
    return (await files.holding(column, await files.ids_of(column, groups))).source_ids


async def effects_of(
    context: ShopContext,
    source_ids: Collection[str],
    waiting: Mapping[str, int],
    as_of: int,
) -> dict[str, Effect]:
    """Compute what became of the rows of some sources; those that do not count are left out."""
    snapshot = context.snapshot
    days: dict[str, set[int]] = defaultdict(set)
    superseded = dict.fromkeys(_counting(snapshot, source_ids), 0)
    for name, catalog in snapshot.catalogs.items():
        precedence = snapshot.precedence[name]
        files = catalog.of_sources(superseded.keys())
        await context.versions[name].resolve(await files.row_groups())
        for file in files.files:
            if precedence.is_replaced(file):
                superseded[file.source_id] += file.rows
                continue
            kept, of_file = await _kept(context, name, file, catalog)
            superseded[file.source_id] += file.rows - kept
            days[file.source_id] |= of_file
    return {
        one: _effect(count, sorted(days[one]), waiting.get(one, 0), as_of)
        for one, count in superseded.items()
    }


async def present_shop_effects(
    context: ShopContext, source_ids: Collection[str], as_of: int
) -> dict[str, Effect]:
    """Compute what became of the rows of some sources, from the clean files of a snapshot."""
    counting, waiting = WaitingRows(context), defaultdict[str, int](int)
    for name in JOINED:
        if counting.may_wait(name):
            files = context.snapshot.live(name).of_sources(source_ids)
            for source_id, count in (await counting.count(name, files)).items():
                waiting[source_id] += count
    effects = await effects_of(context, source_ids, waiting, as_of)
    return with_takeovers(effects, await find_shop_takeovers(context.snapshot, source_ids))


def _counting(snapshot: ShopSnapshot, source_ids: Collection[str]) -> set[str]:
    """Return those of some source objects that count, and feed a dataset."""
    feeds = snapshot.feeds
    found = feeds.among(source_ids) & (snapshot.history.places >= 0)
    feeding = [found & feeds.feeding(name) for name in snapshot.catalogs]
    return feeds.source_ids(np.logical_or.reduce(feeding))


async def _kept(
    context: ShopContext, name: str, file: CleanFile, catalog: Catalog
) -> tuple[int, set[int]]:
    """Count the rows of a file that count, and return the days that orders and refunds are on."""
    dataset = context.snapshot.shop.all_datasets[name]
    versions = context.versions[name]
    columns = [one for condition in dataset.deleted for one in condition]
    columns += [DAY] if name in ("orders", "refunds") and DAY in catalog.dataset.columns else []
    if not columns:
        return file.rows - versions.count_superseded(await file.row_groups()), set()
    kept, days = 0, set[int]()
    async for batch, table in batches_of(catalog.of_files([file]), list(dict.fromkeys(columns))):
        mask = row_mask(batch, versions)
        keep = ~deleted_rows(dataset, table)
        if mask is not None:
            keep &= mask
        kept += int(np.count_nonzero(keep))
        if DAY in columns:
            days.update(days_of(table.filter(booleans(keep))).tolist())
    return kept, days


def _effect(superseded: int, days: list[int], waiting: int, as_of: int) -> Effect:
    return Effect(
        as_of=as_of,
        superseded_rows=superseded,
        waiting_items=waiting,
        days=len(days),
        first_day=to_date(days[0]) if days else None,
        last_day=to_date(days[-1]) if days else None,
    )
