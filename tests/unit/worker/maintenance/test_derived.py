"""`audit --rebuild` compares copies in packs with the clean files."""

from __future__ import annotations

from pathlib import Path

from tests.support.shops import Pipeline
from worker.maintenance.derived_sums import compare_packs
from worker.packs.manifest import PACK_NAME
from worker.transform.snapshot import open_snapshot


async def compare(pipeline: Pipeline) -> list[str]:
    assert pipeline.state is not None
    snapshot = await open_snapshot(
        pipeline.state, await pipeline.state.head(), pipeline.workspace, pipeline.contract
    )
    return await compare_packs(snapshot, pipeline.workspace, snapshot.catalogs)


async def test_copies_that_are_not_their_files_are_told(pipeline: Pipeline, tmp_path: Path) -> None:
    assert await compare(pipeline) == []
    home = tmp_path / "home"
    changed, gone, *_ = sorted((home / "clean").rglob("*.parquet"))
    changed.write_bytes(changed.read_bytes()[::-1])
    gone.unlink()
    assert await compare(pipeline) == ["the packs have copies of 2 clean files that are not theirs"]


async def test_packs_that_cannot_be_read_are_told(pipeline: Pipeline, tmp_path: Path) -> None:
    for path in (tmp_path / "home" / "packs").iterdir():
        if PACK_NAME.fullmatch(path.name):
            path.write_bytes(path.read_bytes()[::-1])
    (found,) = await compare(pipeline)
    assert found.startswith("the packs cannot be read: ")
