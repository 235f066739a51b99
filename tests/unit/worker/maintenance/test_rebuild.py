"""A rebuild that was killed goes on where it was, and with nothing that it has not made."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kpi.contract.loading import parse_contract
from tests.language.uploads import CONTRACT, Shop
from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.maintenance.maintained import (
    LIMITS,
    Dying,
    Killed,
    check_named,
    differences,
    task_of,
)
from tests.unit.worker.transform.test_indexed_files import day, ident
from worker.maintenance.rebuild import Rebuilt, rebuild
from worker.maintenance.rebuild_progress import UNDER_WAY_NAME, resume
from worker.objects import ObjectInfo
from worker.objects.local import FolderStore
from worker.state import DayKpis, Effect, Outcome, Record, State
from worker.transform.task import TransformTask

DAY_BY_DAY = replace(LIMITS, batch_orders=1, scattered_batch_orders=1)
DAYS = [f"2025-03-0{number}" for number in range(1, 5)]


class Publishing:
    """A state that says which days are published, and whose process ends before one of them."""

    def __init__(self, state: Any, ends_before: str = "") -> None:
        self._state = state
        self._ends_before = ends_before
        self.published: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        if day.order_date.isoformat() == self._ends_before:
            raise Killed
        self.published.append(day.order_date.isoformat())
        outcome: Outcome = await self._state.publish(day, as_of)
        return outcome


def of_days(pipeline: Pipeline, ends_before: str = "") -> tuple[TransformTask, list[str]]:
    """Return the task of a rebuild whose batches have one day each, and the days it publishes."""
    task = task_of(pipeline)
    state: Any = Publishing(task.state, ends_before)
    return replace(task, state=state, limits=DAY_BY_DAY), state.published


def index_folder(pipeline: Pipeline) -> Path:
    return Path("/") / pipeline.workspace.absolute("index")


async def effects_of(state: State) -> dict[str, Effect]:
    return await state.effects([entry.source_id for entry in await state.entries()])


async def killed_before(pipeline: Pipeline, day: str) -> None:
    task, published = of_days(pipeline, ends_before=day)
    with pytest.raises(Killed):
        await rebuild(task)
    assert published == [one for one in DAYS if one < day]
    assert (index_folder(pipeline) / UNDER_WAY_NAME).exists()


async def resumed(pipeline: Pipeline, **options: Any) -> tuple[Rebuilt, list[str]]:
    task, published = of_days(pipeline)
    done = await rebuild(task, **options)
    assert not (index_folder(pipeline) / UNDER_WAY_NAME).exists()
    await check_named(pipeline)
    return done, published


async def test_a_rebuild_ended_before_any_write_goes_on(pipeline: Pipeline) -> None:
    before = await pipeline.all_rows()
    went_on = []
    for writes in itertools.count():
        try:
            done = await rebuild(task_of(pipeline, Dying(Killed(), writes)))
        except Killed:
            assert await differences(pipeline) == []
            assert await pipeline.all_rows() == before
        else:
            went_on.append(done.resumed)
            break
    assert went_on == [True]
    assert writes > 5
    await check_named(pipeline)
    assert await pipeline.all_rows() == before
    assert not (index_folder(pipeline) / UNDER_WAY_NAME).exists()
    assert (await rebuild(task_of(pipeline))).resumed is False


async def test_a_resumed_rebuild_publishes_the_days_that_are_left(pipeline: Pipeline) -> None:
    before, effects = await pipeline.all_rows(), await effects_of(task_of(pipeline).state)
    await killed_before(pipeline, DAYS[2])
    done, published = await resumed(pipeline)
    assert done.resumed
    assert published == DAYS[2:]
    assert await pipeline.all_rows() == before
    found = await effects_of(task_of(pipeline).state)
    assert {one: replace(effect, as_of=0) for one, effect in found.items()} == {
        one: replace(effect, as_of=0) for one, effect in effects.items()
    }


async def test_a_rebuild_goes_on_where_another_ends_as_it_begins(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one deletes the object that says that a rebuild is under way."""
    before, stat, deletions = await pipeline.all_rows(), FolderStore.stat, itertools.count()

    async def stat_of(store: FolderStore, key: str, **options: Any) -> ObjectInfo:
        path = Path("/") / key
        if path.name == UNDER_WAY_NAME and path.exists() and next(deletions) == 0:
            await store.delete(key)
        return await stat(store, key, **options)

    monkeypatch.setattr(FolderStore, "stat", stat_of)
    _, published = await resumed(pipeline)
    assert next(deletions) > 1
    assert published == DAYS
    assert await pipeline.all_rows() == before


async def test_a_rebuild_after_an_upload_publishes_every_day(pipeline: Pipeline) -> None:
    """A day that was published before the upload may be one that it changed."""
    await killed_before(pipeline, DAYS[3])
    late = Upload("orders", ((ident(2), ident(9), "Returned", "2025-03-01T12:00:00"),), 99)
    for path in shops.write(index_folder(pipeline).parent / "late", [late]):
        await pipeline.validate(path)
    done, published = await resumed(pipeline)
    assert done.resumed
    assert published == DAYS
    rows = (await pipeline.all_rows())["order_kpis"]
    await pipeline.transform(everything=True)
    assert (await pipeline.all_rows())["order_kpis"] == rows


async def test_a_rebuild_of_another_ledger_begins_from_nothing(pipeline: Pipeline) -> None:
    await killed_before(pipeline, DAYS[3])
    task = task_of(pipeline)

    class PutBack(Publishing):
        """A ledger that was put back, and whose last record is another one since."""

        async def records(self, **options: Any) -> list[Record]:
            found: list[Record] = await self._state.records(**options)
            return [*found[:-1], replace(found[-1], sequence=0)]

    other: Any = PutBack(task.state)
    for ledger, goes_on in ((task.state, True), (other, False)):
        found = await resume(task.workspace, ledger, task.tables, datetime.now(UTC))
        assert (found is not None) is goes_on


@pytest.mark.parametrize("late", [False, True])
async def test_a_rebuild_a_day_later_keeps_nothing(pipeline: Pipeline, late: bool) -> None:
    """The index was in use since, and it is the one that is to go."""
    await killed_before(pipeline, DAYS[3])
    planted = index_folder(pipeline) / f"{'5' * 32}.run"
    planted.write_bytes(b"made since")
    now = datetime.now(UTC) + timedelta(hours=25 if late else 1)
    done, published = await resumed(pipeline, now=lambda: now)
    assert done.resumed is not late
    assert planted.exists() is not late
    assert published == (DAYS if late else DAYS[3:])


async def test_objects_older_than_the_rebuild_are_not_kept(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """A copy of the index was put back after the rebuild was killed."""
    copy = tmp_path / "copy"
    shutil.copytree(index_folder(pipeline), copy)
    names = {path.name for path in copy.iterdir()}
    await killed_before(pipeline, DAYS[3])
    for path in copy.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
        shutil.copy2(path, index_folder(pipeline))
    done, _ = await resumed(pipeline)
    assert done.resumed
    assert done.deleted_objects >= len(names - {"ledger.json"}) > 1
    old = [one for one in index_folder(pipeline).iterdir() if one.stat().st_mtime < 1_700_000_001]
    assert [one.name for one in old if one.name != "ledger.json"] == []


@pytest.mark.parametrize("text", [b"{}", b"", b'{"head": 1}', b"[]"])
async def test_progress_that_says_nothing_is_not_resumed(pipeline: Pipeline, text: bytes) -> None:
    (index_folder(pipeline) / UNDER_WAY_NAME).write_bytes(text)
    done, published = await resumed(pipeline)
    assert not done.resumed
    assert published == DAYS


async def test_more_tables_are_published_for_every_day(pipeline: Pipeline) -> None:
    task, _ = of_days(pipeline, ends_before=DAYS[3])
    with pytest.raises(Killed):
        await rebuild(replace(task, tables=frozenset({"order_kpis"})))
    _, published = await resumed(pipeline)
    assert published == DAYS


async def test_small_files_are_read_once_and_many_at_a_time(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs are made first: days and key index are then read from them."""
    monkeypatch.setattr("worker.transform.file_cache.FILE_CACHE_BYTES", 1)  # as of many files
    for number in range(5, 12):
        for path in shops.write(tmp_path / f"shop{number}", day(number)):
            await pipeline.validate(path)

    class Watching(FolderStore):
        reading = most = 0

        def __init__(self) -> None:
            super().__init__()
            self.opened = Counter[str]()

        async def stat(self, key: str, **options: Any) -> ObjectInfo:
            self.reading += 1
            self.most = max(self.most, self.reading)
            await asyncio.sleep(0.005)
            if "/clean/" in key:
                self.opened[key] += 1
            self.reading -= 1
            return await super().stat(key, **options)

    store = Watching()
    await rebuild(task_of(pipeline, store))
    assert len(store.opened) == 2 * 11
    assert set(store.opened.values()) == {1}
    assert 4 < store.most <= 32
    await check_named(pipeline)


async def test_a_rebuild_of_language_2_is_resumed_too(tmp_path: Path) -> None:
    contract = parse_contract(CONTRACT, source="test")
    async with Pipeline(tmp_path / "home", contract) as pipeline:
        uploads = Shop(pipeline, tmp_path)
        for number, day in enumerate(DAYS):
            await uploads.put(f"sales{number}.csv", f"{number},{number},{day},A,1,2.50")
        await pipeline.transform()
        before = await pipeline.all_rows()
        assert len(before["order_kpis"]) == 4
        task, _ = of_days(pipeline, ends_before=DAYS[2])
        limits = replace(DAY_BY_DAY, shop_batch_orders=1, shop_scattered_batch_orders=1)
        with pytest.raises(Killed):
            await rebuild(replace(task, limits=limits))
        done, published = await resumed(pipeline)
        assert done.resumed
        assert published == DAYS[2:]
        assert await pipeline.all_rows() == before
