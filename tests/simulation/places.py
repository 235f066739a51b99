"""What outlives the processes of a simulation: uploads, workspace, ledger and KPI tables."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from kpi.aggregation.tables import table_names
from tests.simulation.backend import Backend
from tests.simulation.history import History
from tests.simulation.invariants import Invariants
from tests.simulation.model import Upload
from tests.simulation.schedule import Process, Scheduler
from tests.simulation.stores import SteppedState, SteppedStore, VersionedStore
from worker.clean import Workspace
from worker.objects import ObjectInfo
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.state.memory import MemoryState

ALL_TABLES = table_names(["order", "category", "product"])

START = datetime(2025, 4, 1, tzinfo=UTC)


class Places:
    """Stores in memory, and how a process sees them.

    Attributes:
        scheduler: Lets one operation of a process proceed at a time.
        state: Ledger and KPI tables.
        raw: What users upload.
        moved: Where raw files were moved.
        clean: The workspace.
        infos: All uploads, in their order.
        invariants: Promises that are checked after every write.
        now: Time of the last upload.
        days: Age of everything that is stored, in days.
        erased: Customers whose erasure came to its end.
    """

    def __init__(self, history: History, scheduler: Scheduler, backend: Backend) -> None:
        self.scheduler = scheduler
        self.state = backend.state(scheduler)
        self.now = START
        self.days = 0
        raw = VersionedStore if history.versioned else MemoryStore
        self.raw = raw("raw", clock=lambda: self.now)
        self.moved = MemoryStore("moved")
        self.clean = backend.clean(scheduler)
        self.clean._clock = self.age
        self.infos: list[ObjectInfo] = []
        self.erased: set[str] = set()
        self._kept: dict[str, Any] | None = None
        self._uploads: dict[str, Upload] = {}
        self.invariants = Invariants(self.state, self.clean, self._uploads, torn=backend.torn)

    async def put(self, upload: Upload) -> None:
        """Upload a file."""
        self.now = START + timedelta(seconds=upload.second)
        await self.raw.delete(upload.key)  # the same bytes are a new version, as in a bucket
        async with self.raw.create(upload.key) as writer:
            await writer.write(upload.text)
        info = await self.raw.stat(upload.key)
        source = self.source(info, Process("-"))
        # A later upload replaces the raw object; what was moved before stays.
        async with self.moved.create(f"archive/{source.source_id}/{upload.key}") as writer:
            await writer.write(upload.text)
        self.infos.append(info)
        self._uploads[source.source_id] = upload

    def source(self, info: ObjectInfo, process: Process) -> Source:
        """Return an upload as a process sees it."""
        store = SteppedStore(self.raw, self.scheduler, process, self.invariants.check)
        return Source(info=info, dataset=info.key.split("/")[0], store=store)

    def stores(self, process: Process) -> tuple[SteppedState, Workspace]:
        """Return state and workspace as a process sees them."""
        check = self.invariants.check
        store = SteppedStore(self.clean, self.scheduler, process, check)
        workspace = Workspace(store=store, location=Location(bucket="clean", key=""))
        return SteppedState(self.state, self.scheduler, process, check), workspace

    def keep(self) -> None:
        """Keep a copy of ledger and KPI tables, unless there is one."""
        if self._kept is None:
            self._kept = deepcopy(self._contents())

    def put_back(self) -> bool:
        """Put ledger and KPI tables back to the copy; return whether there is one."""
        if self._kept is None:
            return False
        vars(self.state).update(deepcopy(self._kept))
        self.invariants.put_back()
        return True

    def _contents(self) -> dict[str, Any]:
        names = {*vars(MemoryState()), "written"}
        return {name: value for name, value in vars(self.state).items() if name in names}

    def age(self) -> datetime:
        """Return the present time of the workspace."""
        return START + timedelta(days=self.days)
