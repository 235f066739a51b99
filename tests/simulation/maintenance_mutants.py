"""Maintenance that breaks a rule; see `tests.simulation.mutants`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import worker.transform.history
from kpi.aggregation.calendar import Days
from tests.simulation.backend import Backend
from worker.index.checkpoint import extend_checkpoint
from worker.maintenance import collection, rebuild_progress, upkeep
from worker.maintenance import rebuild as rebuilding
from worker.maintenance.collection import Collector
from worker.maintenance.rebuild_progress import RebuiltDays
from worker.objects import StoredName
from worker.state import Erasure


class CollectsLiveRuns(Collector):
    """Deletes runs without a look into the manifests."""

    async def _named_by_manifests(self) -> set[str]:
        return set()


class CollectsCleanFiles(Collector):
    """Deletes clean files without a look into the ledger."""

    async def _collect_batch(self, zone: str, batch: Collection[StoredName]) -> None:
        for one in batch:
            await self._delete(zone, one)


async def checkpoint_beyond(*args: Any, up_to: int, **options: Any) -> None:
    """Write a checkpoint that is one record ahead of what it knows."""
    await extend_checkpoint(*args, up_to=up_to + 1, **options)


class KeepsEveryDay(RebuiltDays):
    """Takes days for published, whatever the ledger's head is by now."""

    def left(self, days: Days, head: int) -> Days:
        del head
        return super().left(days, self.progress.head)


async def repeat_no_erasure(*_: object) -> list[Erasure]:
    """Leave the ledger as it was put back."""
    return []


OF_REBUILDS = {
    "KeepsEveryDay": Backend(replaced=((rebuild_progress, "RebuiltDays", KeepsEveryDay),)),
    "RepeatsNoErasure": Backend(replaced=((rebuilding, "repeat_erasures", repeat_no_erasure),)),
}
"""Mutants that need a rebuild, or a ledger that was put back."""

OF_MAINTENANCE = {
    **{
        mutant.__name__: Backend(replaced=((upkeep, "Collector", mutant),))
        for mutant in (CollectsLiveRuns, CollectsCleanFiles)
    },
    "CollectsTheYoung": Backend(replaced=((collection, "MIN_AGE", timedelta(0)),)),
    "CheckpointBeyond": Backend(
        replaced=((worker.transform.history, "extend_checkpoint", checkpoint_beyond),)
    ),
}
"""Mutants that need maintenance beside transforms; `test_mutants` takes such histories."""
