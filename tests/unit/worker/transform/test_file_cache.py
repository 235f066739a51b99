"""What is held of clean files."""

from __future__ import annotations

import gc
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.worker.transform.histories import DAYS, history
from worker.transform import file_cache
from worker.transform.snapshot import open_snapshot


@pytest.mark.slow
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
