"""The transformation task: KPI tables as a function of the ledger.

It reads the ledger's head s and the sequence p that the tables have come to, works out which days
may differ between both, computes those days from the entries up to s, and publishes each. Only
when all of them are published does the progress record move from p to s; so whatever dies on the
way, the next transform starts from a p whose days are whole.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract import Contract
from kpi.daily import DaySlice, Products
from kpi.exact import distinct
from kpi.tables import CATEGORY_KPIS, KPI_TABLES, ORDER_KPIS, PRODUCT_KPIS, UNKNOWN_CATEGORY
from worker.clean import Workspace
from worker.errors import SourceChanged, StoreError
from worker.state import DayKpis, Effect, Entry, Outcome, Progress, Row, State
from worker.transform import changes
from worker.transform.catalog import Catalog, Piece
from worker.transform.changes import Days
from worker.transform.slices import (
    ORDERS_AT_ONCE,
    Seen,
    Zone,
    cut,
    kpis,
    latest_products,
    load,
    possible_days,
    to_date,
    to_day,
)
from worker.transform.spans import Spans
from worker.transform.versions import Versions

DEFAULT_TABLES = frozenset({ORDER_KPIS.name, CATEGORY_KPIS.name})

PUBLISH_AT_ONCE = 16
"""Days published concurrently."""

MAX_RESTARTS = 20
"""How often to begin anew where other workers are at the same days or clean objects."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a transform did.

    Attributes:
        as_of: Sequence that was computed from.
        days: Order dates published, ascending.
        rows: KPI table -> rows published.
        waiting: source_id -> items whose order has not arrived.
        clean_bytes: Bytes in the clean zone at that sequence.
        clean_bytes_read: Bytes of it that were read.
        seconds: Wall time.
    """

    as_of: int
    days: tuple[date, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    clean_bytes: int = 0
    clean_bytes_read: int = 0
    seconds: float = 0.0


@dataclass
class _Published:
    """Days published so far, and rows by table."""

    days: list[date] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Work:
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


class _Contended(Exception):  # noqa: N818
    """A newer writer has begun a day and not ended it."""


async def transform(
    *,
    contract: Contract,
    workspace: Workspace,
    state: State,
    tables: frozenset[str] = DEFAULT_TABLES,
    first: date | None = None,
    last: date | None = None,
    everything: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Bring the KPI tables to the ledger's head.

    Args:
        contract: What the clean rows mean.
        workspace: Where they lie.
        state: Ledger and KPI tables.
        tables: KPI tables to publish.
        first: With `last`, publish only days from `first` to `last` (None: no bound) and leave
            the progress record alone: others do the other days.
        last: See `first`.
        everything: Compute every day anew, whatever the progress record says.
        progress: Told days done and days to do.

    Errors: `SourceError` or `StoreError` where a retry may help; `ConfigError` where the contract
        does not fit the clean zone.
    """
    failure: Exception = StoreError("newer writers keep beginning days")
    for _ in range(MAX_RESTARTS):
        task = _Transform(contract, workspace, state, tables, progress)
        try:
            return await task.run(first, last, everything=everything)
        except _Contended:
            # Whoever claimed the day knew a newer head; so does the next round, and ends the day.
            await asyncio.sleep(0.05)
        except SourceChanged as error:
            # A slower worker has written a clean object again: the same rows, another version.
            failure = error
            await asyncio.sleep(0.05)
    raise StoreError(f"gave up after {MAX_RESTARTS} rounds: {failure}") from failure


async def plan_days(
    *,
    contract: Contract,
    workspace: Workspace,
    state: State,
    tables: frozenset[str] = DEFAULT_TABLES,
    days: int,
) -> list[tuple[date, date]]:
    """Slices of at most `days` of the days to be published, for transforms that run apart.

    Returns:
        First and last day of each slice, ascending.
    """
    task = _Transform(contract, workspace, state, tables, None)
    found = await task.days_to_do()
    return [
        (to_date(found[at]), to_date(found[min(at + days, len(found)) - 1]))
        for at in range(0, len(found), days)
    ]


class _Transform:
    def __init__(
        self,
        contract: Contract,
        workspace: Workspace,
        state: State,
        tables: frozenset[str],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._contract = contract
        self._workspace = workspace
        self._state = state
        self._tables = tables
        self._progress = progress

    async def run(self, first: date | None, last: date | None, *, everything: bool) -> Report:
        started = time.perf_counter()
        work = await self._survey(first, last, everything=everything)
        if work is None:
            return Report(
                as_of=await self._state.head(),
                waiting=dict((await self._state.progress()).waiting),
                seconds=round(time.perf_counter() - started, 3),
            )
        seen = Seen()
        published = await self._publish_all(work, seen)
        waiting = dict(work.record.waiting)
        if first is None and last is None:
            waiting = await self._waiting(work, seen)
            if work.skipped:
                await self._see_days(work, seen)
            await self._record_effects(work, waiting, seen)
            reached = Progress(
                published=dict.fromkeys(self._tables, work.head),
                waiting=waiting,
                waiting_as_of=work.head,
            )
            await self._state.advance(reached)
        return Report(
            as_of=work.head,
            days=tuple(published.days),
            rows=published.rows,
            waiting=waiting,
            clean_bytes=work.zone.size_bytes,
            clean_bytes_read=work.zone.bytes_read,
            seconds=round(time.perf_counter() - started, 3),
        )

    async def days_to_do(self) -> Days:
        """Days that a transform would publish now."""
        work = await self._survey(None, None, everything=False)
        return changes.NO_DAYS if work is None else work.days

    async def _survey(
        self, first: date | None, last: date | None, *, everything: bool
    ) -> _Work | None:
        """What there is to do; None where the tables are at the ledger's head."""
        head = await self._state.head()
        record = await self._state.progress()
        done = min(
            [*(record.published.get(name, 0) for name in self._tables), record.waiting_as_of]
        )
        since = 0 if everything else min(done, head)
        if since == head:
            return None
        entries = await self._state.entries(up_to=head)
        zone = open_zone(entries, self._workspace, self._contract)
        new = {entry.source_id for entry in entries if entry.sequence > since}
        changed = await self._changed_days(zone, new, since)
        begun = await self._state.days()
        every = _within(await _every_day(zone, begun), first, last)
        days = every if changed is None else np.intersect1d(every, changed, assume_unique=True)
        left = (
            days if everything else np.setdiff1d(days, self._whole(begun, head), assume_unique=True)
        )
        return _Work(
            head=head,
            record=record,
            zone=zone,
            new=new,
            every_day=changed is None,
            days=left,
            skipped=len(left) < len(days),
            begun=begun,
        )

    async def _changed_days(self, zone: Zone, new: set[str], since: int) -> Days | None:
        """Days that the new entries may have changed; None for every day."""
        if since == 0:
            return None
        orders, items, products = (_of(catalog, new) for catalog in zone.catalogs)
        of_products = await self._days_of_products(zone, products, since)
        if of_products is None:
            return None
        contract = self._contract
        of_orders = await changes.days_of_new_orders(zone.orders, orders, contract)
        of_items = await changes.days_of_new_items(zone.items, zone.orders, items, contract)
        return np.unique(np.concatenate([of_orders, of_items, of_products]))

    async def _days_of_products(self, zone: Zone, new: list[Piece], since: int) -> Days | None:
        """A product that changes its category may be sold on any day; one that becomes known, only
        on days that have items of unknown products so far, or that were published since."""
        if not new or CATEGORY_KPIS.name not in self._tables:
            return changes.NO_DAYS
        newer = set(new)
        old = [piece for piece in zone.products.pieces if piece not in newer]
        old_ids, old_categories = await latest_products(zone.products, old)
        ids, categories = await latest_products(zone.products, zone.products.pieces)
        at = pc.index_in(ids, value_set=old_ids)
        same = pc.equal(old_categories.take(at).fill_null(""), categories.fill_null(""))
        if pc.any(pc.and_(at.is_valid(), pc.invert(same))).as_py():
            return None
        found: set[int] = set()
        if at.null_count:
            found = {
                to_day(date.fromisoformat(str(row["order_date"])))
                async for row in self._state.rows(CATEGORY_KPIS.name)
                if row["category"] == UNKNOWN_CATEGORY
            }
        # A day published since (by a slice of days, by a worker that died) may show a product in a
        # category that it had in between. Asked after the rows: what is published meanwhile is
        # found either there or here.
        for day, known in (await self._state.days()).items():
            if known.get(CATEGORY_KPIS.name, since + 1) > since:
                found.add(to_day(day))
        return np.array(sorted(found), np.int32)

    def _whole(self, begun: Mapping[date, Mapping[str, int]], head: int) -> Days:
        """Days that are published whole at the head already: a slice of days did them."""
        days = [
            to_day(day)
            for day, known in begun.items()
            if all(known.get(name, 0) >= head for name in self._tables)
        ]
        return np.array(days, np.int32)

    async def _publish_all(self, work: _Work, seen: Seen) -> _Published:
        published = _Published(rows=dict.fromkeys(sorted(self._tables), 0))
        if len(work.days) == 0:
            return published
        zone = work.zone
        products = Products(*await latest_products(zone.products, zone.products.pieces))
        done = 0
        plan = await cut(work.days, zone)

        async def finish(days: Days, day_slice: DaySlice, stood: set[int]) -> None:
            nonlocal done
            tables = await asyncio.to_thread(kpis, day_slice, self._tables)
            await self._publish(days, tables, work, published, stood)
            done += len(days)
            if self._progress:
                self._progress(done, len(work.days))

        # While one slice is being published the next is read.
        finishing: asyncio.Task[None] | None = None
        try:
            for days in plan.slices:
                day_slice = await load(
                    days,
                    zone,
                    products,
                    *work.versions,
                    self._tables,
                    seen,
                    scattered=plan.scattered,
                )
                if finishing is not None:
                    await finishing
                finishing = asyncio.create_task(finish(days, day_slice, set(seen.stood)))
                if len(day_slice) > 2 * ORDERS_AT_ONCE:
                    await finishing  # there is no memory for another one beside it
                del day_slice
            if finishing is not None:
                await finishing
        finally:
            if finishing is not None:
                finishing.cancel()
                await asyncio.gather(finishing, return_exceptions=True)
        return published

    async def _publish(
        self,
        days: Days,
        tables: dict[str, pa.Table],
        work: _Work,
        published: _Published,
        stood: set[int],
    ) -> None:
        slots = asyncio.Semaphore(PUBLISH_AT_ONCE)
        split = {name: rows_by_day(name, table) for name, table in tables.items()}

        async def one(order_date: date) -> Outcome:
            rows = {name: of_day.get(order_date, []) for name, of_day in split.items()}
            async with slots:
                outcome = await self._state.publish(
                    DayKpis(order_date=order_date, tables=rows), work.head
                )
            published.days.append(order_date)
            for name, of_table in rows.items():
                published.rows[name] += len(of_table)
            return outcome

        # Days between others that have never had an order may be millions: one of the year 1. A
        # day that some version of an order stands on gets its guard even where no row is left of
        # it: else a late writer of an older state could publish that version.
        known = {to_day(day) for day in work.begun} | stood
        due = np.intersect1d(days, np.array(sorted(known), np.int32), assume_unique=True)
        outcomes = await asyncio.gather(*(one(to_date(day)) for day in due))
        published.days.sort()
        if Outcome.CONTENDED in outcomes:
            raise _Contended

    async def _waiting(self, work: _Work, seen: Seen) -> dict[str, int]:
        """Items whose order has not arrived, counted anew where that may have changed."""
        # Where every day was computed, an item that was not seen on any is waiting.
        complete = work.every_day and not work.skipped
        zone, record, versions = work.zone, work.record, work.versions[1]
        waiting: dict[str, int] = defaultdict(int)
        to_count = []
        if complete:
            await versions.judge(await zone.items.row_groups())
        for piece in zone.items.pieces:
            source_id = piece.entry.source_id
            if complete:
                alive = piece.part.rows - versions.superseded(await piece.row_groups())
                waiting[source_id] += alive - seen.matched[piece]
            elif source_id in work.new or record.waiting.get(source_id):
                to_count.append(piece)
        await versions.judge(await zone.items.row_groups(to_count))
        counted = await changes.items_without_order(zone.items, zone.orders, to_count, versions)
        for piece, count in counted.items():
            waiting[piece.entry.source_id] += count
        return {source_id: count for source_id, count in waiting.items() if count}

    async def _see_days(self, work: _Work, seen: Seen) -> None:
        """The days of new pieces, of which some were published by others."""
        zone, (orders, items) = work.zone, work.versions
        of_orders, of_items = _of(zone.orders, work.new), _of(zone.items, work.new)
        new_items = await zone.items.row_groups(of_items)
        new_rows = [*await zone.orders.row_groups(of_orders), *new_items]
        ids = Spans(span for group in new_rows for span in group.spans("order_id"))
        await orders.judge(await zone.orders.overlapping("order_id", ids))
        await items.judge(new_items)
        for piece in of_orders:
            days = await changes.days_of_latest_orders(piece, orders, self._contract)
            seen.days[piece].update(days.tolist())
        for piece in of_items:
            days = await changes.days_of_latest_items(
                piece, items, zone.orders, orders, self._contract
            )
            seen.days[piece].update(days.tolist())

    async def _record_effects(self, work: _Work, waiting: dict[str, int], seen: Seen) -> None:
        effects: dict[str, Effect] = {}
        judges = (*work.versions, Versions(work.zone.products))
        for catalog, judge in zip(work.zone.catalogs, judges, strict=True):
            new: dict[str, list[Piece]] = defaultdict(list)
            for piece in _of(catalog, work.new):
                new[piece.entry.source_id].append(piece)
            # All at once: each row group is compared with all that may have a key of it.
            await judge.judge(await catalog.row_groups(chain.from_iterable(new.values())))
            for source_id, pieces in sorted(new.items()):
                groups = await catalog.row_groups(pieces)
                days = sorted(set().union(*(seen.days[piece] for piece in pieces)))
                effects[source_id] = Effect(
                    as_of=work.head,
                    superseded_rows=judge.superseded(groups),
                    waiting_items=waiting.get(source_id, 0),
                    days=len(days),
                    first_day=to_date(days[0]) if days else None,
                    last_day=to_date(days[-1]) if days else None,
                )
        await self._state.record_effects(effects)


def _of(catalog: Catalog, source_ids: set[str]) -> list[Piece]:
    return [piece for piece in catalog.pieces if piece.entry.source_id in source_ids]


def open_zone(entries: Iterable[Entry], workspace: Workspace, contract: Contract) -> Zone:
    """The clean objects of a ledger state; each is opened when it is needed."""
    accepted = [entry for entry in entries if entry.verdict == "accepted"]
    orders, items, products = (
        Catalog.of(contract.datasets[name], accepted, workspace, contract)
        for name in ("orders", "order_items", "products")
    )
    return Zone(contract=contract, orders=orders, items=items, products=products)


async def _every_day(zone: Zone, begun: Iterable[date]) -> Days:
    """Days that may have an order now, and those whose orders may all be gone."""
    of_begun = np.array([to_day(day) for day in begun], np.int32)
    return distinct(np.concatenate([await possible_days(zone.orders), of_begun]))


def _within(days: Days, first: date | None, last: date | None) -> Days:
    low = -(2**31) if first is None else to_day(first)
    high = 2**31 - 1 if last is None else to_day(last)
    return days[(days >= low) & (days <= high)]


def rows_by_day(name: str, table: pa.Table) -> dict[date, list[Row]]:
    """Rows of a KPI table by their day, as the stores take them."""
    days: dict[date, list[Row]] = {}
    columns = [table.column(field.name).to_pylist() for field in KPI_TABLES[name].schema]
    names = KPI_TABLES[name].schema.names
    for values in _rows(columns):
        row = dict(zip(names, values, strict=True))
        day = row["order_date"]
        row["order_date"] = day.isoformat()
        days.setdefault(day, []).append(row)
    return days


def _rows(columns: list[list[object]]) -> Iterable[tuple[object, ...]]:
    return zip(*columns, strict=True)


def table_names(names: Iterable[str]) -> frozenset[str]:
    """KPI tables by their short names: `order`, `category`, `product`.

    Errors: `ValueError` that names what is not a table.
    """
    known = {
        "order": ORDER_KPIS.name,
        "category": CATEGORY_KPIS.name,
        "product": PRODUCT_KPIS.name,
    }
    wrong = sorted(set(names) - set(known))
    if wrong or not names:
        raise ValueError(f"expected some of {', '.join(known)}, got {', '.join(wrong) or 'none'}")
    return frozenset(known[name] for name in names)
