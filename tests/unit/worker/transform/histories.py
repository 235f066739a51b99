"""A shop with a long history, of which the opened clean files are noted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.support import shops
from tests.support.shops import Pipeline, Upload
from worker.objects import ObjectInfo
from worker.objects.local import FolderStore

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
