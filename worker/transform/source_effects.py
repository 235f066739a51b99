"""What became of the rows of each source object: waiting, superseded, counted on which days."""

from __future__ import annotations

from collections import defaultdict

from kpi.aggregation.calendar import to_date
from worker.state import Effect
from worker.transform import changed_days
from worker.transform.clean_files import Piece
from worker.transform.day_loader import Seen
from worker.transform.intervals import Spans
from worker.transform.latest_versions import Versions
from worker.transform.pending_work import Task, Work


async def waiting_items(work: Work, seen: Seen) -> dict[str, int]:
    """Items whose order has not arrived, counted anew where that may have changed."""
    zone, versions = work.zone, work.versions[1]
    waiting: dict[str, int] = defaultdict(int)
    # Where every day was computed, an item that was not seen on any is waiting.
    if work.every_day and not work.skipped:
        await versions.judge(await zone.items.row_groups())
        for piece in zone.items.pieces:
            alive = piece.rows - versions.superseded(await piece.row_groups())
            waiting[piece.source_id] += alive - seen.matched[piece]
    else:
        due = await _to_be_counted(work)
        known = zone.items.of_sources(work.record.waiting).source_ids - due
        waiting |= {one: count for one, count in work.record.waiting.items() if one in known}
        to_count = zone.items.of_sources(due)
        await versions.judge(await to_count.row_groups())
        counted = await changed_days.items_without_order(to_count, zone.orders, versions)
        for piece, count in counted.items():
            waiting[piece.source_id] += count
    return {source_id: count for source_id, count in waiting.items() if count}


async def _to_be_counted(work: Work) -> set[str]:
    """Source objects that are new, and those with waiting items of which an order may have come, or
    a later version."""
    items, orders = work.zone.items, work.zone.orders
    key = items.dataset.key[0]
    new_items = await items.of_sources(work.new).row_groups()
    new_orders = await orders.of_sources(work.new).row_groups()
    again = Spans(span for group in new_items for span in group.spans(key))
    came = Spans(span for group in new_orders for span in group.spans("order_id"))
    waiting = items.of_sources(work.record.waiting)
    due = waiting.meeting(key, again).source_ids | waiting.meeting("order_id", came).source_ids
    return due | work.new


async def see_days(task: Task, work: Work, seen: Seen) -> None:
    """The days of new pieces, of which some were published by others."""
    zone, (orders, items) = work.zone, work.versions
    of_orders, of_items = zone.orders.of_sources(work.new), zone.items.of_sources(work.new)
    new_items = await of_items.row_groups()
    new_rows = [*await of_orders.row_groups(), *new_items]
    ids = Spans(span for group in new_rows for span in group.spans("order_id"))
    await orders.judge(await zone.orders.overlapping("order_id", ids))
    await items.judge(new_items)
    for piece in of_orders.pieces:
        days = await changed_days.days_of_latest_orders(piece, orders, task.contract)
        seen.count_on(piece, days)
    for piece in of_items.pieces:
        days = await changed_days.days_of_latest_items(
            piece, items, zone.orders, orders, task.contract
        )
        seen.count_on(piece, days)


async def record_effects(task: Task, work: Work, waiting: dict[str, int], seen: Seen) -> None:
    """Tell the ledger what the new source objects changed."""
    effects: dict[str, Effect] = {}
    judges = (*work.versions, Versions(work.zone.products))
    for catalog, judge in zip(work.zone.catalogs, judges, strict=True):
        new = catalog.of_sources(work.new)
        # All at once: each row group is compared with all that may have a key of it.
        await judge.judge(await new.row_groups())
        of_sources: dict[str, list[Piece]] = defaultdict(list)
        for piece in new.pieces:
            of_sources[piece.source_id].append(piece)
        for source_id, pieces in sorted(of_sources.items()):
            groups = [group for piece in pieces for group in await piece.row_groups()]
            days = sorted(set().union(*(seen.days[piece] for piece in pieces)))
            effects[source_id] = Effect(
                as_of=work.head,
                superseded_rows=judge.superseded(groups),
                waiting_items=waiting.get(source_id, 0),
                days=len(days),
                first_day=to_date(days[0]) if days else None,
                last_day=to_date(days[-1]) if days else None,
            )
    await task.state.record_effects(effects)
