"""A state whose days take several transactions, as days of more than 99 rows do in DynamoDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from kpi.aggregation.tables import KPI_TABLES
from tests.simulation.backend import Backend
from tests.simulation.history import History, Step, Transform
from tests.simulation.schedule import Scheduler
from worker.errors import StoreError
from worker.state import DayKpis, Outcome
from worker.state.day_guard import Guard
from worker.state.kpi_rows import stored_row
from worker.state.memory import MemoryState

ATTEMPTS = 10


class TornState(MemoryState):
    """Publishes one table after the other, each on the condition that the guard is as it was left.

    The steps are those of `worker.state.dynamodb.kpis`, with a table a transaction.

    Attributes:
        written: Day and table -> sequence of the last writer. No store keeps it.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self.written: dict[tuple[str, str], int] = {}

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        order_date = day.order_date.isoformat()
        for _ in range(ATTEMPTS):
            guard = self._guards.get(order_date, Guard())
            verdict = guard.verdict(day.tables, as_of)
            if verdict is not None:
                return verdict
            if await self._write(day, as_of, guard):
                return Outcome.PUBLISHED
        raise StoreError(f"gave up on {order_date}: others kept writing it")

    async def days(self) -> dict[date, Mapping[str, int]]:
        return {date.fromisoformat(day): guard.whole() for day, guard in self._guards.items()}

    async def _write(self, day: DayKpis, as_of: int, guard: Guard) -> bool:
        order_date = day.order_date.isoformat()
        tables = sorted(day.tables, key=lambda name: (name == "order_kpis", name))
        for name in tables:
            if name != tables[0]:
                await self._scheduler.between()
            if self._guards.get(order_date, Guard()) != guard:
                return False
            self._rows[name][order_date] = [
                stored_row(KPI_TABLES[name], row) for row in day.tables[name]
            ]
            self.written[order_date, name] = as_of
            guard = guard.next(as_of, day.tables if name == tables[-1] else ())
            self._guards[order_date] = guard
        return True


TORN = Backend(state=TornState, torn=True)


def befallen_between(history: History) -> History:
    """The history, with what befalls a worker while it publishes befalling it half-way."""

    def moved(step: Step) -> Step:
        if isinstance(step, Transform) and step.fault and step.fault.operation == "publish":
            return replace(step, fault=replace(step.fault, operation="between"))
        return step

    return replace(history, steps=tuple(map(moved, history.steps)))
