"""Days with many orders: a few more read no other, and sums that do not fit are not used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shutil import copytree, rmtree

import pytest

from kpi.aggregation.slice_sums import day_scheme
from kpi.aggregation.sums import Sums, Values
from kpi.aggregation.tables import DEFAULT_TABLES
from kpi.contract.loading import built_in, parse_contract
from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.transform.histories import Watched
from worker.index import day_sums, run_object
from worker.index.day_sums import MANIFEST_NAME, StoredSums, drop_sums, read_page, write_page
from worker.index.manifest import RUN_NAME
from worker.index.sums_manifest import PAGE_NAME, SumsManifest
from worker.maintenance.collection import Collector
from worker.maintenance.derived import compare_derived
from worker.transform import Report, transform
from worker.transform.limits import TransformLimits

ORDERS = 40
BUSIEST = 60
LIMITS = TransformLimits(summed_orders=20, summed_at_once=BUSIEST)
COMPOSITE = parse_contract(
    built_in().text.replace('key = ["id"]\nprice_per', 'key = ["order_id", "id"]\nprice_per'),
    source="composite",
)
"""An item is known by its order and its number."""

SCHEME = day_scheme(with_categories=True, with_products=False)
DATE = "2025-03-01T12:00:00"


def some(first: int, count: int, second: int) -> list[Upload]:
    """Orders of one day by two customers each, with an item each."""
    numbers = range(first, first + count)
    orders = tuple((str(one), str(one % 7), "shipped", DATE) for one in numbers)
    items = tuple((str(one), str(one), str(one % 3), "returned", "1.50") for one in numbers)
    return [Upload("orders", orders, second), Upload("order_items", items, second + 1)]


class Shop:
    def __init__(self, pipeline: Pipeline, watched: Watched, home: Path) -> None:
        self.pipeline = pipeline
        self.watched = watched
        self.home = home
        self.clock = 1

    async def add(self, first: int, count: int) -> Report:
        """Upload orders, and transform."""
        self.clock += 10
        for path in shops.write(self.home / str(self.clock), some(first, count, self.clock)):
            await self.pipeline.validate(path)
        self.watched.opened.clear()
        return await self.transform()

    async def transform(self, *, everything: bool = False) -> Report:
        assert self.pipeline.state is not None
        return await transform(
            contract=self.pipeline.contract,
            workspace=self.pipeline.workspace,
            state=self.pipeline.state,
            tables=DEFAULT_TABLES,
            limits=LIMITS,
            everything=everything,
        )

    async def differences(self) -> list[str]:
        """Compare what derives from the clean zone with what is built from nothing."""
        assert self.pipeline.state is not None
        return await compare_derived(
            self.pipeline.contract, self.pipeline.workspace, self.pipeline.state, LIMITS
        )

    async def rows(self) -> list[list[dict[str, object]]]:
        return [await self.pipeline.rows(name) for name in sorted(DEFAULT_TABLES)]

    async def assert_right(self) -> None:
        """Compute every day of all orders, and leave the sums as they were."""
        found, index, kept = await self.rows(), self.home / "index", self.home / "kept"
        copytree(index, kept)
        await self.transform(everything=True)
        rmtree(index)
        kept.rename(index)
        assert found == await self.rows()

    def objects(self, zone: str) -> list[Path]:
        return sorted(one for one in (self.home / zone).rglob("*") if one.is_file())

    async def manifest(self) -> SumsManifest:
        return await day_sums._read_manifest(self.pipeline.workspace)


@asynccontextmanager
async def busy_day(home: Path, contract: str = "default") -> AsyncIterator[Shop]:
    """A shop with a day of many orders that has sums."""
    watched = Watched()
    parsed = COMPOSITE if contract == "composite" else built_in(contract)
    async with Pipeline(home, parsed) as pipeline:
        pipeline.workspace = replace(pipeline.workspace, store=watched)
        shop = Shop(pipeline, watched, home)
        for path in shops.write(home / "products", [Upload("products", (("1", "Toys"),), 0)]):
            await pipeline.validate(path)
        await shop.add(1, ORDERS)
        await shop.add(100, 1)
        yield shop


@pytest.mark.parametrize("contract", ["default", "string-ids", "composite"])
async def test_few_orders_of_a_busy_day_read_no_other(tmp_path: Path, contract: str) -> None:
    async with busy_day(tmp_path, contract) as shop:
        of_day = {one.name for one in shop.objects("clean") if "products" not in str(one)}
        await shop.add(200, 2)
        opened = {key.rpartition("/")[2] for key in shop.watched.opened}
        # Bounds of so few texts say nothing: their ids are in no index.
        assert contract == "string-ids" or not opened & of_day
        assert "sums_rebuilt" not in (await shop.add(3, 2)).notes  # orders that are there already
        await shop.assert_right()
        assert (await shop.rows())[1][0]["total_orders"] == ORDERS + 3


async def test_a_file_more_opens_no_other_of_a_day_of_many(tmp_path: Path) -> None:
    """Of one that opens all of them, 5,000 files of a day cost the square of their number."""
    limits = TransformLimits(summed_files=4, unpacked_files=10**6)
    watched = Watched()
    async with Pipeline(tmp_path) as pipeline:
        pipeline.workspace = replace(pipeline.workspace, store=watched)
        opened = []
        for number in range(8):
            for path in shops.write(tmp_path / str(number), some(number, 1, 10 * number)):
                await pipeline.validate(path)
            watched.opened.clear()
            await pipeline.transform(limits=limits)
            opened.append(len({key for key in watched.opened if "/clean/" in f"/{key}"}))
        assert opened == [2, 4, 6, 8, 2, 2, 2, 2]
        found = await pipeline.all_rows()
        await pipeline.transform(everything=True)
        assert await pipeline.all_rows() == found


async def test_a_first_run_keeps_sums_of_the_busiest_days(tmp_path: Path) -> None:
    async with Pipeline(tmp_path) as pipeline:
        shop = Shop(pipeline, Watched(), tmp_path)
        await shop.add(1, BUSIEST)
        assert len((await shop.manifest()).pages) == 1
        before = (await shop.manifest()).names
        await shop.add(500, 1)
        ((page,),) = [[*(await shop.manifest()).pages.values()]]
        assert page.customers in before
        await shop.assert_right()


async def test_a_day_of_few_orders_has_no_sums(tmp_path: Path) -> None:
    async with Pipeline(tmp_path) as pipeline:
        shop = Shop(pipeline, Watched(), tmp_path)
        await shop.add(1, 10)
        await shop.add(20, 9)
        assert not (await shop.manifest()).pages
        await shop.add(30, 1)
        assert len((await shop.manifest()).pages) == 1


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("harm", [Path.unlink, _cut], ids=["missing", "damaged"])
@pytest.mark.parametrize("name", [RUN_NAME, PAGE_NAME], ids=["customers", "sums"])
async def test_a_day_of_damaged_sums_is_computed_whole(
    tmp_path: Path, name: object, harm: Callable[[Path], None]
) -> None:
    async with busy_day(tmp_path) as shop:
        pages = (await shop.manifest()).pages.values()
        (named,) = [
            one
            for page in pages
            for one in (page.name, page.customers)
            if name.fullmatch(one)  # type: ignore[attr-defined]
        ]
        harm(tmp_path / "index" / named)
        report = await shop.add(200, 1)
        assert report.notes["sums_rebuilt"] == 1
        await shop.assert_right()
        assert "sums_rebuilt" not in (await shop.add(300, 1)).notes
        await shop.assert_right()


def _wrong(one: StoredSums, *values: int, **groups: Values) -> StoredSums:
    """Have other sums (orders, returned, revenue, items), or more categories."""
    of_categories = {**one.sums.groups["category"], **groups} if values[0] else {}
    return replace(one, sums=Sums(values, {"category": of_categories}))


WRONG: dict[str, Callable[[StoredSums], StoredSums]] = {
    "fewer orders than are taken away": lambda one: _wrong(one, 0, 0, 0, 0),
    "revenue of no category": lambda one: _wrong(
        one, *(value + (at == 2) for at, value in enumerate(one.sums.values))
    ),
    "a category of no order": lambda one: _wrong(one, *one.sums.values, other=(0, 0, 1)),
    "more returned orders than orders": lambda one: _wrong(
        one, *(value + 99 * (at == 1) for at, value in enumerate(one.sums.values))
    ),
    "another number of measures": lambda one: _wrong(one, *one.sums.values[:3]),
    "more customers than orders": lambda one: replace(one, customers=99),
    "a customer who was never there": lambda one: replace(one, changed={(3, 3): -9}),
}


@pytest.mark.parametrize("what", WRONG)
async def test_sums_of_no_orders_are_found_out(tmp_path: Path, what: str) -> None:
    async with busy_day(tmp_path) as shop:
        workspace = shop.pipeline.workspace
        manifest = await shop.manifest()
        ((day, page),) = manifest.pages.items()
        stored = await read_page(workspace, page, SCHEME)
        assert stored is not None
        pages = {day: await write_page(workspace, WRONG[what](stored), SCHEME)}
        await _replace_manifest(shop, replace(manifest, pages=pages))
        assert (await shop.add(3, 1)).notes["sums_rebuilt"] == 1  # an order that is there already
        await shop.assert_right()


SOUND: dict[str, Callable[[StoredSums], StoredSums]] = {
    "another order": lambda one: _wrong(
        one, *(value + (at == 0) for at, value in enumerate(one.sums.values))
    ),
    "another number of customers": lambda one: replace(one, customers=one.customers - 1),
    "another customer": lambda one: replace(one, changed={(6, 6): 1, (5, 5): -1}),
}


@pytest.mark.parametrize("what", SOUND)
async def test_wrong_sums_are_told_and_made_anew(tmp_path: Path, what: str) -> None:
    """Those that could be the sums of some orders are found by `audit --rebuild` alone."""
    async with busy_day(tmp_path) as shop:
        assert await shop.differences() == []
        workspace, manifest = shop.pipeline.workspace, await shop.manifest()
        ((day, page),) = manifest.pages.items()
        stored = await read_page(workspace, page, SCHEME)
        assert stored is not None
        pages = {day: await write_page(workspace, SOUND[what](stored), SCHEME)}
        await _replace_manifest(shop, replace(manifest, pages=pages))
        assert await shop.differences() == ["the sums of 2025-03-01 are not those of its orders"]
        await shop.transform(everything=True)
        assert await shop.differences() == []


async def _replace_manifest(shop: Shop, manifest: SumsManifest) -> None:
    workspace = shop.pipeline.workspace
    key = workspace.absolute(workspace.index(MANIFEST_NAME))
    async with workspace.store.create(key) as writer:
        await writer.write(manifest.to_json())


OTHERS: dict[str, Callable[[SumsManifest], SumsManifest]] = {
    "sequence": lambda one: replace(one, up_to=one.up_to - 1),
    "ledger": lambda one: replace(one, ledger="another"),
    "contract": lambda one: replace(one, contract="another"),
}


@pytest.mark.parametrize("what", OTHERS)
async def test_sums_of_another_state_are_not_used(tmp_path: Path, what: str) -> None:
    async with busy_day(tmp_path) as shop:
        manifest = await shop.manifest()
        await _replace_manifest(shop, OTHERS[what](manifest))
        before = set(manifest.names)
        await shop.add(200, 1)
        assert not before & {page.name for page in (await shop.manifest()).pages.values()}
        await shop.add(300, 1)
        assert {one.name for one in shop.objects("index")} >= (await shop.manifest()).names
        await shop.assert_right()


async def test_many_changed_customers_make_a_new_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.transform.sums_upkeep.MOST_CHANGED", 2)
    monkeypatch.setattr(run_object, "WHOLE_RUN_BYTES", 0)
    monkeypatch.setattr(run_object, "BLOCK_POINTERS", 3)
    async with busy_day(tmp_path) as shop:
        runs = set()
        for number in range(6):
            await shop.add(200 + number, 1)
            runs |= {page.customers for page in (await shop.manifest()).pages.values()}
            await shop.assert_right()
        assert 1 < len(runs) < 6


async def test_an_erasure_leaves_no_sums(tmp_path: Path) -> None:
    async with busy_day(tmp_path) as shop:
        await drop_sums(shop.pipeline.workspace)
        left = [one.name for one in shop.objects("index")]
        assert not [one for one in left if RUN_NAME.fullmatch(one) or PAGE_NAME.fullmatch(one)]
        assert MANIFEST_NAME not in left


async def test_unused_sums_are_collected_and_those_in_use_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.maintenance.collection.MIN_AGE", -timedelta(days=1))
    async with busy_day(tmp_path) as shop:
        (tmp_path / "index" / f"{'0' * 32}.sums").write_bytes(b"of a lost race")
        assert shop.pipeline.state is not None
        done = await Collector(shop.pipeline.workspace, shop.pipeline.state).collect()
        assert done.objects["index"] == 1
        assert {one.name for one in shop.objects("index")} >= (await shop.manifest()).names
