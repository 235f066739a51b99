"""States of days beside printed KPI rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from kpi.aggregation.completeness import DayState, day_states, shown_row
from kpi.aggregation.tables import ORDER_KPIS
from worker.reporting.day_evidence import read_evidence

if TYPE_CHECKING:
    from kpi.contract.model import Contract
    from worker.clean import Workspace
    from worker.state import Row, State

UNKNOWN = DayState(state="unverified", reasons={}, rejected_rows=0, waiting_items=0)
"""State of a day that has no row of `order_kpis`."""

COMPLETENESS_RANKS = {
    "published_at": 10,
    "as_of": 9,
    "orders_without_promise": 8,
    "orders_without_items": 7,
    "rejected_rows": 6,
    "waiting_items": 5,
    "items_expected": 4,
    "items_arrived": 3,
    "items_missing": 2,
}
"""Columns that a narrow terminal leaves out: `why` says in words what they count."""


async def read_day_states(
    state: State,
    workspace: Workspace,
    contract: Contract,
    first: date | None = None,
    last: date | None = None,
) -> dict[date, DayState]:
    """Return the state of each day that has a row of `order_kpis`.

    Args:
        state: Ledger and KPI tables.
        workspace: Rejected rows.
        contract: Contract in force.
        first: First day; None for no bound.
        last: Last day; None for no bound.

    Raises:
        SourceError, StoreError: A retry may help.
    """
    from worker.maintenance.expected_files import with_missing_files  # Arrow, 0.3 s

    evidence = await read_evidence(state, workspace, contract)
    evidence = await with_missing_files(evidence, state, workspace, datetime.now(UTC))
    rows = state.rows(ORDER_KPIS.name, first=first, last=last)
    return day_states([row async for row in rows], evidence)


def state_of(row: Row, states: Mapping[date, DayState]) -> DayState:
    """Return the state of the day of a row."""
    return states.get(date.fromisoformat(str(row[ORDER_KPIS.partition_key])), UNKNOWN)


def with_state(
    table: str,
    row: Row,
    states: Mapping[date, DayState],
    names: Iterable[str],
    times: Mapping[date, datetime],
) -> dict[str, object]:
    """Return a row as it is printed: with the state of its day.

    Args:
        table: Its KPI table.
        row: The row.
        states: Day -> its state.
        names: KPI attributes to show.
        times: Day -> when it was published last.
    """
    state = state_of(row, states)
    if table == ORDER_KPIS.name:
        at = times.get(date.fromisoformat(str(row[ORDER_KPIS.partition_key])))
        return {**shown_row(row, state, names, published_at=at)}
    return {**{name: row.get(name) for name in names}, "state": state.state}
