"""Runs merged block by block hold what they held; a manifest that moved on is left alone."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.index.pointers import Pointers, sort_pointers
from tests.support.profiles import examples
from worker.clean import Workspace
from worker.errors import SourceError
from worker.index import compaction, merging, run_object
from worker.index.compaction import Merged, compact_index, count_to_merge
from worker.index.key_index import MANIFEST_NAME, KeyIndex
from worker.index.levels import Levels
from worker.index.manifest import Manifest, Run
from worker.index.stored import read_manifest
from worker.objects.location import Location
from worker.objects.memory import MemoryStore

TABLES = ("items", "orders")
SECRET = b"of one ledger..."

batches = st.lists(
    st.dictionaries(
        st.sampled_from(TABLES),
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 99)), min_size=1, max_size=40),
    ),
    min_size=1,
    max_size=5,
)


def workspace() -> Workspace:
    return Workspace(store=MemoryStore(), location=Location(bucket="clean", key="shop"))


def pointers(rows: list[tuple[int, int]]) -> Pointers:
    rows = sorted(rows, key=lambda one: one[1])
    keys, places = (np.array([row[at] for row in rows], np.uint64) for at in (0, 1))
    return sort_pointers(keys, places)


async def opened(place: Workspace) -> KeyIndex:
    return await KeyIndex.open(place, SECRET, TABLES, str)


async def extend(place: Workspace, rows: list[tuple[int, int]], up_to: int) -> None:
    """Add a run of its own, whatever the levels say."""
    with patch("worker.index.key_index.LEVELS", Levels(head=0, merged=0)):
        await (await opened(place)).extend({"items": pointers(rows)}, up_to=up_to)


async def manifest_of(place: Workspace) -> Manifest:
    found = await read_manifest(place, place.index(MANIFEST_NAME), Manifest.from_json)
    assert found is not None
    return found


async def names(place: Workspace) -> set[str]:
    return {info.key.rpartition("/")[2] async for info in place.store.list("shop")}


@given(batches)
@examples(1)
async def test_merged_runs_hold_each_pointer_once(
    found: list[dict[str, list[tuple[int, int]]]],
) -> None:
    place = workspace()
    truth = {name: {row for one in found for row in one.get(name, ())} for name in TABLES}
    with (
        patch("worker.index.key_index.LEVELS", Levels(head=0, merged=0)),
        patch.object(run_object, "BLOCK_POINTERS", 4),
        patch.object(merging, "BLOCK_POINTERS", 4),
        patch.object(merging, "READ_BLOCKS", 2),
        patch.object(compaction, "LEVEL_FACTOR", 1_000),
    ):
        for number, one in enumerate(found, start=1):
            tables = {name: pointers(rows) for name, rows in one.items()}
            await (await opened(place)).extend(tables, up_to=number)
        before = await manifest_of(place)
        merged = await compact_index(place, dry_run=False)
        after = await manifest_of(place)
        assert merged.runs in (0, len(before.runs))
        assert len(after.runs) == min(1, len(before.runs))
        assert (after.up_to, after.files) == (before.up_to, before.files)
        with patch.object(run_object, "WHOLE_RUN_BYTES", 0):
            index = await opened(place)
            for reader in index._readers:
                for name in TABLES:
                    wanted = np.arange(13, dtype=np.uint64)
                    places = await reader.find(name, wanted)
                    assert sorted(places.tolist()) == sorted(at for _, at in truth[name])


@pytest.mark.parametrize(
    ("sizes", "count"),
    [
        ([], 0),
        ([5], 0),
        ([1, 8], 2),
        ([1, 9], 0),
        ([16_000, 100_000, 2_000_000], 2),
        ([16_000, 100_000, 900_000, 2_000_000], 4),
        ([300_000, 2_000_000, 2_000_000, 2_000_000, 60_000_000], 4),
    ],
)
def test_runs_are_merged_once_newer_ones_have_an_eighth(sizes: list[int], count: int) -> None:
    assert count_to_merge(sizes) == count


async def test_a_transform_during_a_merge_loses_nothing() -> None:
    place = workspace()
    await extend(place, [(1, 1)], 1)
    await extend(place, [(2, 2)], 2)

    async def merge(at: Workspace, runs: list[Run]) -> Run:
        new = await merging.merge_runs(at, runs)
        await extend(at, [(3, 3)], 3)
        return new

    with patch.object(compaction, "merge_runs", merge):
        merged = await compact_index(place, dry_run=False)
    assert merged.runs == 2
    found = await manifest_of(place)
    assert found.up_to == 3
    assert [run.pointers for run in found.runs] == [1, 2]
    assert await names(place) >= {run.name for run in found.runs}


async def test_runs_that_another_process_merged_are_left_alone() -> None:
    place = workspace()
    await extend(place, [(1, 1)], 1)
    await extend(place, [(2, 2)], 2)

    async def merge(at: Workspace, runs: list[Run]) -> Run:
        new = await merging.merge_runs(at, runs)
        await (await opened(at)).extend({"items": pointers([(3, 3)])}, up_to=3)  # merges all
        return new

    with patch.object(compaction, "merge_runs", merge):
        assert await compact_index(place, dry_run=False) == Merged()
    found = await manifest_of(place)
    assert found.up_to == 3
    assert {run.name for run in found.runs} <= await names(place)


async def test_a_dry_run_merges_nothing() -> None:
    place = workspace()
    await extend(place, [(1, 1)], 1)
    await extend(place, [(2, 2)], 2)
    before = await names(place)
    assert (await compact_index(place, dry_run=True)).runs == 2
    assert await names(place) == before


async def test_a_damaged_run_is_told_and_the_manifest_stays() -> None:
    place = workspace()
    await extend(place, [(1, 1)], 1)
    await extend(place, [(2, 2)], 2)
    before = await manifest_of(place)
    key = place.absolute(place.index(before.runs[1].name))
    async with place.store.create(key) as writer:
        await writer.write(b"x" * before.runs[1].size_bytes)
    with pytest.raises(SourceError, match="CRC-32"):
        await compact_index(place, dry_run=False)
    assert await manifest_of(place) == before
