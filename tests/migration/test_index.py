"""A workspace of release 0.1.0 gets index, packs and checkpoint by its first transform."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kpi.contract.loading import built_in
from tests.migration.stored import Stored
from tests.support.shops import ALL_TABLES, Pipeline
from tests.unit.worker.maintenance.maintained import Dying, Killed, manifest_of
from worker.maintenance.derived import compare_derived
from worker.transform import transform
from worker.transform.limits import TransformLimits

RELEASE = Path(__file__).parent / "v0_1_0"
LIMITS = TransformLimits(
    unindexed_files=0, unpacked_files=1, tail_records=1, stride_pointers=8, stride_records=2
)
"""The index of a small shop is built in several strides."""


async def test_a_killed_first_transform_goes_on_with_the_index(tmp_path: Path) -> None:
    stored, home = Stored(RELEASE / "default"), tmp_path / "home"
    stored.unpack_workspace(home)
    assert not (home / "index").exists()
    async with Pipeline(home, built_in(stored.history["contract"])) as pipeline:
        await pipeline.transform(everything=True)
        expected = await pipeline.all_rows()
        assert expected["order_kpis"]
        assert not (home / "index" / "current.json").exists()  # it has few files
        assert pipeline.state is not None
        reached = [0]
        for writes in itertools.count():
            store = Dying(Killed(), writes)
            workspace = replace(pipeline.workspace, store=store)
            with suppress(Killed):
                await transform(
                    contract=pipeline.contract,
                    workspace=workspace,
                    state=pipeline.state,
                    tables=ALL_TABLES,
                    everything=True,
                    limits=LIMITS,
                )
            assert await pipeline.all_rows() == expected
            found = (await manifest_of(pipeline.workspace)).up_to
            assert found >= reached[-1]
            reached.append(found)
            if store.left >= 0:
                break
        assert len({*reached}) > 3  # each process went on where the one before had come to
        differences = await compare_derived(
            pipeline.contract, pipeline.workspace, pipeline.state, LIMITS
        )
        assert differences == []
        assert (home / "packs" / "current.json").exists()
        assert (home / "index" / "uploads.json").exists()
