"""Load, compute and publish batches of days, the next one while one is published."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Set, Sized
from dataclasses import dataclass, field
from datetime import date
from typing import Generic, Protocol, TypeVar

import numpy as np

from kpi.aggregation.calendar import Days, to_date
from kpi.errors import KpiError
from worker.runtime.wording import counted
from worker.state import DayKpis, Outcome, Row
from worker.transform.task import TransformTask

CONCURRENT_PUBLICATIONS = 16
"""Days published at once."""

REPORTED_DAYS = 10
"""Days that an error names."""


class Contended(Exception):
    """A newer writer has begun a day and not ended it."""


@dataclass
class Published:
    """Days published so far, and the number of rows of each table."""

    days: list[date] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


RowsOfDay = Callable[[date], dict[str, list[Row]]]
"""Returns the rows of a day of a batch, by table."""

Loaded = TypeVar("Loaded", bound=Sized)
"""Orders of some days and what belongs to them; its size is the number of orders."""


class DayLoader(Protocol[Loaded]):
    """Loads and computes days.

    Attributes:
        batches: Ascending days of each batch.
    """

    batches: list[Days]

    @property
    def order_days(self) -> Set[int]:
        """Return the days seen so far that any version of an order is on."""

    async def load(self, days: Days) -> Loaded:
        """Load some days."""

    def compute(self, loaded: Loaded, days: Days) -> RowsOfDay:
        """Compute the rows of loaded days."""


class DayPipeline(Generic[Loaded]):
    """Batches of days on their way: the next one is loaded while one is published."""

    def __init__(
        self,
        task: TransformTask,
        head: int,
        loader: DayLoader[Loaded],
        known_days: Set[int],
        published: Published,
    ) -> None:
        """Prepare to publish.

        Args:
            task: What to bring up to date.
            head: Sequence that is published.
            loader: Loads and computes the days.
            known_days: Days to publish even where they have no order.
            published: Collects what was published.
        """
        self._task = task
        self._head = head
        self._loader = loader
        self._known_days = known_days
        self._published = published
        self._todo: deque[Days] = deque(loader.batches)
        self._total_days = sum(map(len, loader.batches))
        self._done_days = 0
        self._failed: list[str] = []

    async def run(self) -> None:
        """Load and publish all batches; see `publish_days` for what is raised."""
        finishing: asyncio.Task[None] | None = None
        try:
            while self._todo or finishing is not None:
                if not self._todo and finishing is not None:
                    await finishing  # may have put parts of its batch back
                    finishing = None
                    continue
                days = self._todo.popleft()
                loaded = await self._load(days)
                if loaded is None:
                    continue
                if finishing is not None:
                    await finishing
                order_days = set(self._loader.order_days)
                finishing = asyncio.create_task(self._finish(days, loaded, order_days))
                if len(loaded) > 2 * self._task.limits.batch_orders:
                    await finishing  # there is no memory for another one beside it
                del loaded
        finally:
            if finishing is not None:
                finishing.cancel()
                await asyncio.gather(finishing, return_exceptions=True)
        if self._failed:
            shown = sorted(self._failed)[:REPORTED_DAYS]
            more = len(self._failed) - len(shown)
            named = "; ".join(shown) + (f", and {counted(more, 'day')} more" if more else "")
            raise KpiError(
                f"{named}. All other days are published. Rows with wrong amounts can be uploaded "
                "again with the right ones"
            )

    async def _load(self, days: Days) -> Loaded | None:
        """Load a batch; None where it cannot be computed and was bisected."""
        try:
            return await self._loader.load(days)
        except KpiError as error:
            self._bisect(days, error)
            return None

    async def _finish(self, days: Days, loaded: Loaded, order_days: set[int]) -> None:
        try:
            rows = await asyncio.to_thread(self._loader.compute, loaded, days)
        except KpiError as error:
            self._bisect(days, error)
            return
        del loaded
        await self._publish(days, rows, order_days)
        if self._task.published is not None:
            await self._task.published.add(days, self._head)
        self._done_days += len(days)
        if self._task.progress:
            self._task.progress(self._done_days, self._total_days)

    def _bisect(self, days: Days, error: KpiError) -> None:
        """Put both halves of a batch back, to find the days that cannot be computed."""
        if len(days) == 1:
            self._failed.append(f"{to_date(days[0])}: {error}")
        else:
            half = len(days) // 2
            self._todo.extend((days[:half], days[half:]))

    async def _publish(self, days: Days, rows_of: RowsOfDay, order_days: set[int]) -> None:
        """Publish the rows of a batch.

        Args:
            days: Days of the batch.
            rows_of: Returns the rows of one of them.
            order_days: Days that any version of an order is on.
        """
        slots = asyncio.Semaphore(CONCURRENT_PUBLICATIONS)

        async def publish(order_date: date) -> Outcome:
            async with slots:
                rows = rows_of(order_date)
                day = DayKpis(order_date=order_date, tables=rows)
                outcome = await self._task.state.publish(day, self._head)
                self._published.days.append(order_date)
                for name, of_table in rows.items():
                    self._published.rows[name] += len(of_table)
            return outcome

        known = np.array(sorted(self._known_days | order_days), np.int32)
        due = np.intersect1d(days, known, assume_unique=True)
        outcomes = await asyncio.gather(*(publish(to_date(day)) for day in due))
        self._published.days.sort()
        if Outcome.CONTENDED in outcomes:
            raise Contended
