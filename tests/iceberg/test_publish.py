"""What publication writes, and what it leaves where a process is killed or others write."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from kpi.contract.loading import built_in
from tests.iceberg.shop import add
from tests.iceberg.tables import (
    NAMES,
    catalog_of,
    data_files,
    is_hinted,
    load,
    orders,
    publish,
    read,
    sequences,
    stamp_of,
)
from tests.iceberg.test_histories import rule
from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.transform.histories import day
from tests.unit.worker.transform.test_indexed_files import day as indexed_day
from worker.clean import Workspace
from worker.errors import ConfigError
from worker.iceberg import publish as publishing
from worker.iceberg.catalogs import open_catalog
from worker.objects import ObjectWriter
from worker.objects.local import FolderStore
from worker.state.erasures import read_erasures
from worker.state.records import Decision


class Noting(FolderStore):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.created: list[str] = []

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
        self.created.append(key)
        async with super().create(key) as writer:
            yield writer


async def test_the_same_sequence_again_writes_nothing(pipeline: Pipeline) -> None:
    first = await publish(pipeline)
    assert set(first.tables) == set(NAMES)
    store = Noting()
    again = await publish(pipeline, store=store)
    assert (again.tables, set(again.unchanged), store.created) == ({}, set(NAMES), [])


async def test_a_snapshot_says_what_it_is_of(pipeline: Pipeline) -> None:
    done = await publish(pipeline)
    assert pipeline.state is not None
    summary = load(pipeline.workspace, "current_orders").current_snapshot().summary
    assert done.sequence == await pipeline.state.head()
    assert summary["shopkpi.sequence"] == str(done.sequence)
    assert summary["shopkpi.contract"] == pipeline.contract.digest
    assert summary["shopkpi.shop"] == "default"
    assert summary["shopkpi.erasure"] == ""
    assert len(summary["shopkpi.ledger"]) == 64
    row = read(pipeline.workspace, "current_orders").to_pylist()[0]
    assert str(row["_day"]) == "2025-03-01"


async def test_only_data_files_with_a_change_are_written(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    await publish(pipeline, span_rows=1)  # a data file for each upload
    before = {name: data_files(pipeline.workspace, name) for name in NAMES}
    assert list(map(len, before.values())) == [2, 2, 1]
    late = Upload("orders", (("4", "1", "returned", "2025-03-02T12:00:00"),), 90)
    await add(pipeline, tmp_path, "late", [late])
    done = await publish(pipeline, span_rows=1)
    after = {name: data_files(pipeline.workspace, name) for name in NAMES}
    assert after["current_order_items"] == before["current_order_items"]
    assert after["current_products"] == before["current_products"]
    # The first upload has none of the keys of the late one; its file stays.
    assert len(after["current_orders"] & before["current_orders"]) == 1
    assert (done.tables["current_orders"].written, done.tables["current_orders"].removed) == (2, 1)
    assert orders(pipeline) == {2: "shipped", 3: "shipped", 4: "returned", 5: "shipped"}
    assert set(sequences(pipeline.workspace).values()) == {done.sequence}


class Kept(FolderStore):
    """Keeps a copy of all tables as each write finds them: a process killed there leaves that."""

    def __init__(self, tables: Path, copies: Path) -> None:
        super().__init__()
        self._tables = tables
        self._copies = copies
        self.writes = 0

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
        shutil.copytree(self._tables, self._copies / str(self.writes))
        self.writes += 1
        async with super().create(key) as writer:
            yield writer


async def test_a_kill_before_any_write_is_seen_and_repaired(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    await publish(pipeline)
    old = sequences(pipeline.workspace)
    await add(pipeline, tmp_path, "second", day(3))
    mixed = hints = 0
    tables, copies = tmp_path / "iceberg", tmp_path / "copies"
    store = Kept(tables, copies)
    await publish(pipeline, store=store)
    assert store.writes > 12
    shutil.copytree(tables, copies / str(store.writes))  # its end
    for writes in range(store.writes + 1):
        shutil.rmtree(tables)
        (copies / str(writes)).rename(tables)
        found = {name: load(pipeline.workspace, name) for name in NAMES}
        of = {name: stamp_of(table) for name, table in found.items()}
        for name in NAMES[:2]:  # each table is whole at the sequence that it says
            records = found[name].current_snapshot().summary["total-records"]
            assert records == ("4" if of[name] == old[name] else "6"), (writes, name)
        stale = [name for name, table in found.items() if not is_hinted(table)]
        if writes == store.writes:
            assert (len(set(of.values())), stale) == (1, [])
        elif len(set(of.values())) > 1 or stale:
            mixed += len(set(of.values())) > 1
            hints += len(set(of.values())) == 1
            await publish(pipeline)
            assert len(set(sequences(pipeline.workspace).values())) == 1
            assert all(is_hinted(load(pipeline.workspace, name)) for name in NAMES)
            assert len(orders(pipeline)) == 6
    assert hints == 1  # killed after the last commit, before its metadata were named
    assert mixed >= 2  # killed between two tables


async def test_of_many_who_open_a_new_catalog_one_creates_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyiceberg looks for its tables and creates them in two steps."""
    create, creations = SqlCatalog.create_tables, itertools.count()

    def slowly(catalog: SqlCatalog) -> None:
        next(creations)
        time.sleep(0.1)
        create(catalog)

    async def opened(workspace: Workspace) -> None:
        async with open_catalog("sqlite", workspace, {}):
            pass

    monkeypatch.setattr(SqlCatalog, "create_tables", slowly)
    async with Pipeline(tmp_path) as pipeline:
        await asyncio.gather(*(opened(pipeline.workspace) for _ in range(8)))
    assert next(creations) == 1


async def test_another_maintain_meanwhile_puts_no_row_twice(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    await asyncio.gather(publish(pipeline), publish(pipeline))
    await add(pipeline, tmp_path, "second", day(3))
    await asyncio.gather(publish(pipeline), publish(pipeline))
    assert len(orders(pipeline)) == 6
    assert read(pipeline.workspace, "current_order_items").num_rows == 6


async def test_an_owner_who_allows_retries_gets_no_row_twice(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated as it is, a commit would add rows that another process has added."""
    await publish(pipeline, span_rows=1)
    # At the other level of isolation pyiceberg looks for such rows itself.
    owned = {"commit.retry.num-retries": "4", "write.delete.isolation-level": "snapshot"}
    with catalog_of(pipeline.workspace) as catalog:
        transaction = catalog.load_table(("default", "current_orders")).transaction()
        transaction.set_properties(owned).commit_transaction()
    await add(pipeline, tmp_path, "second", day(3))
    real, looks = read_erasures, itertools.count()

    async def erasures(state: Any) -> Any:
        if next(looks) == 1:  # before the first commit
            await publish(pipeline, span_rows=1)
        return await real(state)

    monkeypatch.setattr(publishing, "read_erasures", erasures)
    done = await publish(pipeline, span_rows=1)
    assert set(done.unchanged) == set(NAMES)  # planned again, after the other one
    assert len(orders(pipeline)) == 6
    properties = load(pipeline.workspace, "current_orders").metadata.properties
    assert owned.items() <= properties.items()


async def test_a_retracted_file_of_other_types_changes_no_row(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """Which keys it had cannot be read with this contract: every row is written again."""
    await publish(pipeline, span_rows=1)
    pipeline.contract, contract = built_in("string-ids"), pipeline.contract
    late = Upload("orders", (("2", "1", "late", "2025-03-01T12:00:00"),), 90)
    (path,) = shops.write(tmp_path / "late", [late])
    source_id = (await pipeline.validate(path)).source_id
    pipeline.contract = contract
    await rule(pipeline, "retraction", source_id, 1)
    await add(pipeline, tmp_path, "third", day(3))
    before = data_files(pipeline.workspace, "current_orders")
    done = await publish(pipeline, span_rows=1)
    assert (done.tables["current_orders"].written, done.tables["current_orders"].removed) == (3, 2)
    assert not before & data_files(pipeline.workspace, "current_orders")
    assert orders(pipeline) == dict.fromkeys(range(2, 8), "shipped")


async def test_a_customer_erased_meanwhile_is_in_no_table(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check after the last commit sees it: everything is deleted, and made again."""
    looks = 1 + 2 * len(NAMES)  # at the start, and before and after each commit
    states = itertools.chain([0] * (looks - 1), itertools.repeat(7))
    real = read_erasures

    async def erasures(state: Any) -> Any:
        found = await real(state)
        last = next(states)
        return SimpleNamespace(last=last, generation="-e00000007" if last else found.generation)

    monkeypatch.setattr(publishing, "read_erasures", erasures)
    await publish(pipeline)
    root = tmp_path / "iceberg"
    folders = {path.relative_to(root).parts[0] for path in root.rglob("*") if path.is_file()}
    assert folders == {"catalog.db", *(f"{name}-e00000007" for name in NAMES)}
    assert len(orders(pipeline)) == 4


async def test_old_snapshots_and_their_files_go_after_a_week(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    await publish(pipeline)
    first = data_files(pipeline.workspace, "current_orders")
    await add(pipeline, tmp_path, "second", day(1))  # other bytes of no other row
    late = Upload("orders", (("2", "1", "returned", "2025-03-01T12:00:00"),), 90)
    await add(pipeline, tmp_path, "late", [late])
    await publish(pipeline)
    assert not first & data_files(pipeline.workspace, "current_orders")
    now = datetime.now(UTC)
    assert (await publish(pipeline, now=now + timedelta(days=6))).deleted_objects == 0
    assert len(load(pipeline.workspace, "current_orders").snapshots()) == 2
    done = await publish(pipeline, now=now + timedelta(days=8))
    assert done.deleted_objects > 0
    assert len(load(pipeline.workspace, "current_orders").snapshots()) == 1
    assert not any(Path(url.removeprefix("file://")).exists() for url in first)
    assert orders(pipeline)[2] == "returned"
    # What the current metadata names is there, and nothing else.
    assert (await publish(pipeline, now=now + timedelta(days=30))).deleted_objects == 0


async def test_rows_of_a_retracted_file_leave(pipeline: Pipeline, tmp_path: Path) -> None:
    late = Upload("orders", (("2", "1", "late", "2025-03-01T12:00:00"),), 90)
    for path in shops.write(tmp_path / "late", [late]):
        source_id = (await pipeline.validate(path)).source_id
    await pipeline.transform()
    await publish(pipeline, span_rows=1)
    assert orders(pipeline)[2] == "late"
    rulings: tuple[tuple[Decision, str], ...]
    rulings = (("retraction", "shipped"), ("restoration", "late"))
    for kind, status in rulings:
        await rule(pipeline, kind, source_id, 1)
        await pipeline.transform()
        await publish(pipeline, span_rows=1)
        assert orders(pipeline) == {2: status, 3: "shipped", 4: "shipped", 5: "shipped"}


async def test_rows_that_another_program_wrote_are_replaced(pipeline: Pipeline) -> None:
    await publish(pipeline)
    with catalog_of(pipeline.workspace) as catalog:
        table = catalog.load_table(("default", "current_orders"))
        table.append(table.scan().to_arrow())
    await publish(pipeline)
    assert len(orders(pipeline)) == 4


async def test_a_table_without_metadata_is_made_again(pipeline: Pipeline, tmp_path: Path) -> None:
    await publish(pipeline)
    shutil.rmtree(tmp_path / "iceberg" / "current_orders")
    await publish(pipeline)
    assert len(orders(pipeline)) == 4


async def test_tables_of_a_moved_workspace_are_made_again(tmp_path: Path) -> None:
    """Iceberg writes whole paths into its files."""
    async with Pipeline(tmp_path / "before") as pipeline:
        await add(pipeline, tmp_path, "first", day(1))
        await publish(pipeline)
    (tmp_path / "before").rename(tmp_path / "after")
    async with Pipeline(tmp_path / "after") as pipeline:
        assert "current_orders" in (await publish(pipeline)).tables
        (path, *_) = data_files(pipeline.workspace, "current_orders")
        assert path.startswith(f"file://{tmp_path}/after/")
        assert len(orders(pipeline)) == 2


async def test_texts_are_uuids_in_lower_case(tmp_path: Path) -> None:
    async with Pipeline(tmp_path, built_in("uuid-ids")) as pipeline:
        await add(pipeline, tmp_path, "first", indexed_day(1))
        await publish(pipeline)
        table = read(pipeline.workspace, "current_orders")
        assert str(table.schema.field("order_id").type).endswith("string")
        ids = table.column("order_id").to_pylist()
        assert ids
        assert all(str(UUID(text)) == text for text in ids)


async def test_a_catalog_must_fit_the_workspace(pipeline: Pipeline) -> None:
    for catalog in ("glue://shopkpi", "hive", "glue://"):
        task = publishing.IcebergTask(
            state=pipeline.state,  # type: ignore[arg-type]
            workspace=pipeline.workspace,
            contract=pipeline.contract,
            catalog=catalog,
        )
        with pytest.raises(ConfigError, match="--iceberg"):
            await publishing.publish_tables(task)


async def test_nothing_is_written_before_the_first_transform(tmp_path: Path) -> None:
    async with Pipeline(tmp_path) as pipeline:
        for path in shops.write(tmp_path / "first", day(1)):
            await pipeline.validate(path)
        assert (await publish(pipeline)).sequence == 0
        assert not (tmp_path / "iceberg").exists()


async def test_files_are_for_the_owner_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    await publish(pipeline)
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "iceberg").rglob("*")}
    assert modes == {0}
