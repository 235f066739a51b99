"""Looking up the days of new files: the ids decide what is opened, not what is between them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from kpi.aggregation.calendar import to_date
from kpi.kernels.uuids import parse_uuids
from tests.support import shops
from tests.support.shops import Upload
from tests.unit.worker.transform.histories import history
from worker.state.entry import Interval
from worker.transform.changed_days import days_of_new_items, days_of_new_orders
from worker.transform.intervals import value_set
from worker.transform.snapshot import open_snapshot

FAR_APART = {
    "orders": (("4", "1", "shipped", "2025-03-02T12:00:00"), ("900", "1", "", "2025-03-30")),
    "order_items": (("4", "4", "1", "shipped", "9.00"), ("900", "54", "1", "", "9.00")),
}
"""New versions of rows of the second day, and rows that are new."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "opened", "days"), [("orders", 2, [2, 30]), ("order_items", 4, [2, 27])]
)
async def test_files_between_two_ids_are_not_opened(
    tmp_path: Path, dataset: str, opened: int, days: list[int]
) -> None:
    async with history(tmp_path) as (pipeline, watched):
        (path,) = shops.write(tmp_path / "more", [Upload(dataset, FAR_APART[dataset], 100)])
        entry = await pipeline.validate(path)
        assert pipeline.state is not None
        snapshot = await open_snapshot(
            pipeline.state, entry.sequence, pipeline.workspace, pipeline.contract
        )
        watched.opened.clear()
        orders, items = snapshot.orders, snapshot.items
        if dataset == "orders":
            new = orders.of_sources([entry.source_id])
            found = await days_of_new_orders(orders, new, pipeline.contract)
        else:
            new = items.of_sources([entry.source_id])
            found = await days_of_new_items(items, orders, new, pipeline.contract)
        assert [to_date(one).day for one in found] == days
        assert len(watched.opened) == opened


UUIDS = [f"{digit * 8}-0000-4000-8000-000000000000" for digit in "159"]


@pytest.mark.parametrize(
    ("values", "between"),
    [
        (pa.array([1, 10**9]), 5),
        (pa.array(["a", "z"]), "m"),
        (parse_uuids(pa.array(UUIDS[::2])), UUIDS[1]),
    ],
    ids=["integers", "texts", "UUIDs"],
)
def test_few_values_are_intervals_of_their_own(values: pa.Array, between: int | str) -> None:
    low, high = value_set(values, 2)
    assert low[0] == low[1] != high[0] == high[1]
    point = Interval(low=between, high=between)
    assert not value_set(values, 2).intersects(point)
    many = value_set(values, 1)
    assert many.intersects(point) is (not pa.types.is_integer(values.type))
    assert many.intersects(Interval(low=low[0], high=low[0]))
    assert many.intersects(Interval(low=high[0], high=high[0]))


def test_no_values_intersect_nothing() -> None:
    assert not value_set(pa.array([], pa.int64()), 5).intersects(Interval(low=0, high=9))
