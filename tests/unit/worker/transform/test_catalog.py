"""Which clean files and row groups a transform opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.transform.histories import DAYS, day, history
from worker.state.entry import Interval
from worker.transform.intervals import IntervalSet
from worker.transform.snapshot import open_snapshot


@pytest.mark.slow
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
        # Of the 58 objects: products, the new ones, and those of the days alone.
        assert len(opened) <= 6
        found = await pipeline.all_rows()
        await pipeline.transform(everything=True)
        assert found == await pipeline.all_rows()


async def test_one_wrong_id_does_not_widen_its_row_group(tmp_path: Path) -> None:
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
