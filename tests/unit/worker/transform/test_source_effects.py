"""Waiting items and effects of source objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import shops
from tests.support.shops import Upload
from tests.unit.worker.transform.histories import DAYS, day, history


@pytest.mark.slow
async def test_waiting_items_are_counted_when_their_order_may_be_new(tmp_path: Path) -> None:
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
