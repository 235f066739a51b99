"""A shop whose index, checkpoint and packs are maintained, and stores whose processes end early."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.support import shops
from tests.support.shops import Pipeline
from worker.clean import Workspace
from worker.index.key_index import MANIFEST_NAME
from worker.index.manifest import Manifest
from worker.index.stored import read_manifest
from worker.maintenance.derived import compare_derived
from worker.maintenance.upkeep import Upkeep, keep_up
from worker.objects import ObjectWriter
from worker.objects.local import FolderStore
from worker.transform.limits import TransformLimits
from worker.transform.task import TransformTask

LIMITS = TransformLimits(unindexed_files=0, unpacked_files=2, tail_records=1_000)


class Killed(BaseException):
    """The process is gone."""


class Dying(FolderStore):
    """A store whose process ends before a write, or whose disk is full from then on."""

    def __init__(self, error: BaseException, writes: int = 10**9) -> None:
        super().__init__()
        self.error = error
        self.left = writes

    def _write(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise self.error

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
        self._write()
        async with super().create(key) as writer:
            yield writer

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        self._write()
        await super().delete(key, version_id=version_id)


def task_of(pipeline: Pipeline, store: FolderStore | None = None) -> TransformTask:
    assert pipeline.state is not None
    workspace = pipeline.workspace
    return TransformTask(
        contract=pipeline.contract,
        workspace=workspace if store is None else replace(workspace, store=store),
        state=pipeline.state,
        tables=shops.ALL_TABLES,
        limits=LIMITS,
    )


async def maintain(pipeline: Pipeline, store: FolderStore | None = None) -> Upkeep:
    task = task_of(pipeline, store)
    return await keep_up(task.contract, task.workspace, task.state)


async def manifest_of(workspace: Workspace) -> Manifest:
    found = await read_manifest(workspace, workspace.index(MANIFEST_NAME), Manifest.from_json)
    return found or Manifest()


async def differences(pipeline: Pipeline) -> list[str]:
    task = task_of(pipeline)
    return await compare_derived(task.contract, task.workspace, task.state, LIMITS)


async def check_named(pipeline: Pipeline) -> None:
    """Check that every run that is named is there, and that all is as from nothing."""
    for run in (await manifest_of(pipeline.workspace)).runs:
        await pipeline.workspace.store.stat(
            pipeline.workspace.absolute(pipeline.workspace.index(run.name))
        )
    assert await differences(pipeline) == []
