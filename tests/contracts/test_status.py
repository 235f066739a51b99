"""The status of a shop over every store: what it says, and how much it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kpi.contract.loading import built_in
from tests.support.samples import adoption, entry
from worker.clean import Workspace
from worker.index.stored_intake import keep_intake
from worker.maintenance.shop_status import read_status
from worker.objects.local import FolderStore
from worker.objects.location import locate
from worker.state import Entry, Progress, Record, State

CONTRACT = replace(
    adoption(), text=built_in().text, recorded_at=datetime(2025, 3, 2, 12, tzinfo=UTC)
)
NOW = datetime(2025, 3, 4, 12, tzinfo=UTC)


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
        await state.commit(entry(f"{number:016x}"), adoption=CONTRACT)
    refused = replace(entry("f" * 16), verdict="refused", reason="no header", rows_clean=0)
    await state.commit(replace(refused, parts=()))
    head = await state.head()
    waiting = {f"{number:016x}": 1 + number for number in range(3)}
    await state.advance(
        Progress(published={"category_kpis": head - 1}, waiting=waiting, waiting_as_of=head)
    )
    counting = Counting(state)
    before = await read_status(workspace, counting, now=NOW)  # type: ignore[arg-type]
    assert counting.records_read > head

    assert await keep_intake(workspace, state, head, tail_records=1)
    counting.records_read = 0
    found = await read_status(workspace, counting, now=NOW)  # type: ignore[arg-type]
    assert counting.records_read <= 32 + 1 + len(waiting)
    assert found == before
    assert (found.head, found.counted_up_to) == (head, head)
    assert found.datasets["orders"].files == 150
    assert [one.source_id for one in found.refused] == ["f" * 16]
    assert {one.source_id: one.items for one in found.waiting} == waiting
    assert (found.waiting_files, found.waiting_items, found.waiting_as_of) == (3, 6, head)
    assert found.published == {"category_kpis": head - 1}
    assert found.behind == {}  # a refused file changes no table
    assert found.adoption is not None

    await state.commit(entry("e" * 16))
    found = await read_status(workspace, state, now=NOW)
    assert found.behind == {"category_kpis": head - 1}
    assert found.datasets["orders"].files == 151


async def test_counters_of_a_large_ledger_are_made_in_strides(state: State, tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    for number in range(5):
        await state.commit(entry(f"{number:016x}"))
    assert not await keep_intake(workspace, state, 5, tail_records=6)
    found = await read_status(workspace, state, now=NOW, most_records=2)
    assert (found.head, found.counted_up_to, found.datasets["orders"].files) == (5, 2, 2)
    for reached in (4, 5):
        assert await keep_intake(workspace, state, 5, tail_records=1, most_records=4)
        found = await read_status(workspace, state, now=NOW, most_records=0)
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
    assert (await read_status(workspace, state, now=NOW)).datasets["orders"].files == 7
    of_another = stored.replace('"files":1', '"files":7').replace('"ledger":"', '"ledger":"0')
    path.write_text(of_another)
    assert (await read_status(workspace, state, now=NOW)).datasets["orders"].files == 1
    path.write_text("{")
    assert (await read_status(workspace, state, now=NOW)).datasets["orders"].files == 1


EXPECTING = (
    built_in().text
    + """
[expect]
every = "day"
by = "09:00"
datasets = ["orders"]
"""
)


async def test_late_files_are_told_since_the_contract_that_expects_them(
    state: State, tmp_path: Path
) -> None:
    workspace = workspace_at(tmp_path)
    first = replace(CONTRACT, recorded_at=datetime(2025, 3, 1, 12, tzinfo=UTC))
    await state.commit(entry("a" * 16), adoption=first)
    assert not (await read_status(workspace, state, now=NOW)).expects
    expecting = replace(CONTRACT, digest="expect", text=EXPECTING)
    adopted = await state.adopt(expecting, replaces=1)
    again = replace(expecting, digest="again", text=f"{EXPECTING}#\n", recorded_at=NOW)
    await state.adopt(again, replaces=adopted.sequence)
    came = replace(entry("b" * 16), uploaded_at=datetime(2025, 3, 4, 8, tzinfo=UTC))
    await state.commit(replace(came, contract="again"))
    found = await read_status(workspace, state, now=NOW)
    assert found.expects
    # That of 3 March: the one of 2 March was due before the contract expected it.
    assert [(one.due.day, one.is_late) for one in found.missing] == [(3, True), (5, False)]
    assert await keep_intake(workspace, state, await state.head(), tail_records=1)
    assert await read_status(workspace, state, now=NOW) == found
