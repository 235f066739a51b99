"""Latest version of each key, resolved for some row groups at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import shops
from tests.support.shops import Pipeline, Upload
from worker.transform.catalog import Catalog
from worker.transform.clean_files import CleanFile, RowGroup
from worker.transform.latest_versions import LatestVersions, join_clusters
from worker.transform.snapshot import open_snapshot


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
        snapshot = await open_snapshot(pipeline.state, head, pipeline.workspace, pipeline.contract)
        yield snapshot.orders, await snapshot.orders.row_groups()


def superseded(versions: LatestVersions, group: RowGroup) -> list[int]:
    mask = versions.mask(group)
    return [] if mask is None else [row for row, latest in enumerate(mask) if not latest]


async def test_a_chain_of_overlapping_files_is_resolved_whole(tmp_path: Path) -> None:
    async with orders_of(tmp_path, (1, 5, 8), (8, 12, 15), (15, 20)) as (orders, groups):
        first, second, third = groups
        versions = LatestVersions(orders)
        await versions.resolve([first])
        assert superseded(versions, first) == [2]
        await versions.resolve([second])
        assert superseded(versions, second) == [2]
        await versions.resolve([third])
        assert superseded(versions, third) == []


async def test_keys_of_a_closed_cluster_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    really = CleanFile.read

    async def watched(
        file: CleanFile, some: Sequence[RowGroup], columns: Sequence[str]
    ) -> pa.Table:
        read.append(file.rank)
        return await really(file, some, columns)

    monkeypatch.setattr(CleanFile, "read", watched)
    async with orders_of(tmp_path, (1, 5, 8), (8, 5, 12), (100, 101)) as (orders, groups):
        first, second, apart = groups
        versions = LatestVersions(orders)
        await versions.resolve([first])
        await versions.resolve([second, apart])
        assert sorted(read) == [0, 1]
        assert [superseded(versions, group) for group in groups] == [[1, 2], [], []]


def count_rows(groups: list[Any]) -> int:
    return sum(group.rows for group in groups)


@given(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3), max_size=20))
def test_clusters_are_joined_while_they_have_few_rows(sizes: list[list[int]]) -> None:
    clusters: list[list[Any]] = [[SimpleNamespace(rows=size) for size in some] for some in sizes]
    joined = join_clusters(clusters, max_rows=20)
    assert list(chain(*joined)) == list(chain(*clusters))
    assert all(count_rows(some) <= 20 for some in joined)
    # No joined cluster had room for the next one.
    starts = {id(cluster[0]): count_rows(cluster) for cluster in clusters}
    following = [starts[id(some[0])] for some in joined[1:]]
    assert all(count_rows(some) + more > 20 for some, more in zip(joined, following, strict=False))
