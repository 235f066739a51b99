"""Transforms by a contract of language 2 that break one rule each: see `mutants`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Set
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days
from kpi.kernels.arrays import Int64s
from tests.simulation.backend import Backend
from worker.state import Progress
from worker.state.counted import CountedUploads
from worker.transform import index_upkeep
from worker.transform.clean_files import CleanFile
from worker.transform.day_pipeline import DayPipeline, RowsOfDay
from worker.transform.index_upkeep import PointerBuilder
from worker.transform.shop import (
    changed_days,
    changed_files,
    effects,
    snapshot,
    transform,
    work,
)
from worker.transform.shop import precedence as precedence_module
from worker.transform.shop.changed_files import ChangedFiles
from worker.transform.shop.feeds import Feeds
from worker.transform.shop.precedence import Precedence, precedence
from worker.transform.shop.waiting import WaitingRows
from worker.transform.shop.work import ShopWork, find_shop_work
from worker.transform.task import TransformTask


async def no_cells(_: ChangedFiles, __: Set[str]) -> AsyncIterator[Any]:
    """Forget the days of lines whose product is another one now."""
    nothing: tuple[Any, ...] = ()
    for one in nothing:
        yield one


def by_commit(feeds: Feeds, dataset: str, places: Int64s, up_to: int | None = None) -> Precedence:
    """Let the file that was committed last be the latest, not the one that was uploaded last."""
    committed = np.where(places >= 0, np.arange(len(places)), -1)
    return precedence(feeds, dataset, committed, up_to)


async def only_changed(of: ShopWork, _: WaitingRows) -> set[str]:
    """Count waiting lines of new files alone, and leave those whose order has come."""
    return {one for name in of.snapshot.catalogs for one in of.changed.sources(name)}


class PublishesOlder(DayPipeline[Any]):
    """Publishes days of an older snapshot under the guard of the present head."""

    async def _publish(self, days: Days, rows_of: RowsOfDay, order_days: set[int]) -> None:
        self._head = await self._task.state.head()
        await super()._publish(days, rows_of, order_days)


def furthest(task: TransformTask, record: Progress) -> int:
    """Take all tables for as far as the one that has come furthest."""
    return max(record.published.get(name, 0) for name in task.tables)


async def with_rows_alone(*given: Any, **named: Any) -> ShopWork | None:
    """Publish the days that have an order, and not those that have lost their last one."""
    found = await find_shop_work(*given, **named)
    return None if found is None else replace(found, known=frozenset())


async def no_former_days(*_: object) -> Days:
    """Forget the days that orders had under former contracts."""
    return NO_DAYS


class SeesNoEnds(CountedUploads):
    """Forgets the uploads that have ceased to count."""

    def ceased_since(self, sequence: int) -> set[str]:  # noqa: ARG002
        return set()


class StandsWhereItCame(Precedence):
    """Lets a file that was replaced stand before its replacement, not at its time."""

    def rank(self, file: CleanFile) -> tuple[int, int]:
        place = int(self.places[file.upload])
        return place, place


class ForgetsAFile(PointerBuilder):
    """Gives the rows of every third upload no pointers."""

    async def add(self, sequence: int, first_row: int, file: CleanFile) -> None:
        if sequence % 3:
            await super().add(sequence, first_row, file)


def _replacing(*replaced: tuple[ModuleType, str, object]) -> Backend:
    return Backend(replaced=replaced)


SHOP_MUTANTS: dict[str, Backend] = {
    "ForgetsReferences": _replacing((changed_days, "changed_cells", no_cells)),
    "OrderOfShopCommits": _replacing(
        (snapshot, "precedence", by_commit), (changed_files, "precedence", by_commit)
    ),
    "LeavesAWaitingLine": _replacing((effects, "_due_sources", only_changed)),
    "PublishesOlder": _replacing((transform, "DayPipeline", PublishesOlder)),
    "ForgetsAFile": _replacing((index_upkeep, "PointerBuilder", ForgetsAFile)),
}
OF_SHOPS: dict[str, Backend] = {
    "ForgetsATable": _replacing((work, "reached_sequence", furthest)),
    "LeavesEmptyDays": _replacing((transform, "find_shop_work", with_rows_alone)),
    "SeesNoEnds": Backend(counted=SeesNoEnds),
    "ForgetsFormerDays": _replacing((work, "days_of_former_contracts", no_former_days)),
    "StandsWhereItCame": _replacing((precedence_module, "Precedence", StandsWhereItCame)),
}
"""Mutants that random histories notice too seldom; `test_mutants` has a history for each."""
