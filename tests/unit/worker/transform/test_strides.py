"""A long backlog moves in strides: a killed transform loses one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kpi.aggregation.tables import record_names
from kpi.contract.loading import built_in
from kpi.errors import KpiError
from tests.simulation import workers
from tests.simulation.backend import Backend
from tests.simulation.search import search
from tests.support.samples import entry
from worker.clean import Workspace
from worker.objects.location import locate
from worker.objects.memory import MemoryStore
from worker.state import Progress
from worker.state.memory import MemoryState
from worker.transform import Report, transform
from worker.transform.limits import TransformLimits
from worker.transform.strides import joined_report, transform_in_strides
from worker.transform.task import TransformTask

LIMITS = TransformLimits(stride_records=3)


class Killed(BaseException):
    """Ends a process."""


class Watched(MemoryState):
    """A state that notes how far the tables have come, and kills a writer at a sequence."""

    def __init__(self, killed_at: int = 0) -> None:
        super().__init__()
        self.reached: list[int] = []
        self.killed_at = killed_at

    async def advance(self, progress: Progress) -> Progress:
        if progress.waiting_as_of == self.killed_at:
            raise Killed
        self.reached.append(progress.waiting_as_of)
        return await super().advance(progress)


def task_of(state: MemoryState, limits: TransformLimits = LIMITS) -> TransformTask:
    workspace = Workspace(store=MemoryStore("clean"), location=locate("s3://clean"))
    return TransformTask(
        contract=built_in(),
        workspace=workspace,
        state=state,
        tables=frozenset({"order_kpis"}),
        limits=limits,
    )


async def publish(state: MemoryState, limits: TransformLimits = LIMITS) -> Report:
    task = task_of(state, limits)
    return await transform(
        contract=task.contract,
        workspace=task.workspace,
        state=state,
        tables=task.tables,
        limits=limits,
    )


async def backlog(state: MemoryState, files: int) -> None:
    for number in range(files):
        await state.commit(replace(entry(f"{number}"), parts=(), rows_clean=0))


async def test_a_backlog_moves_in_strides() -> None:
    state = Watched()
    await backlog(state, 7)
    assert (await publish(state)).as_of == 7
    assert state.reached == [3, 6, 7]
    await state.commit(replace(entry("one more"), parts=(), rows_clean=0))
    await publish(state)
    assert state.reached == [3, 6, 7, 8]


async def test_a_killed_transform_loses_one_stride() -> None:
    state = Watched(killed_at=6)
    await backlog(state, 7)
    with pytest.raises(Killed):
        await publish(state)
    state.killed_at = 0
    await publish(state)
    assert state.reached == [3, 6, 7]


async def test_what_fails_in_a_stride_is_left_to_the_head() -> None:
    """A file of a later sequence may have put right what cannot be computed at an earlier one."""
    state = Watched()
    await backlog(state, 9)
    asked: list[int] = []

    async def fail(task: TransformTask) -> Report:
        asked.append(await task.state.head())
        if len(asked) == 2:
            raise KpiError("2025-03-01: amounts exceed 64 bits")
        reached = dict.fromkeys(record_names(["order_kpis"]), asked[-1])
        await task.state.advance(Progress(published=reached, waiting_as_of=asked[-1]))
        return Report(as_of=asked[-1])

    assert [one.as_of for one in await transform_in_strides(task_of(state), fail)] == [3]
    assert asked == [3, 6]


def test_reports_of_strides_are_one() -> None:
    reports = [
        Report(as_of=3, rows={"a": 1}, notes={"x": 1}, clean_bytes=5, clean_bytes_read=2),
        Report(as_of=6, rows={"a": 2, "b": 1}, clean_bytes=9, clean_bytes_read=3, waiting={"s": 1}),
    ]
    assert joined_report(reports) == Report(
        as_of=6,
        rows={"a": 3, "b": 1},
        notes={"x": 1},
        waiting={"s": 1},
        clean_bytes=9,
        clean_bytes_read=5,
    )


@pytest.mark.parametrize("records", [1, 2])
def test_histories_in_strides_end_with_their_kpis(
    records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEFAULT_LIMITS", "INDEXED", "STREAMED"):
        limits = replace(getattr(workers, name), stride_records=records)
        monkeypatch.setattr(workers, name, limits)
    search(3 + records, Backend(), histories=20)
