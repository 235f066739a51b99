"""Busy days of language 2: what some rows change is added to their sums."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpi.contract.loading import parse_contract
from tests.language.contracts import HEAD
from tests.language.uploads import Shop
from tests.support.shops import Pipeline
from worker.index.day_sums import _read_manifest
from worker.transform.limits import TransformLimits

LIMITS = TransformLimits(summed_orders=3, summed_at_once=3)

CONTRACT = (
    HEAD
    + """
[[files]]
match = "orders*.csv"
feeds = ["orders"]
[[files]]
match = "refunds*.csv"
feeds = ["refunds"]
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = "User"
total = "Total"
[refunds]
key = "row"
[refunds.columns]
order_id = "Order"
created_at = "Date"
amount = "Total"
"""
)
DAY = "2025-03-03"
FIRST = tuple(f"{number},{DAY},{7 + number % 3},2.50" for number in range(1, 7))
HEADER = "Order,Date,User,Total"


async def test_a_day_of_many_files_has_sums(tmp_path: Path) -> None:
    limits = TransformLimits(summed_files=3)
    async with Pipeline(tmp_path, parse_contract(CONTRACT, source="test")) as pipeline:
        shop, kept = Shop(pipeline, tmp_path / "in"), []
        for number, row in enumerate(FIRST, start=1):
            await shop.put(f"orders{number}.csv", row, header=HEADER)
            await pipeline.transform(limits=limits)
            kept.append(len((await _read_manifest(pipeline.workspace)).pages))
        assert kept == [0, 0, 1, 1, 1, 1]
        found = await pipeline.all_rows()
        await pipeline.transform(everything=True)
        assert await pipeline.all_rows() == found


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("orders2.csv", (f"7,{DAY},7,1", f"8,{DAY},8,1"), {"unique_customers": 3}),
        ("orders2.csv", (f"1,{DAY},9,1", f"4,{DAY},9,1"), {"unique_customers": 2}),
        ("orders2.csv", (f"9,{DAY},ann,1", f"1,{DAY},7,1"), {"unique_customers": 4}),
        ("refunds.csv", (f"2,{DAY},,1.50",), {"refunds": "1.50", "return_rate": "0.1667"}),
        ("refunds.csv", (f",{DAY},,1.50",), {"refunds": "1.50", "return_rate": "0.0000"}),
        ("refunds.csv", (f"99,{DAY},,1.50",), {"refunds": "1.50", "total_orders": 6}),
    ],
)
async def test_rows_of_a_busy_day_change_its_sums(
    tmp_path: Path, name: str, rows: tuple[str, ...], expected: dict[str, object]
) -> None:
    async with Pipeline(tmp_path, parse_contract(CONTRACT, source="test")) as pipeline:
        shop = Shop(pipeline, tmp_path / "in")
        await shop.put("orders1.csv", *FIRST, header=HEADER)
        await pipeline.transform(limits=LIMITS)
        await shop.put(name, *rows, header=HEADER)
        report = await pipeline.transform(limits=LIMITS)
        (row,) = await pipeline.rows("order_kpis")
        assert {key: str(row[key]) for key in expected} == {
            key: str(value) for key, value in expected.items()
        }
        assert "sums_rebuilt" not in report.notes
        with_sums = await pipeline.all_rows()
        await pipeline.transform(everything=True)
        assert await pipeline.all_rows() == with_sums
