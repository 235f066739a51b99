"""Transforms with a key index: few files are opened, and damage changes no number."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpi.contract.loading import built_in
from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.transform.histories import Watched
from worker.errors import StoreError
from worker.index.manifest import RUN_NAME
from worker.objects import ObjectWriter
from worker.objects.local import FolderStore
from worker.packs.manifest import PACK_NAME
from worker.state import Erasure
from worker.state.erasures import Erasures
from worker.transform import pack_upkeep
from worker.transform.limits import TransformLimits

DAYS = 20
ERASURE = Erasure(
    erasure_id="0" * 16,
    mode="delete",
    customers=("0" * 32,),
    recorded_at=datetime(2025, 4, 1, tzinfo=UTC),
    sequence=99,
)
LIMITS = TransformLimits(unindexed_files=0, unpacked_files=2)


def ident(number: int) -> str:
    """An id that tells nothing of its neighbours."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def day(number: int) -> list[Upload]:
    """Two orders of one day of March 2025, each with an item of a product of its own."""
    date = f"2025-03-{number:02d}T12:00:00"
    numbers = (2 * number, 2 * number + 1)
    orders = tuple((ident(one), ident(1), "shipped", date) for one in numbers)
    items = tuple(
        (ident(one), ident(one), ident(100 + one % 4), "shipped", "1.50") for one in numbers
    )
    return [Upload("orders", orders, 2 * number), Upload("order_items", items, 2 * number + 1)]


@asynccontextmanager
async def shop(home: Path) -> AsyncIterator[tuple[Pipeline, Watched]]:
    """A shop of some days, whose ids are in an index."""
    watched = Watched()
    async with Pipeline(home, built_in("uuid-ids")) as pipeline:
        pipeline.workspace = replace(pipeline.workspace, store=watched)
        products = tuple((ident(100 + number), f"C{number}") for number in range(4))
        uploads = [Upload("products", products, 0)]
        # Commits come in another order than uploads, as those of concurrent workers do.
        for number in range(DAYS, 0, -1):
            uploads += day(number)
        await add(pipeline, home / "shop", *uploads)
        watched.opened.clear()
        yield pipeline, watched


async def add(
    pipeline: Pipeline, folder: Path, *uploads: Upload, limits: TransformLimits = LIMITS
) -> tuple[list[int], object]:
    for path in shops.write(folder, list(uploads)):
        await pipeline.validate(path)
    report = await pipeline.transform(limits=limits)
    return [one.day for one in report.days], report.notes


def clean_files_opened(watched: Watched) -> int:
    return sum("clean/" in key for key in watched.opened)


async def check(pipeline: Pipeline) -> None:
    """Hold the KPIs against those of every day computed without an index."""
    found = await pipeline.all_rows()
    await pipeline.transform(everything=True)
    assert found == await pipeline.all_rows()


async def test_a_new_day_opens_no_file_of_other_days(tmp_path: Path) -> None:
    async with shop(tmp_path) as (pipeline, watched):
        assert await add(pipeline, tmp_path / "new", *day(DAYS + 1)) == ([DAYS + 1], {})
        # Products, the new files, and what is near in time to the day.
        assert clean_files_opened(watched) <= 6
        await check(pipeline)


async def test_an_item_of_another_day_opens_the_files_of_that_day(tmp_path: Path) -> None:
    async with shop(tmp_path) as (pipeline, watched):
        late = Upload("order_items", ((ident(999), ident(6), ident(101), "shipped", "9.00"),), 90)
        assert await add(pipeline, tmp_path / "new", late) == ([3], {})
        assert clean_files_opened(watched) <= 10
        await check(pipeline)


async def test_an_item_that_moves_changes_both_days(tmp_path: Path) -> None:
    async with shop(tmp_path) as (pipeline, _):
        moved = Upload("order_items", ((ident(6), ident(20), ident(101), "shipped", "9.00"),), 90)
        assert await add(pipeline, tmp_path / "new", moved) == ([3, 10], {})
        await check(pipeline)


async def test_a_category_changes_the_days_of_its_products_alone(tmp_path: Path) -> None:
    async with shop(tmp_path) as (pipeline, _):
        # Orders of even days have the products 100 and 101, those of odd days 102 and 103.
        changed = Upload("products", ((ident(102), "C9"),), 90)
        assert await add(pipeline, tmp_path / "new", changed) == (list(range(1, DAYS + 1, 2)), {})
        await check(pipeline)
        again = Upload("products", ((ident(102), "C9"), (ident(500), "C9")), 91)
        assert await add(pipeline, tmp_path / "again", again) == ([], {})


async def test_an_index_is_extended_once_several_files_are_new(tmp_path: Path) -> None:
    few = replace(LIMITS, unindexed_files=3, unextended_files=3)
    async with shop(tmp_path) as (pipeline, _):
        manifest = tmp_path / "index" / "current.json"
        before = manifest.read_bytes()
        for number, late in enumerate((6, 8)):
            # Two items of old orders; then one of them moves, and its file is found unindexed.
            items = ((ident(999 + number), ident(late), ident(101), "shipped", "9.00"),)
            upload = Upload("order_items", items, 90 + number)
            assert await add(pipeline, tmp_path / str(late), upload, limits=few) == (
                [late // 2],
                {},
            )
        moved = Upload("order_items", ((ident(999), ident(8), ident(101), "shipped", "9.00"),), 93)
        assert await add(pipeline, tmp_path / "moved", moved, limits=few) == ([3, 4], {})
        assert manifest.read_bytes() == before
        await check(pipeline)
        last = Upload("order_items", ((ident(990), ident(6), ident(101), "shipped", "9.00"),), 95)
        await add(pipeline, tmp_path / "last", last, limits=few)
        assert manifest.read_bytes() != before
        await check(pipeline)


@pytest.mark.parametrize("damage", ["missing", "changed", "manifest"])
async def test_a_damaged_index_is_told_and_built_again(tmp_path: Path, damage: str) -> None:
    async with shop(tmp_path) as (pipeline, watched):
        index = tmp_path / "index"
        (run,) = index.glob("*.run")
        assert RUN_NAME.fullmatch(run.name)
        if damage == "missing":
            run.unlink()
        elif damage == "changed":
            run.write_bytes(run.read_bytes().replace(b"\0\0", b"\0\1"))
        else:
            (index / "current.json").write_bytes(b"{")
        notes = {} if damage == "manifest" else {"index_rebuilt": 1}
        assert await add(pipeline, tmp_path / "new", *day(DAYS + 1)) == ([DAYS + 1], notes)
        watched.opened.clear()
        assert await add(pipeline, tmp_path / "more", *day(DAYS + 2)) == ([DAYS + 2], {})
        assert clean_files_opened(watched) <= 8
        await check(pipeline)


@pytest.mark.parametrize("damage", ["missing", "changed", "manifest"])
async def test_a_damaged_pack_is_told_and_written_again(tmp_path: Path, damage: str) -> None:
    async with shop(tmp_path) as (pipeline, watched):
        packs = tmp_path / "packs"
        (pack,) = packs.glob("*.pack")
        assert PACK_NAME.fullmatch(pack.name)
        if damage == "missing":
            pack.unlink()
        elif damage == "changed":
            pack.write_bytes(pack.read_bytes().replace(b"PAR1", b"PAR2"))
        else:
            (packs / "current.json").write_bytes(b"{")
        notes = {} if damage == "manifest" else {"packs_rebuilt": 1}
        late = Upload("order_items", ((ident(999), ident(6), ident(101), "shipped", "9.00"),), 90)
        assert await add(pipeline, tmp_path / "new", late) == ([3], notes)
        watched.opened.clear()
        late = Upload("order_items", ((ident(998), ident(8), ident(101), "shipped", "9.00"),), 91)
        assert await add(pipeline, tmp_path / "more", late) == ([4], {})
        assert clean_files_opened(watched) <= 2  # the new file, to validate it and to read it
        await check(pipeline)


async def test_packs_made_during_an_erasure_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_erasures(_: object) -> Erasures:
        return Erasures(records=(ERASURE,))

    async with shop(tmp_path) as (pipeline, _):
        assert list((tmp_path / "packs").iterdir())
        monkeypatch.setattr(pack_upkeep, "read_erasures", read_erasures)
        await add(pipeline, tmp_path / "new", *day(DAYS + 1))
        assert not list((tmp_path / "packs").iterdir())


async def test_a_damaged_clean_file_ends_the_index_and_no_transform(tmp_path: Path) -> None:
    async with shop(tmp_path) as (pipeline, _):
        for folder in ("index", "packs"):
            for path in (tmp_path / folder).iterdir():
                path.unlink()
        assert pipeline.state is not None
        entry = (await pipeline.state.entries())[5]
        (tmp_path / entry.parts[0].key).write_bytes(b"damaged")
        product = Upload("products", ((ident(500), "C9"),), 95)
        # Nothing else needs that file.
        assert await add(pipeline, tmp_path / "new", product) == ([], {"index_incomplete": 1})


async def test_an_index_of_a_restored_ledger_is_built_again(tmp_path: Path) -> None:
    """The ledger goes back to an earlier point, and other files take the sequences after it."""
    database, copy = tmp_path / "shopkpi.db", tmp_path / "copy.db"
    async with shop(tmp_path) as _:
        pass
    shutil.copy(database, copy)
    contract = built_in("uuid-ids")
    async with Pipeline(tmp_path, contract) as pipeline:
        await add(pipeline, tmp_path / "lost", *day(DAYS + 1))
    for path in tmp_path.glob("shopkpi.db*"):
        path.unlink()
    shutil.copy(copy, database)
    async with Pipeline(tmp_path, contract) as pipeline:
        first = Upload("order_items", ((ident(999), ident(6), ident(101), "shipped", "9.00"),), 90)
        other = Upload("products", ((ident(500), "C9"),), 91)
        assert await add(pipeline, tmp_path / "new", first, other) == ([3], {})
        moved = Upload("order_items", ((ident(999), ident(20), ident(101), "shipped", "9.00"),), 92)
        assert await add(pipeline, tmp_path / "more", moved) == ([3, 10], {})
        await check(pipeline)


class FullForIndexes(FolderStore):
    """Has no room for what lies below `index/`."""

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
        if "/index/" in key:
            raise StoreError("no room", url=key)
        async with super().create(key) as writer:
            yield writer


async def test_an_index_that_cannot_be_written_fails_no_transform(tmp_path: Path) -> None:
    async with shop(tmp_path) as (pipeline, _):
        pipeline.workspace = replace(pipeline.workspace, store=FullForIndexes())
        new = await add(pipeline, tmp_path / "new", *day(DAYS + 1))
        assert new == ([DAYS + 1], {"index_incomplete": 1})
        await check(pipeline)
