"""Maintenance ended before any write, and its damage: no KPI changes, and the next one goes on."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.maintenance.maintained import (
    LIMITS,
    Dying,
    Killed,
    check_named,
    differences,
    maintain,
    manifest_of,
    task_of,
)
from tests.unit.worker.transform.test_indexed_files import ident
from worker.clean import Workspace
from worker.errors import StoreError
from worker.index import checkpoint as checkpoints
from worker.index.checkpoint_manifest import CheckpointManifest
from worker.index.key_index import KeyIndex
from worker.index.manifest import Manifest
from worker.index.stored import read_manifest
from worker.index.upload_segments import store_rows, write_segment
from worker.index.upload_table import TableChunk, UploadTable
from worker.maintenance import collection
from worker.maintenance.collection import Collector
from worker.maintenance.upkeep import keep_up
from worker.objects import StoredName
from worker.objects.local import FolderStore
from worker.state import Erasure

NOW = datetime(2025, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "error", [Killed(), StoreError("No space left on device")], ids=["killed", "disk full"]
)
async def test_maintenance_ended_before_any_write_goes_on(
    pipeline: Pipeline, error: BaseException
) -> None:
    before = await pipeline.all_rows()
    assert len((await manifest_of(pipeline.workspace)).runs) == 4
    for writes in itertools.count():
        store = Dying(error, writes)
        with suppress(Killed, StoreError):
            await maintain(pipeline, store)
        await check_named(pipeline)
        assert await pipeline.all_rows() == before
        if store.left >= 0:
            break
    assert writes >= 3
    await check_named(pipeline)
    assert len((await manifest_of(pipeline.workspace)).runs) == 1
    # The transform after it extends what was merged.
    products = tuple((ident(100 + number), f"C{number}") for number in range(4))
    upload = Upload("products", products, 90)
    folder = Path("/") / pipeline.workspace.absolute("late")
    for path in shops.write(folder, [upload]):
        await pipeline.validate(path)
    report = await pipeline.transform(limits=LIMITS)
    assert "index_rebuilt" not in report.notes
    await check_named(pipeline)


async def test_a_damaged_run_gives_up_the_index_and_a_transform_builds_it(
    pipeline: Pipeline,
) -> None:
    run = (await manifest_of(pipeline.workspace)).runs[1]
    path = Path("/") / pipeline.workspace.absolute(pipeline.workspace.index(run.name))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (found,) = await differences(pipeline)
    assert "cannot be read" in found
    assert (await maintain(pipeline)).index_damaged
    assert await manifest_of(pipeline.workspace) == Manifest()
    await pipeline.transform(limits=LIMITS, everything=True)
    assert (await manifest_of(pipeline.workspace)).runs
    assert await differences(pipeline) == []


async def test_an_audit_finds_a_pointer_that_is_missing(pipeline: Pipeline) -> None:
    manifest = await manifest_of(pipeline.workspace)
    index = KeyIndex(pipeline.workspace, b"", str, manifest, manifest)
    tables = await index._readers[0].load()
    name = max(tables, key=lambda one: len(tables[one]))
    run = await index._write_run({**tables, name: tables[name][:-1]})
    forged = replace(manifest, runs=(run, *manifest.runs[1:]))
    await index._replace_manifest(forged)
    (found,) = await differences(pipeline)
    assert name in found


async def test_an_audit_finds_a_checkpoint_of_other_uploads(pipeline: Pipeline) -> None:
    await maintain(pipeline)
    assert await differences(pipeline) == []
    workspace = pipeline.workspace
    name = workspace.index(checkpoints.MANIFEST_NAME)
    manifest = await read_manifest(workspace, name, CheckpointManifest.from_json)
    assert manifest is not None
    (segment,) = manifest.segments
    path = Path("/") / workspace.absolute(workspace.index(segment.name))
    rows = pq.read_table(path)
    at = rows.column_names.index("rows")
    rows = rows.set_column(at, "rows", pa.array([7] * len(rows), pa.int64()))
    stored = store_rows(UploadTable([TableChunk(rows)]), 0)
    forged = await write_segment(workspace, stored, len(rows))
    text = orjson.loads(manifest.to_json()) | {"segments": [forged]}
    (Path("/") / workspace.absolute(name)).write_bytes(orjson.dumps(text))
    (found,) = await differences(pipeline)
    assert "checkpoint" in found


async def test_an_object_written_again_meanwhile_stays(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "MIN_AGE", timedelta(days=1))
    workspace = pipeline.workspace
    key = f"clean/orders/uploaded_on=2025-03-01/{'0' * 16}-{'1' * 8}.parquet"
    path = Path("/") / workspace.absolute(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rows")
    state = task_of(pipeline).state
    tomorrow = datetime.now(UTC) + timedelta(days=2)

    class Renewing(FolderStore):
        """Lists the object as old; a validation has written it again since."""

        async def names(self, prefix: str) -> AsyncIterator[StoredName]:
            async for info in self.list(prefix):
                old = info.uploaded_at - timedelta(days=2)
                yield StoredName(key=info.key, size_bytes=info.size_bytes, modified_at=old)

    renewing = replace(workspace, store=Renewing())
    assert (await Collector(renewing, state).collect()).objects == {}
    assert path.exists()
    assert (await Collector(workspace, state).collect()).objects == {}
    found = await Collector(workspace, state, now=lambda: tomorrow).collect()
    assert found.objects["clean"] == 1
    assert not path.exists()
    await check_named(pipeline)


async def test_a_writer_renews_an_old_object_of_the_same_bytes(tmp_path: Path) -> None:
    """Else what is written again could be deleted before an entry names it."""
    path, store = tmp_path / "object", FolderStore()

    async def write() -> float:
        async with store.create(path.as_posix().lstrip("/")) as writer:
            await writer.write(b"rows")
        return path.stat().st_mtime

    first = await write()
    assert await write() == first  # readers of a young one are not disturbed
    os.utime(path, (first - 13 * 3600, first - 13 * 3600))
    assert await write() >= first


async def test_packs_of_before_an_erasure_are_collected_at_once(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transform that slept through an erasure was killed once it had written them."""
    monkeypatch.setattr(collection, "MIN_AGE", timedelta(days=1))
    task = task_of(pipeline)
    packs = Path("/") / pipeline.workspace.absolute("packs")
    before = {path.name for path in packs.iterdir()}
    assert "current.json" in before
    assert any(name.endswith(".pack") for name in before)
    await maintain(pipeline)
    assert {path.name for path in packs.iterdir()} == before
    ids = [f"{number}" * 16 for number in (1, 2)]
    for one in ids:
        erasure = Erasure(erasure_id=one, mode="pseudonymise", customers=(), recorded_at=NOW)
        await task.state.erase(erasure, head=await task.state.head())
    present = Workspace(
        store=FolderStore(), location=task.workspace.location, generation=f"-e{ids[1][:8]}"
    )
    for generation in (f"-e{ids[0][:8]}", present.generation):
        (packs / f"current{generation}.json").write_bytes(b"{}")
        (packs / f"{'0' * 32}{generation}.pack").write_bytes(b"rows")
    (packs / "notes.txt").write_text("somebody's")
    done = await keep_up(task.contract, present, task.state)
    assert {path.name for path in packs.iterdir()} == {
        *("notes.txt", f"current{present.generation}.json"),
        f"{'0' * 32}{present.generation}.pack",
    }
    assert done.collected.objects["packs"] == len(before) + 2
