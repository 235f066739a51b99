"""How far a rebuild has come: one object in the folder of the index, `rebuild.json`.

A process that is killed leaves it. The next one goes on where it was, if it finds the same ledger:
it keeps what was indexed and packed since the rebuild began, and the days that were published at
the sequence that is the ledger's head still. Whatever is older was not made by the rebuild.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import orjson

from kpi.aggregation.calendar import Days, to_date, to_day
from worker.clean import Workspace
from worker.errors import DamagedObject, SourceError, SourceMissing
from worker.state import Ledger
from worker.state.same_ledger import identify_ledger

UNDER_WAY_NAME = "rebuild.json"
"""Name of the object that says that a rebuild is under way, in the folder of the index."""

RESUMED_WITHIN = timedelta(days=1)
"""Age of the last progress up to which a rebuild is resumed: the index may have been in use since,
and whoever asks for another one later wants that one to go."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a rebuild has done.

    Attributes:
        head: Ledger sequence that days were published at.
        ledger: Identifies the ledger's last records up to there.
        tables: KPI tables that were published.
        begun_at: When it began, by the clock of the workspace's store; None until that has said.
        done: First and last of days that are published; every one of them between both is.
    """

    head: int
    ledger: str
    tables: frozenset[str]
    begun_at: datetime | None = None
    done: tuple[tuple[date, date], ...] = ()

    def to_json(self) -> bytes:
        return orjson.dumps(
            {
                "head": self.head,
                "ledger": self.ledger,
                "tables": sorted(self.tables),
                "begun_at": self.begun_at,
                "done": self.done,
            }
        )

    @classmethod
    def from_json(cls, data: bytes, url: str) -> Progress:
        """Parse the text of `to_json`.

        Raises:
            DamagedObject: It is damaged, or of a release that wrote no progress.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            return cls(
                head=int(fields["head"]),
                ledger=str(fields["ledger"]),
                tables=frozenset(fields["tables"]),
                begun_at=datetime.fromisoformat(fields["begun_at"]),
                done=tuple(
                    (date.fromisoformat(first), date.fromisoformat(last))
                    for first, last in fields["done"]
                ),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedObject(
                url=url, expected="the progress of a rebuild", actual=f"damaged bytes ({error})"
            ) from error


class RebuiltDays:
    """Days that a rebuild need not compute again, and those that it has published since.

    It is the `worker.transform.task.PublishedDays` of its transform.

    Attributes:
        progress: How far it has come.
    """

    def __init__(self, workspace: Workspace, ledger: Ledger, progress: Progress) -> None:
        self.progress = progress
        self._workspace = workspace
        self._ledger = ledger

    def left(self, days: Days, head: int) -> Days:
        """Return the days that are not published at a sequence, of some ascending ones."""
        if head != self.progress.head:
            return days
        is_done = np.zeros(len(days), bool)
        for first, last in self.progress.done:
            is_done |= (days >= to_day(first)) & (days <= to_day(last))
        return days[~is_done]

    async def add(self, days: Days, head: int) -> None:
        """Record that days, which follow on each other among all of them, are published.

        Raises:
            StoreError: A store fails after retries.
        """
        done = self.progress.done
        if head != self.progress.head:
            ledger, done = await identify_ledger(self._ledger, head), ()
            self.progress = replace(self.progress, head=head, ledger=ledger)
        done = (*done, (to_date(days[0]), to_date(days[-1])))
        self.progress = replace(self.progress, done=done)
        await _write(self._workspace, self.progress)


async def begin(
    workspace: Workspace, ledger: Ledger, tables: frozenset[str], head: int
) -> RebuiltDays:
    """Record that a rebuild begins.

    Raises:
        StoreError: A store fails after retries.
    """
    progress = Progress(head=head, ledger=await identify_ledger(ledger, head), tables=tables)
    begun_at: datetime | None = None
    while begun_at is None:
        await _write(workspace, progress)
        with suppress(SourceMissing):  # another rebuild has ended meanwhile, and deleted it
            begun_at = (await workspace.store.stat(_key(workspace))).uploaded_at
    progress = replace(progress, begun_at=begun_at)
    await _write(workspace, progress)
    return RebuiltDays(workspace, ledger, progress)


async def resume(
    workspace: Workspace, ledger: Ledger, tables: frozenset[str], now: datetime
) -> RebuiltDays | None:
    """Return how far a rebuild of this ledger has come that was killed; None where there is none.

    Raises:
        StoreError: A store fails after retries.
    """
    store = workspace.store
    try:
        info = await store.stat(_key(workspace))
        found = Progress.from_json(await store.read(info, 0, info.size_bytes), info.url)
    except SourceError:
        return None  # there is none, or it is damaged
    if now - info.uploaded_at > RESUMED_WITHIN:
        return None
    head = await ledger.head()
    if found.head > head or found.ledger != await identify_ledger(ledger, found.head):
        return None
    if not tables <= found.tables:
        found = replace(found, tables=tables, done=())
    return RebuiltDays(workspace, ledger, found)


async def end(workspace: Workspace) -> None:
    """Record that no rebuild is under way.

    Raises:
        StoreError: The store fails after retries.
    """
    await workspace.store.delete(_key(workspace))


async def _write(workspace: Workspace, progress: Progress) -> None:
    async with workspace.store.create(_key(workspace)) as writer:
        await writer.write(progress.to_json())


def _key(workspace: Workspace) -> str:
    return workspace.absolute(workspace.index(UNDER_WAY_NAME))
