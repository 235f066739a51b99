"""Batches of days."""

from __future__ import annotations

from pathlib import Path

from tests.support import shops
from tests.support.shops import Pipeline, Upload
from worker.transform.day_batches import plan_batches
from worker.transform.day_ranges import possible_days
from worker.transform.limits import TransformLimits
from worker.transform.snapshot import open_snapshot


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
