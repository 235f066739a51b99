"""Hold what a transform is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.state import State
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits


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
    """

    contract: Contract
    workspace: Workspace
    state: State
    tables: frozenset[str]
    progress: Callable[[int, int], None] | None = None
    limits: TransformLimits = DEFAULT_LIMITS
