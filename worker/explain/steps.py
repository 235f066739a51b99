"""Find the ledger records that moved a KPI of a day: its state before and after each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from kpi.aggregation.calendar import to_day
from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.errors import StoreError
from worker.explain.day_rows import DayRows, Tables, read_day
from worker.explain.periods import (
    AnySnapshot,
    contract_periods,
    earlier_snapshot,
    open_period,
    restrict,
)
from worker.explain.row_changes import RowChanges, compare_rows
from worker.explain.shop_day_rows import ShopDayRows, read_shop_day
from worker.explain.touching import first_of, records_about
from worker.state import Entry, Record, Row, Ruling, State
from worker.transform.computed_rows import RowsByPlace, computed_rows
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.transform.preview import RowChange, differing_rows
from worker.transform.shop.snapshot import ShopSnapshot


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about.

    Attributes:
        state: Ledger and KPI tables.
        workspace: Where the clean rows are.
        contract: Meaning of the clean rows where the ledger has adopted none.
        tables: KPI tables.
        limits: What may be held in memory at once.
    """

    state: State
    workspace: Workspace
    contract: Contract
    tables: frozenset[str]
    limits: TransformLimits = DEFAULT_LIMITS


@dataclass(frozen=True, kw_only=True)
class Step:
    """One record that moved a day.

    Attributes:
        record: The record.
        changes: Rows of the KPI tables before and after it.
        rows: Rows of the datasets that the day is made of, and that it changed. None where the
            record brought another contract into force: it may read every row otherwise.
    """

    record: Record
    changes: tuple[RowChange, ...]
    rows: RowChanges | None

    @property
    def sequence(self) -> int:
        return self.record.sequence

    @property
    def at(self) -> datetime:
        """When the file was uploaded, or what else it is was recorded."""
        one = self.record
        return one.happened_at if isinstance(one, Entry) else one.recorded_at

    @property
    def kind(self) -> str:
        """`upload`, `repair` of rows that an upload had rejected, or the kind of the record."""
        if not isinstance(self.record, Entry):
            return self.record.kind
        return "upload" if self.record.repair is None else "repair"

    @property
    def url(self) -> str:
        """File that it is about; empty for none."""
        return self.record.url if isinstance(self.record, Entry | Ruling) else ""


@dataclass(frozen=True, kw_only=True)
class DayAfter:
    """A day after one record.

    Attributes:
        sequence: Of the record.
        rows: KPI table -> its rows of the day.
        tables: What they are made of.
        is_adoption: Whether the record brought another contract into force.
        keys: Dataset -> columns of its key.
    """

    sequence: int
    rows: Mapping[str, RowsByPlace]
    tables: Tables
    is_adoption: bool
    keys: Mapping[str, tuple[str, ...]]


async def explain_day(question: Question, day: date, head: int) -> list[Step]:
    """Return the records that moved a KPI of a day, ascending.

    Args:
        question: What is asked about.
        day: The day.
        head: Sequence of the last record that is heeded.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
        StoreError: The ledger cannot be read, after retries.
        KpiError: An amount exceeds 64 bits.
    """
    before: DayAfter | None = None
    steps: list[Step] = []
    async for state in days_after(question, day, head):
        changes = [
            one
            for name in sorted(question.tables)
            for one in differing_rows(
                name, {} if before is None else before.rows[name], state.rows[name]
            )
        ]
        if changes:
            rows = None
            if not state.is_adoption:
                earlier = before.tables if before is not None else None
                rows = await asyncio.to_thread(compare_rows, earlier, state.tables, state.keys)
            record = await _record_at(question, state.sequence)
            steps.append(Step(record=record, changes=tuple(changes), rows=rows))
        before = state
    return steps


async def days_after(question: Question, day: date, head: int) -> AsyncIterator[DayAfter]:
    """Yield a day after each record that may have changed it, ascending.

    Raises:
        ConfigError, SourceError, StoreError, KpiError: As `explain_day`.
    """
    for period in await contract_periods(question.state, head, question.contract):
        snapshot = await open_period(question.state, question.workspace, period, question.limits)
        first = period.first if period.adoption is not None else 0
        async for state in _states_of(question, snapshot, to_day(day), first):
            yield state


async def _states_of(
    question: Question, snapshot: AnySnapshot, day: int, adopted: int
) -> AsyncIterator[DayAfter]:
    """Yield a day after each record of a period; the first is that of the adoption."""
    rows: DayRows | ShopDayRows
    if isinstance(snapshot, ShopSnapshot):
        rows = await read_shop_day(snapshot, day)
    else:
        rows = await read_day(snapshot, day)
    about = records_about(snapshot.history, rows.sources())
    of_orders = rows.first_sources
    first = 0 if of_orders is None else first_of(snapshot.history, of_orders)
    snapshot = await restrict(snapshot, question.state, about)
    found = [sequence for sequence in about if sequence > adopted and sequence >= first]
    before: Tables | None = None
    computed: dict[str, RowsByPlace] = {}
    for sequence in [adopted, *found] if adopted else found:
        earlier = earlier_snapshot(snapshot, sequence)
        products, tables = None, await rows.latest(earlier)  # type: ignore[arg-type]
        if isinstance(rows, DayRows):
            products = rows.products(tables)
        if rows.decide_alone and _are_equal(before, tables):
            continue
        before = tables
        computed = {name: {} for name in question.tables}
        if not rows.are_none(tables):
            days = np.array([day], np.int32)
            async for _, of_day in computed_rows(earlier, days, question.tables, products):
                computed = of_day  # one day is one batch
        yield DayAfter(
            sequence=sequence,
            rows=computed,
            tables=tables,
            is_adoption=sequence == adopted,
            keys=rows.keys,
        )


def _are_equal(before: Tables | None, after: Tables) -> bool:
    return before is not None and all(after[name].equals(before[name]) for name in before)


async def _record_at(question: Question, sequence: int) -> Record:
    found = await question.state.records(after=sequence - 1, up_to=sequence)
    if len(found) != 1:
        raise StoreError(f"the ledger has no record at sequence {sequence}", retryable=False)
    return found[0]


def rows_of_steps(steps: Sequence[Step], up_to: int, table: str) -> dict[str, Row]:
    """Return what the steps up to a sequence add up to: group -> row of a KPI table."""
    found: dict[str, Row] = {}
    for step in steps:
        for change in step.changes:
            if step.sequence > up_to or change.table != table:
                continue
            group = change.group or ""
            found.pop(group, None)
            if change.after is not None:
                found[group] = change.after
    return found
