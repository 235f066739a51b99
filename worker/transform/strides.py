"""Bring tables up to date in strides: after a long backlog a killed transform loses one of them.

A stride is a transform that takes an earlier sequence for the ledger's head. Its days are those of
that sequence, published whole, and its progress record says so. So it is what a transform would
have been that ran at that time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kpi.errors import KpiError
from worker.errors import WorkerError
from worker.state import State
from worker.transform.day_pipeline import Contended
from worker.transform.reached import reached_sequence
from worker.transform.report import Report
from worker.transform.task import TransformTask


class _LedgerUpTo:
    """A state whose ledger seems to end at a sequence; see `State`."""

    def __init__(self, state: State, up_to: int) -> None:
        self._state = state
        self._up_to = up_to

    async def head(self) -> int:
        return min(self._up_to, await self._state.head())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the state has)
        return getattr(self._state, name)


async def transform_in_strides(
    task: TransformTask, transform: Callable[[TransformTask], Awaitable[Report]]
) -> list[Report]:
    """Run all strides but the last, to the ledger's head; none where one is enough.

    What fails is left to the last: records at the head may have put right what an earlier sequence
    has, or another writer was there.

    Args:
        task: What is to be brought up to date.
        transform: Brings a task to the head of its ledger.

    Raises:
        StoreError: The state fails.
    """
    reports: list[Report] = []
    records = task.limits.stride_records
    while True:
        up_to = reached_sequence(task.tables, await task.state.progress()) + records
        if up_to >= await task.state.head():
            break
        stride = replace(task, state=_LedgerUpTo(task.state, up_to))
        with suppress(Contended, KpiError, WorkerError):
            reports.append(await transform(stride))
            continue
        break
    return reports


def joined_report(reports: Sequence[Report]) -> Report:
    """Return what several strides did, in their order."""
    last = reports[-1]
    if len(reports) == 1:
        return last
    rows, notes = Counter[str](), Counter[str]()
    for report in reports:
        rows.update(report.rows)
        notes.update(report.notes)
    return Report(
        as_of=last.as_of,
        days=tuple(sorted({day for report in reports for day in report.days})),
        rows=dict(rows),
        waiting=last.waiting,
        notes=dict(notes),
        notices=tuple(one for report in reports for one in report.notices),
        rollbacks=tuple(one for report in reports for one in report.rollbacks),
        takeovers=tuple(one for report in reports for one in report.takeovers),
        clean_bytes=last.clean_bytes,
        clean_bytes_read=sum(report.clean_bytes_read for report in reports),
        seconds=round(sum(report.seconds for report in reports), 3),
    )
