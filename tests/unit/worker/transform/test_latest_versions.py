"""Which rows are the latest of their key, judged for some row groups at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support import shops
from tests.support.shops import Pipeline, Upload
from worker.transform.catalog import Catalog
from worker.transform.clean_files import Piece, RowGroup, neighbours
from worker.transform.latest_versions import Versions
from worker.transform.snapshot import open_zone


@asynccontextmanager
async def orders_of(
    home: Path, *files: tuple[int, ...]
) -> AsyncIterator[tuple[Catalog, list[RowGroup]]]:
    """Orders of these ids, each file later than the one before and of one row group."""
    uploads = [
        Upload("orders", tuple((str(one), "1", "", "2025-03-01") for one in ids), second)
        for second, ids in enumerate(files)
    ]
    async with Pipeline(home) as pipeline:
        for path in shops.write(home / "shop", uploads):
            await pipeline.validate(path)
        assert pipeline.state is not None
        head = await pipeline.state.head()
        zone = await open_zone(pipeline.state, head, pipeline.workspace, pipeline.contract)
        yield zone.orders, await zone.orders.row_groups()


def superseded(versions: Versions, group: RowGroup) -> list[int]:
    mask = versions.latest(group)
    return [] if mask is None else [row for row, latest in enumerate(mask) if not latest]


async def test_a_neighbour_of_a_neighbour_is_not_forgotten(tmp_path: Path) -> None:
    async with orders_of(tmp_path, (1, 5, 8), (8, 12, 15), (15, 20)) as (orders, groups):
        first, second, third = groups
        versions = Versions(orders)
        await versions.judge([first])
        assert superseded(versions, first) == [2]
        await versions.judge([second])
        assert superseded(versions, second) == [2]
        await versions.judge([third])
        assert superseded(versions, third) == []


async def test_keys_are_read_once_where_no_others_overlap_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    really = Piece.read

    async def watched(piece: Piece, some: Sequence[RowGroup], columns: Sequence[str]) -> pa.Table:
        read.append(piece.rank)
        return await really(piece, some, columns)

    monkeypatch.setattr(Piece, "read", watched)
    async with orders_of(tmp_path, (1, 5, 8), (8, 5, 12), (100, 101)) as (orders, groups):
        first, second, apart = groups
        versions = Versions(orders)
        await versions.judge([first])
        await versions.judge([second, apart])
        assert sorted(read) == [0, 1]
        assert [superseded(versions, group) for group in groups] == [[1, 2], [], []]


def test_rows_of_any_length_are_few_at_once() -> None:
    """However few rows make a block of 8 MB: three such batches are held at once."""
    group = RowGroup(Piece.__new__(Piece), 0, 10, {}, {})
    for count, most, sizes in ((15, 10**6, [6, 6, 3]), (5, 20, [2, 2, 1]), (2, 5, [1, 1])):
        assert [len(batch) for batch in neighbours([group] * count, most)] == sizes
