"""Compute KPI rows as of a ledger sequence, and the days that differ between two of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import numpy as np

from kpi.aggregation.calendar import Days
from kpi.aggregation.products import Products
from worker.errors import ConfigError
from worker.explain.periods import AnySnapshot, Period, contract_periods, earlier_snapshot
from worker.explain.steps import Question
from worker.state import Entry, Ledger, Row
from worker.state.paging import records_in_pages
from worker.transform.computed_rows import RowsByPlace, computed_rows
from worker.transform.day_loader import latest_products
from worker.transform.day_ranges import ALL_DAYS, DateRange, possible_days
from worker.transform.pending_work import changed_since
from worker.transform.preview import RowChange, differing_rows
from worker.transform.shop.changed_days import changed_days
from worker.transform.shop.days import days_of_versions
from worker.transform.shop.snapshot import ShopSnapshot, open_shop_snapshot
from worker.transform.snapshot import open_snapshot
from worker.transform.task import TransformTask
from worker.transform.touched_orders import TouchedOrders

NO_TOUCHED_ORDERS = 0
"""Orders whose ids are kept while changed days are looked for."""


async def check_sequence(ledger: Ledger, sequence: int, option: str) -> None:
    """Refuse a sequence that the ledger has not come to.

    Raises:
        ConfigError: It is none of the ledger.
        StoreError: The ledger cannot be read, after retries.
    """
    head = await ledger.head()
    if sequence > head:
        raise ConfigError(
            "the ledger has no such sequence",
            option=option,
            expected=f"0 to {head}",
            actual=str(sequence),
            hint="`shopkpi ledger` lists the sequences of files",
        )


async def sequence_at(ledger: Ledger, time: datetime) -> int:
    """Return the last sequence before the first record that is later than a time; 0 for none.

    A file has the time of its upload: the ledger does not say when it was committed. So this is
    the longest history in which nothing is later.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    head = await ledger.head()
    async for page in records_in_pages(ledger, head):
        for record in page:
            at = record.happened_at if isinstance(record, Entry) else record.recorded_at
            if at > time:
                return record.sequence - 1
    return head


async def rows_as_of(
    question: Question, sequence: int, table: str, group: str | None, date_range: DateRange
) -> AsyncIterator[Row]:
    """Yield the rows of a KPI table as of a sequence, as `KpiStore.rows` yields those of now.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
        StoreError: The ledger cannot be read, after retries.
        KpiError: An amount exceeds 64 bits.
    """
    if not sequence:
        return
    snapshot = await open_at(question, sequence, since=0)
    days = date_range.select(await _every_day(snapshot))
    async for _, computed in computed_rows(snapshot, days, frozenset({table})):
        for (_, of_group), row in sorted(computed[table].items()):
            if group is None or of_group == group:
                yield {**row, "as_of": sequence}


async def changes_between(
    question: Question, before: int, after: int, date_range: DateRange = ALL_DAYS
) -> AsyncIterator[RowChange]:
    """Yield the KPI rows that differ between two sequences, ascending by day, table and group.

    Args:
        question: What is asked about.
        before: The earlier sequence; 0 for before the first record.
        after: The later one.
        date_range: Days to look at.

    Raises:
        ConfigError, SourceError, StoreError, KpiError: As `rows_as_of`.
    """
    if before == after:
        return
    now = await open_at(question, after, since=before)
    then = None
    if before:
        period = await _period_of(question, after)
        is_same = before >= period.first
        then = earlier_snapshot(now, before) if is_same else await open_at(question, before, 0)
        days = await _changed_days(question, now, before) if is_same else None
    else:
        days = None
    if days is None:
        days = await _every_day(now)
        if then is not None:
            days = np.union1d(days, await _every_day(then)).astype(np.int32)
    products = None
    if then is not None and not isinstance(then, ShopSnapshot):
        products = Products(*await latest_products(then.products))
    tables = question.tables
    async for batch, later in computed_rows(now, date_range.select(days), tables):
        earlier: dict[str, RowsByPlace] = {name: {} for name in tables}
        if then is not None:
            async for _, computed in computed_rows(then, batch, tables, products):
                for name, rows in computed.items():
                    earlier[name] = {**earlier[name], **rows}
        found = [
            change
            for name in sorted(tables)
            for change in differing_rows(name, earlier[name], later[name])
        ]
        for change in sorted(found, key=lambda one: one.order_date):
            yield change


async def _period_of(question: Question, sequence: int) -> Period:
    periods = await contract_periods(question.state, sequence, question.contract)
    return periods[-1]


async def open_at(question: Question, sequence: int, since: int) -> AnySnapshot:
    """Open the clean zone at a sequence, by the contract that was in force."""
    contract = (await _period_of(question, sequence)).contract
    opened = open_snapshot if contract.shop is None else open_shop_snapshot
    return await opened(
        question.state, sequence, question.workspace, contract, question.limits, since=since
    )


async def _every_day(snapshot: AnySnapshot) -> Days:
    """Return the days that may have an order, or had one by an upload that does not count."""
    if isinstance(snapshot, ShopSnapshot):
        return await days_of_versions(snapshot)
    return await possible_days(snapshot.orders.with_uncounted())


async def _changed_days(question: Question, snapshot: AnySnapshot, since: int) -> Days | None:
    """Return the days that may differ from an earlier sequence; None for every day."""
    touched = TouchedOrders(NO_TOUCHED_ORDERS)
    if isinstance(snapshot, ShopSnapshot):
        return await changed_days(snapshot, since, question.tables, touched)
    task = TransformTask(
        contract=snapshot.contract,
        workspace=question.workspace,
        state=question.state,
        tables=question.tables,
        limits=question.limits,
    )
    return await changed_since(task, snapshot, since, touched)
