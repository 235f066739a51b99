"""Workers on the same tables, some of whom lose their connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal

from tests.support.emulators import Emulator
from tests.support.faults import FaultyProxy, faulty_proxy
from tests.support.samples import day_kpis
from worker.runtime.retry import RetryPolicy
from worker.state import DayKpis
from worker.state.dynamodb.store import DynamoDBState

DAY = date(2024, 5, 1)

QUICK = RetryPolicy(attempts=6, first_wait_s=0.001)
ONCE = RetryPolicy(attempts=1)
"""A writer that dies of its first trouble."""

TRANSACTION = b"TransactWriteItems"


@asynccontextmanager
async def another(
    aws: Emulator, state: DynamoDBState, *, retry: RetryPolicy = QUICK
) -> AsyncIterator[tuple[DynamoDBState, FaultyProxy]]:
    """Another worker on the same tables, whose connections can be broken."""
    async with (
        faulty_proxy(aws.endpoint_url) as proxy,
        await DynamoDBState.open(
            state.database.prefix, endpoint_url=proxy.url, retry=retry
        ) as opened,
    ):
        yield opened, proxy


def large_day(as_of: int, *, first: int = 0) -> DayKpis:
    """250 categories: three transactions, or more where the day has rows."""
    categories = [f"category {number:03d}" for number in range(first, first + 250)]
    return day_kpis(DAY, Decimal(as_of), categories=categories)
