"""A shop of two days, whose KPIs are published."""

from __future__ import annotations

from pathlib import Path

from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.transform.histories import day


async def add(pipeline: Pipeline, home: Path, name: str, uploads: list[Upload]) -> None:
    """Validate uploads, written below a folder, and publish their KPIs."""
    for path in shops.write(home / name, uploads):
        await pipeline.validate(path)
    await pipeline.transform()


async def fill(pipeline: Pipeline, home: Path) -> None:
    """Upload orders 2 to 5, with an item each, and two products."""
    products = [Upload("products", (("1", "Toys"), ("2", "Hats")), 0)]
    await add(pipeline, home, "first", [*products, *day(1), *day(2)])
