"""Hold what a transform is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kpi.aggregation.calendar import Days
from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.state import State
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits


class PublishedDays(Protocol):
    """Days that a transform of every day need not compute again, since a killed one has."""

    def left(self, days: Days, head: int) -> Days:
        """Return the days that are not published at a sequence, of some ascending ones."""

    async def add(self, days: Days, head: int) -> None:
        """Record that days, which follow on each other among all of them, are published."""


@dataclass(frozen=True, kw_only=True)
class TransformTask:
    """What is to be brought up to date.

    Attributes:
        contract: Meaning of the clean rows.
        workspace: Where they are.
        state: Ledger and KPI tables.
        tables: KPI tables to publish.
        progress: Called with the number of days done and the number of days to do.
        limits: What may be held in memory at once.
        published: Days that are published already, where every day is; None where none counts.
    """

    contract: Contract
    workspace: Workspace
    state: State
    tables: frozenset[str]
    progress: Callable[[int, int], None] | None = None
    limits: TransformLimits = DEFAULT_LIMITS
    published: PublishedDays | None = None

    def left(self, days: Days, head: int) -> Days:
        """Return the days that are still to be computed, where every day is."""
        return days if self.published is None else self.published.left(days, head)
