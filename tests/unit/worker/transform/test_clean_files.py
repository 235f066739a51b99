"""Clean files: batches of their row groups, types, another contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow.parquet as pq
import pytest

from kpi.contract.loading import built_in
from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.transform.histories import DAYS, day, history
from worker.clean.value_clusters import ValueCluster
from worker.errors import ConfigError
from worker.sample import SampleSpec, write_sample
from worker.state.entry import Interval
from worker.transform.clean_files import (
    CleanFile,
    RowGroup,
    batch_row_groups,
    intervals_of,
    key_bounds,
)
from worker.transform.intervals import IntervalSet, value_interval
from worker.transform.snapshot import open_snapshot
from worker.validate.row_writer import high_cardinality


@pytest.mark.parametrize(
    ("count", "max_rows", "sizes"),
    [
        (15, 10**6, [6, 6, 3]),  # however few rows make a block of 8 MB
        (5, 20, [2, 2, 1]),
        (2, 5, [1, 1]),
    ],
)
def test_batches_are_bounded_in_rows_and_row_groups(
    count: int, max_rows: int, sizes: list[int]
) -> None:
    group = RowGroup(CleanFile.__new__(CleanFile), 0, 0, 10, {}, {})
    assert [len(batch) for batch in batch_row_groups([group] * count, max_rows)] == sizes


def test_a_batch_holds_row_groups_of_one_file() -> None:
    files = [CleanFile.__new__(CleanFile) for _ in range(2)]
    groups = [
        RowGroup(file, number, 10 * number, 10, {}, {}) for file in files for number in range(2)
    ]
    assert list(batch_row_groups(groups, 10**6)) == [groups[:2], groups[2:]]


@pytest.mark.slow
async def test_rows_of_another_contract_are_an_error(tmp_path: Path) -> None:
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


async def test_high_cardinality_uuids_are_not_compressed(tmp_path: Path) -> None:
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


async def test_amounts_cleaned_with_two_places_are_read_with_four(tmp_path: Path) -> None:
    contract = built_in()
    items = contract.datasets["order_items"]
    price = replace(items.columns["sale_price"], precision=15, scale=2)
    old_items = replace(items, columns={**items.columns, "sale_price": price})
    old = replace(contract, datasets={**contract.datasets, "order_items": old_items})
    orders = Upload("orders", (("1", "1", "", "2025-03-01"),), 0)
    async with Pipeline(tmp_path, old) as pipeline:
        before = Upload("order_items", (("1", "1", "1", "", "12.34"),), 0)
        for path in shops.write(tmp_path / "before", [orders, before]):
            await pipeline.validate(path)
        pipeline.contract = contract
        after = Upload("order_items", (("2", "1", "1", "", "1.005"),), 1)
        for path in shops.write(tmp_path / "after", [after]):
            await pipeline.validate(path)
        await pipeline.transform()
        [row] = (await pipeline.all_rows())["order_kpis"]
    assert str(row["total_revenue"]) == "13.34"  # 13.345, rounded half-even once


def group_of(low: str, high: str, *, numbers: bool = True) -> RowGroup:
    """A row group of ids, of which the footer knows whether they are numbers."""
    clusters = {"id": [ValueCluster(int(low), int(high), 2)]} if numbers else {}
    bounds = {"id": Interval(low=low, high=high)}
    return RowGroup(CleanFile.__new__(CleanFile), 0, 0, 2, bounds, {}, clusters)


def test_bounds_of_ids_that_are_numbers_are_numbers() -> None:
    first, second = group_of("8", "9"), group_of("10", "80")
    assert key_bounds([first, second], "id") == [Interval(low=8, high=9), Interval(low=10, high=80)]
    assert not first.intersects("id", intervals_of([second], "id"))
    assert second.intersects("id", intervals_of([group_of("79", "81")], "id"))


def test_bounds_are_texts_where_one_id_is_no_number() -> None:
    first, second = group_of("8", "9"), group_of("10", "80", numbers=False)
    assert key_bounds([first, second], "id") == [first.bounds["id"], second.bounds["id"]]
    assert first.intersects("id", intervals_of([second], "id"))
