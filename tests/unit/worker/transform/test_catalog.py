"""Which clean files a transform opens, and what it holds of them."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow.parquet as pq
import pytest

from kpi.contract.loading import built_in
from tests.support import shops
from tests.support.shops import Pipeline, Upload
from worker.errors import ConfigError
from worker.objects import ObjectInfo
from worker.objects.local import FolderStore
from worker.sample import SampleSpec, write_sample
from worker.state import paging
from worker.state.entry import Interval
from worker.transform import file_cache
from worker.transform.day_batches import plan_batches
from worker.transform.day_ranges import possible_days
from worker.transform.intervals import IntervalSet, value_interval
from worker.transform.limits import TransformLimits
from worker.transform.snapshot import open_snapshot
from worker.validate.row_writer import high_cardinality

DAYS = 28


class Watched(FolderStore):
    """Notes which objects are opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: set[str] = set()

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        self.opened.add(key)
        return await super().stat(key, version_id=version_id)


def day(number: int) -> list[Upload]:
    """Two orders of one day of March 2025 and their items."""
    ids = (2 * number, 2 * number + 1)
    date = f"2025-03-{number:02d}T12:00:00"
    return [
        Upload("orders", tuple((str(one), "1", "shipped", date) for one in ids), 2 * number),
        Upload(
            "order_items",
            tuple((str(one), str(one), "1", "shipped", f"{number}.50") for one in ids),
            2 * number + 1,
        ),
    ]


@asynccontextmanager
async def history(home: Path) -> AsyncIterator[tuple[Pipeline, Watched]]:
    """A shop whose files come daily, all but those of the last day transformed."""
    watched = Watched()
    async with Pipeline(home) as pipeline:
        pipeline.workspace = replace(pipeline.workspace, store=watched)
        uploads = [Upload("products", (("1", "Toys"),), 0)]
        for number in range(1, DAYS):
            uploads += day(number)
        for path in shops.write(home / "shop", uploads):
            await pipeline.validate(path)
        await pipeline.transform()
        watched.opened.clear()
        yield pipeline, watched


async def test_a_day_of_a_long_history_opens_what_it_needs(tmp_path: Path) -> None:
    async with history(tmp_path) as (pipeline, watched):
        # A new day, and an order of the 26th that comes back on it.
        returned = Upload("orders", (("52", "1", "returned", "2025-03-26T12:00:00"),), 100)
        news = [replace(one, second=100) for one in day(DAYS)]
        for path in shops.write(tmp_path / "more", [*news, returned]):
            await pipeline.validate(path)
        report = await pipeline.transform()
        assert [found.day for found in report.days] == [26, 28]
        assert pipeline.state is not None
        opened = [
            (entry.dataset, Path(entry.url).stem)
            for entry in await pipeline.state.entries()
            if any(pipeline.workspace.absolute(part.key) in watched.opened for part in entry.parts)
        ]
        # Of the 58 objects: products, the new ones, and what is near in time to the days.
        assert len(opened) <= 10
        found = await pipeline.all_rows()
        await pipeline.transform(everything=True)
        assert found == await pipeline.all_rows()


@pytest.mark.parametrize(
    ("rows", "days"),
    [
        ((("1", "Toys"), ("2", "Games")), 0),  # nobody has sold the second
        ((("1", "Games"), ("1", "Toys")), 0),  # the last row of a file wins
        ((("1", "Games"),), DAYS - 1),
    ],
)
async def test_products_come_again_and_only_a_change_is_one(
    tmp_path: Path, rows: tuple[tuple[str, str], ...], days: int
) -> None:
    async with history(tmp_path) as (pipeline, _):
        for path in shops.write(tmp_path / "more", [Upload("products", rows, 100)]):
            await pipeline.validate(path)
        assert len((await pipeline.transform()).days) == days


async def test_waiting_items_are_counted_only_when_their_order_may_be_new(tmp_path: Path) -> None:
    waits = {"old": "1000", "new": "2000"}
    async with history(tmp_path) as (pipeline, watched):
        assert pipeline.state is not None
        for name, order in waits.items():
            rows = ((f"9{order}", order, "1", "shipped", "1.00"),)
            (path,) = shops.write(tmp_path / name, [Upload("order_items", rows, 90)])
            await pipeline.validate(path)
        entries = {entry.url.split("/")[-3]: entry for entry in await pipeline.state.entries()}
        counts = {entries[name].source_id: 1 for name in waits}
        assert (await pipeline.transform()).waiting == counts
        watched.opened.clear()
        came = Upload("orders", ((waits["new"], "1", "shipped", "2025-03-30T12:00:00"),), 100)
        for path in shops.write(tmp_path / "more", [*day(DAYS), came]):
            await pipeline.validate(path)
        assert (await pipeline.transform()).waiting == {entries["old"].source_id: 1}
        keys = {name: pipeline.workspace.absolute(entries[name].parts[0].key) for name in waits}
        assert keys["new"] in watched.opened
        assert keys["old"] not in watched.opened


async def test_a_ledger_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with history(tmp_path) as (pipeline, _):
        assert pipeline.state is not None
        head = await pipeline.state.head()
        found = []
        for at_once in (head + 1, head, 4, 1):
            monkeypatch.setattr(paging, "PAGE_ENTRIES", at_once)
            opened = await open_snapshot(
                pipeline.state, head - 2, pipeline.workspace, pipeline.contract
            )
            found.append(
                [
                    (file.rank, file.source_id, file.url, file.key, file.rows)
                    for one in opened.catalogs
                    for file in one.files
                ]
            )
            assert opened.sources_since(head - 4) == {
                entry.source_id
                for entry in await pipeline.state.entries(after=head - 4, up_to=head - 2)
            }
        assert len(found[0]) == head - 2
        assert all(one == found[0] for one in found)


@pytest.mark.parametrize("small_bytes", [2**20, 20_000])
async def test_few_footers_are_held_however_many_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_bytes: int
) -> None:
    monkeypatch.setattr(file_cache, "FOOTER_CACHE_BYTES", 100_000)
    monkeypatch.setattr(file_cache, "FILE_CACHE_BYTES", small_bytes)
    async with history(tmp_path) as (pipeline, _):
        assert pipeline.state is not None
        snapshot = await open_snapshot(
            pipeline.state, await pipeline.state.head(), pipeline.workspace, pipeline.contract
        )
        gc.collect()
        gc.disable()
        try:
            groups = await snapshot.orders.row_groups()
            first = [await group.file.read([group], ["order_id"]) for group in groups]
            # Whatever else refers to a footer would keep it.
            held = sum(isinstance(one, pq.FileMetaData) for one in gc.get_objects())
        finally:
            gc.enable()
        assert len(groups) == DAYS - 1
        assert 1 <= held <= 8
        bytes_read = snapshot.orders.bytes_read
        again = [await group.file.read([group], ["order_id"]) for group in groups]
        assert again == first
        # Small objects are read once, where there is room for them.
        assert (snapshot.orders.bytes_read == bytes_read) is (small_bytes == 2**20)
        assert await snapshot.orders.row_groups() == groups


async def test_rows_of_another_contract_are_found_when_they_are_needed(tmp_path: Path) -> None:
    async with history(tmp_path) as (pipeline, _):
        pipeline.contract = built_in("string-ids")
        for path in shops.write(tmp_path / "more", [replace(one, second=100) for one in day(DAYS)]):
            await pipeline.validate(path)
        with pytest.raises(ConfigError, match="was cleaned with another contract"):
            await pipeline.transform()


async def test_uuids_are_stored_as_such_and_pruned_by(tmp_path: Path) -> None:
    low, high = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "1F")
    upload = Upload("orders", tuple((one, one, "", "2025-03-01") for one in (high, low)), 0)
    async with Pipeline(tmp_path, built_in("uuid-ids")) as pipeline:
        entry = await pipeline.validate(shops.write(tmp_path / "shop", [upload])[0])
        assert entry.parts[0].ranges["order_id"] == Interval(low=low, high=high.lower())
        with duckdb.connect() as db:
            query = "SELECT order_id, user_id FROM read_parquet(?)"
            found = db.execute(query, [str(tmp_path / entry.parts[0].key)]).fetchall()
        assert found == [(UUID(high),) * 2, (UUID(low),) * 2]
        assert pipeline.state is not None
        snapshot = await open_snapshot(pipeline.state, 1, pipeline.workspace, pipeline.contract)
        (group,) = await snapshot.orders.row_groups()
        ids = (await group.file.read([group], ["order_id"])).column("order_id")
        assert value_interval(ids) == group.bounds["order_id"] == entry.parts[0].ranges["order_id"]
        for asked, near in ((low, True), (high.lower(), True), ("2" * 8, True), ("0" * 8, False)):
            intervals = IntervalSet([Interval(low=asked, high=asked)])
            assert (
                bool(await snapshot.orders.row_groups_intersecting("order_id", intervals)) is near
            )
        pipeline.contract = built_in("string-ids")
        with pytest.raises(ConfigError, match="was cleaned with another contract"):
            await pipeline.transform()


async def test_uuids_of_which_neighbours_differ_are_not_packed(tmp_path: Path) -> None:
    write_sample(tmp_path, SampleSpec(orders=50, ids="uuid", products=10))
    async with Pipeline(tmp_path / "work", built_in("uuid-ids")) as pipeline:
        entry = await pipeline.validate(tmp_path / "order_items" / "order_items_part1.csv")
    group = pq.read_metadata(tmp_path / "work" / entry.parts[0].key).row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    packed = {one.path_in_schema: one.compression for one in columns if "id" in one.path_in_schema}
    assert packed == {
        "id": "UNCOMPRESSED",
        "order_id": "SNAPPY",
        "user_id": "SNAPPY",
        "product_id": "UNCOMPRESSED",
    }
    items = built_in("uuid-ids").datasets["order_items"]
    assert "order_id" not in high_cardinality(replace(items, key=("order_id", "id")))


async def test_one_wrong_id_does_not_make_its_row_group_look_near(tmp_path: Path) -> None:
    """Items of one file in which an id is mistyped; the order with that id comes later."""
    wrong = 9_000_000
    orders = tuple((str(one), "1", "shipped", "2025-03-01") for one in range(1, 200))
    items = [(str(one), str(one), "1", "shipped", "1.50") for one in range(1, 200)]
    items[100] = ("101", str(wrong), "1", "shipped", "1.50")
    uploads = [Upload("orders", orders, 0), Upload("order_items", tuple(items), 1)]
    async with Pipeline(tmp_path) as pipeline:
        for path in shops.write(tmp_path / "shop", uploads):
            await pipeline.validate(path)
        assert pipeline.state is not None
        snapshot = await open_snapshot(
            pipeline.state, await pipeline.state.head(), pipeline.workspace, pipeline.contract
        )
        (group,) = await snapshot.items.row_groups()
        assert group.intervals("order_id") == [
            Interval(low=1, high=199),
            Interval(low=wrong, high=wrong),
        ]
        assert group.intervals("id") == [Interval(low=1, high=199)]
        assert [island.rows for island in group.clusters["order_id"]] == [198, 1]
        for low, high, near in ((200, wrong - 1, 0), (199, 250, 1), (wrong, wrong, 1)):
            found = await snapshot.items.row_groups_intersecting(
                "order_id", IntervalSet([Interval(low=low, high=high)])
            )
            assert len(found) == near
        await pipeline.transform()
        late = Upload("orders", ((str(wrong), "1", "shipped", "2025-03-07"),), 2)
        for path in shops.write(tmp_path / "late", [late]):
            await pipeline.validate(path)
        await pipeline.transform()
        rows = await pipeline.all_rows()
        await pipeline.transform(everything=True)
        assert rows == await pipeline.all_rows()
        sold = [row["total_items_sold"] for row in rows["order_kpis"]]
        assert sold == [198, 1]


async def test_one_wrong_date_does_not_make_batches_too_large(tmp_path: Path) -> None:
    """Spread over decades, a row group's orders would hardly count on any day."""
    dates = [f"2025-03-{1 + one % 20:02d}" for one in range(400)]
    dates[7] = "1971-01-01"
    orders = tuple((str(one), "1", "shipped", date) for one, date in enumerate(dates))
    async with Pipeline(tmp_path) as pipeline:
        for path in shops.write(tmp_path / "shop", [Upload("orders", orders, 0)]):
            await pipeline.validate(path)
        assert pipeline.state is not None
        snapshot = await open_snapshot(
            pipeline.state,
            await pipeline.state.head(),
            pipeline.workspace,
            pipeline.contract,
            limits=TransformLimits(batch_orders=100),
        )
        plan = await plan_batches(await possible_days(snapshot.orders), snapshot)
        assert len(plan.batches) >= 3
