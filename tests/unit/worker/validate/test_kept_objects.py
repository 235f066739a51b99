"""A process that sleeps for days before its commit: `maintain` takes its objects, no entry lacks
one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.shops import Pipeline
from worker.errors import ObjectsCollected, StoreError
from worker.maintenance.collection import Collector
from worker.maintenance.erasure.erase import erase
from worker.maintenance.erasure.request import Request
from worker.objects import ObjectWriter
from worker.objects.local import FolderStore
from worker.state import Entry
from worker.state.contract_in_force import contract_of
from worker.state.secret import secret_of
from worker.validate.byte_range import ByteRange
from worker.validate.context import ValidationContext
from worker.validate.kept_objects import missing_objects
from worker.validate.range_task import commit_ranges, validate_range
from worker.validate.validate_source import validate

ROWS = (
    "order_id,user_id,status,created_at\n1,7,shipped,2025-03-01T10:00:00\nx,7,shipped,2025-03-01\n"
)
LONG_S = 25 * 3600


@dataclass
class Sleep:
    """A process that sleeps for 25 hours, once, while the workspace is maintained."""

    pipeline: Pipeline
    now_s: float = 0.0
    slept: bool = False

    async def once(self) -> None:
        if self.slept:
            return
        self.slept = True
        self.now_s += LONG_S
        assert self.pipeline.state is not None
        later = datetime.now(UTC) + timedelta(seconds=LONG_S)
        collector = Collector(self.pipeline.workspace, self.pipeline.state, now=lambda: later)
        assert (await collector.collect()).objects

    def context(self) -> ValidationContext:
        return replace(self.pipeline.context(), now=lambda: self.now_s)


class SleepsAfterWrite(FolderStore):
    """Sleeps once a clean file is written."""

    def __init__(self, sleep: Sleep) -> None:
        super().__init__()
        self._sleep = sleep

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
        async with super().create(key) as writer:
            yield writer
        if "/clean/" in key and key.endswith(".parquet"):
            await self._sleep.once()


class SleepsInCommit:
    """A ledger whose caller sleeps between its last look and the commit."""

    def __init__(self, ledger: Any, sleep: Sleep) -> None:
        self._ledger = ledger
        self._sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def commit(self, entry: Entry, **options: Any) -> Entry:
        await self._sleep.once()
        committed: Entry = await self._ledger.commit(entry, **options)
        return committed


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    path = tmp_path / "in" / "orders" / "1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(ROWS.replace("x,", "2,") + "3,8,shipped,2025-03-02T10:00:00\n" * 20 + "y,\n")
    async with Pipeline(tmp_path / "work") as opened:
        yield opened


async def source_of(pipeline: Pipeline) -> Any:
    return await pipeline.source(pipeline._home.parent / "in" / "orders" / "1.csv")


def sleeping_store(context: ValidationContext, sleep: Sleep) -> ValidationContext:
    return replace(context, workspace=replace(context.workspace, store=SleepsAfterWrite(sleep)))


async def test_a_file_is_validated_again_where_its_rows_were_collected(pipeline: Pipeline) -> None:
    sleep = Sleep(pipeline)
    context = sleeping_store(sleep.context(), sleep)
    committed, new = await validate(await source_of(pipeline), context)
    assert sleep.slept
    assert new
    assert committed.verdict == "accepted"
    assert committed.rejects
    assert await missing_objects(committed, pipeline.workspace) == []


async def test_objects_are_written_again_after_a_commit_that_slept(pipeline: Pipeline) -> None:
    sleep = Sleep(pipeline)
    context = sleep.context()
    ledger: Any = SleepsInCommit(context.ledger, sleep)
    committed, _ = await validate(await source_of(pipeline), replace(context, ledger=ledger))
    assert sleep.slept
    assert await missing_objects(committed, pipeline.workspace) == []


async def test_a_quick_validation_looks_nothing_up(pipeline: Pipeline) -> None:
    class Counting(FolderStore):
        looked_up = 0

        async def stat(self, key: str, **options: Any) -> Any:
            self.looked_up += 1
            return await super().stat(key, **options)

    store = Counting()
    context = pipeline.context()
    context = replace(context, workspace=replace(context.workspace, store=store))
    await validate(await source_of(pipeline), context)
    assert store.looked_up == 0


async def test_a_range_whose_rows_were_collected_is_missing(pipeline: Pipeline) -> None:
    sleep, source = Sleep(pipeline), await source_of(pipeline)
    size, middle = source.info.size_bytes, len(ROWS.splitlines(keepends=True)[0])
    context = sleep.context()
    assert pipeline.state is not None
    sleep.now_s = datetime.now(UTC).timestamp()
    await validate_range(source, ByteRange(0, middle), context)
    await validate_range(source, ByteRange(middle, size - 3), context)
    for path in (pipeline._home / "clean").rglob("*.parquet"):
        path.unlink()
    sleep.now_s += LONG_S
    await validate_range(source, ByteRange(size - 3, size), context)
    with pytest.raises(StoreError, match="not all ranges are in"):
        await commit_ranges(source, context)
    assert await pipeline.state.find(source.source_id) is None
    await validate_range(source, ByteRange(middle, size - 3), context)
    committed = await commit_ranges(source, context)
    assert await missing_objects(committed, pipeline.workspace) == []


async def test_an_erasure_rewrites_again_what_was_collected(pipeline: Pipeline) -> None:
    sleep = Sleep(pipeline)
    assert pipeline.state is not None
    await validate(await source_of(pipeline), pipeline.context())
    request = Request(
        ledger=pipeline.state,
        workspace=replace(pipeline.workspace, store=SleepsAfterWrite(sleep)),
        in_force=await contract_of(pipeline.state, None, pipeline.contract),
        customer="7",
        mode="pseudonymise",
        secret=await secret_of(pipeline.state),
        now=lambda: sleep.now_s,
    )
    done = await erase(request)
    assert sleep.slept
    (entry,) = done.entries
    assert await missing_objects(entry, pipeline.workspace) == []


async def test_objects_that_are_always_collected_end_in_an_error(pipeline: Pipeline) -> None:
    sleep = Sleep(pipeline)

    class Always(SleepsAfterWrite):
        @asynccontextmanager
        async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
            sleep.slept = False
            async with super().create(key) as writer:
                yield writer

    context = sleep.context()
    context = replace(context, workspace=replace(context.workspace, store=Always(sleep)))
    with pytest.raises(ObjectsCollected):
        await validate(await source_of(pipeline), context)
    assert pipeline.state is not None
    assert await pipeline.state.head() == 0
