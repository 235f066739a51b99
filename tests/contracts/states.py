"""Reads that tests of several states share."""

from __future__ import annotations

from datetime import date

import pytest

from worker.state import KpiStore, Row

DAY = date(2024, 5, 1)

CONCURRENTLY = pytest.mark.parametrize(
    "state", ["sqlite", "memory", "dynamodb-ministack"], indirect=True
)
"""Not on moto, which fails when several transactions are in flight."""


async def rows(
    state: KpiStore,
    table: str,
    *,
    first: date | None = None,
    last: date | None = None,
    group: str | None = None,
) -> list[Row]:
    return [row async for row in state.rows(table, first=first, last=last, group=group)]


async def stored(state: KpiStore) -> dict[str, list[Row]]:
    """Read all rows of the two tables that `day_kpis` fills."""
    return {table: await rows(state, table) for table in ("order_kpis", "category_kpis")}
