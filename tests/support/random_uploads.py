"""A shop in memory whose files come in any order of times, and are ruled on at random."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from pathlib import Path

from kpi.contract.model import Contract
from tests.support.shops import Pipeline
from worker.clean import Workspace
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.state import Ruling, State
from worker.state.memory import MemoryState
from worker.state.records import Decision

FIRST_UPLOAD_S = 1_760_000_000


class RandomUploads:
    """Commits files and rulings of a seed."""

    def __init__(self, seed: random.Random, contract: Contract, home: Path) -> None:
        self.random = seed
        self.contract = contract
        self.home = home
        self.store = MemoryStore()
        self.state: State = MemoryState()
        self.pipeline = Pipeline(home, contract)
        self.pipeline.state = self.state
        self.pipeline.workspace = Workspace(
            store=self.store, location=Location(bucket="clean", key="shop")
        )
        self.sources: list[str] = []
        self._clock = 0

    async def commit(self, path: Path) -> None:
        """Commit a file as the newest of all, or as one that was uploaded at any time before."""
        self._clock += 1
        time = FIRST_UPLOAD_S + self.random.choice(
            [self._clock, self.random.randint(0, self._clock)]
        )
        os.utime(path, (time, time))
        self.sources.append((await self.pipeline.validate(path)).source_id)

    async def rule(self) -> None:
        """Retract or restore some file."""
        kind: Decision = self.random.choice(["retraction", "restoration"])
        await self.state.rule(
            Ruling(
                kind=kind,
                ruling_id=str(self.random.random()),
                source_id=self.random.choice(self.sources),
                url="",
                reason="",
                recorded_at=datetime(2026, 3, 1, tzinfo=UTC),
            )
        )
