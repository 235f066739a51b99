"""The status of a shop over every store: what it says, and how much it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.samples import adoption, entry
from worker.clean import Workspace
from worker.index.stored_intake import keep_intake
from worker.maintenance.shop_status import read_status
from worker.objects.local import FolderStore
from worker.objects.location import locate
from worker.state import Entry, Progress, Record, State


class Counting:
    """A state that counts the records that are read."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.records_read = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._state, name)

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        found = await self._state.records(after=after, up_to=up_to)
        self.records_read += len(found)
        return found

    async def entries_at(self, sequences: Sequence[int]) -> list[Entry]:
        self.records_read += len(sequences)
        return await self._state.entries_at(sequences)


def workspace_at(folder: Path) -> Workspace:
    return Workspace(store=FolderStore(), location=locate(str(folder)))


async def test_status_reads_counters_and_the_records_after_them(
    state: State, tmp_path: Path
) -> None:
    workspace = workspace_at(tmp_path)
    for number in range(150):
        await state.commit(entry(f"{number:016x}"), adoption=adoption())
    refused = replace(entry("f" * 16), verdict="refused", reason="no header", rows_clean=0)
    await state.commit(replace(refused, parts=()))
    head = await state.head()
    waiting = {f"{number:016x}": 1 + number for number in range(3)}
    await state.advance(
        Progress(published={"order_kpis": head - 1}, waiting=waiting, waiting_as_of=head)
    )
    counting = Counting(state)
    before = await read_status(workspace, counting)  # type: ignore[arg-type]
    assert counting.records_read > head

    assert await keep_intake(workspace, state, head, tail_records=1)
    counting.records_read = 0
    found = await read_status(workspace, counting)  # type: ignore[arg-type]
    assert counting.records_read <= 32 + 1 + len(waiting)
    assert found == before
    assert (found.head, found.counted_up_to) == (head, head)
    assert found.datasets["orders"].files == 150
    assert [one.source_id for one in found.refused] == ["f" * 16]
    assert {one.source_id: one.items for one in found.waiting} == waiting
    assert (found.waiting_files, found.waiting_items, found.waiting_as_of) == (3, 6, head)
    assert found.published == {"order_kpis": head - 1}
    assert found.behind == {}  # a refused file changes no table
    assert found.adoption is not None

    await state.commit(entry("e" * 16))
    found = await read_status(workspace, state)
    assert found.behind == {"order_kpis": head - 1}
    assert found.datasets["orders"].files == 151


async def test_counters_of_a_large_ledger_are_made_in_strides(state: State, tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    for number in range(5):
        await state.commit(entry(f"{number:016x}"))
    assert not await keep_intake(workspace, state, 5, tail_records=6)
    found = await read_status(workspace, state, most_records=2)
    assert (found.head, found.counted_up_to, found.datasets["orders"].files) == (5, 2, 2)
    for reached in (4, 5):
        assert await keep_intake(workspace, state, 5, tail_records=1, most_records=4)
        found = await read_status(workspace, state, most_records=0)
        assert (found.counted_up_to, found.datasets["orders"].files) == (reached, reached)


async def test_counters_of_a_ledger_that_was_put_back_are_not_taken(
    state: State, tmp_path: Path
) -> None:
    workspace = workspace_at(tmp_path)
    await state.commit(entry("a" * 16))
    assert await keep_intake(workspace, state, 1, tail_records=1)
    path = tmp_path / "index" / "intake.json"
    stored = path.read_text()
    path.write_text(stored.replace('"files":1', '"files":7'))
    assert (await read_status(workspace, state)).datasets["orders"].files == 7
    of_another = stored.replace('"files":1', '"files":7').replace('"ledger":"', '"ledger":"0')
    path.write_text(of_another)
    assert (await read_status(workspace, state)).datasets["orders"].files == 1
    path.write_text("{")
    assert (await read_status(workspace, state)).datasets["orders"].files == 1
