"""A queue of uploads in memory, with a clock that the test moves, and a shop behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from kpi.aggregation.tables import DEFAULT_TABLES
from kpi.contract.loading import built_in
from worker.batches.closing import close_batch
from worker.batches.record import load_batch
from worker.batches.validation import BatchSize
from worker.clean import Workspace
from worker.cli.batches import BatchPlace, publish_batch, run_validation
from worker.errors import SourceMissing
from worker.jobs import Session
from worker.objects import ObjectStore
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.reporting.reporters import JsonReporter
from worker.service.queue_worker import Message
from worker.service.upload_queue import UNSAVED_TIMEOUT_S, QueueLimits
from worker.settings import Settings
from worker.state import State
from worker.state.contract_in_force import contract_of
from worker.state.memory import MemoryState

VISIBILITY_S = 1_800
MAX_RECEIVES = 5


def event(bucket: str, key: str, *, version_id: str | None = None, size: int = 0) -> str:
    """Return the body of a message as EventBridge sends it."""
    found = {"key": key, "size": size}
    if version_id is not None:
        found["version-id"] = version_id
    return json.dumps({"detail": {"bucket": {"name": bucket}, "object": found}})


@dataclass
class _Held:
    """A message, when it is visible again, and the receipt of its last receive."""

    message: Message
    visible_at_s: float = 0.0


@dataclass
class MemoryQueue:
    """An `UploadQueue` as SQS documents it: at least once, in any order, receipts that grow old."""

    now_s: float = 0.0
    limit: QueueLimits = field(
        default_factory=lambda: QueueLimits(
            visibility_timeout_s=VISIBILITY_S, max_receives=MAX_RECEIVES
        )
    )
    dead: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    _held: dict[str, _Held] = field(default_factory=dict)
    _sent: int = 0

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self._sent += 1
            name = f"m{self._sent}"
            message = Message(message_id=name, receipt="", body=body, received=0)
            self._held[name] = _Held(message)

    @property
    def bodies(self) -> list[str]:
        return [one.message.body for one in self._held.values()]

    def hidden_until_s(self, body: str) -> float:
        (found,) = (one for one in self._held.values() if one.message.body == body)
        return found.visible_at_s

    async def limits(self) -> QueueLimits:
        return self.limit

    async def receive(self, count: int, wait_s: int) -> list[Message]:
        del wait_s
        taken: list[Message] = []
        for name, held in list(self._held.items()):
            if held.visible_at_s > self.now_s or len(taken) == count:
                continue
            received = held.message.received + 1
            if 0 < self.limit.max_receives < received:
                self.dead.append((held.message.body, ""))
                del self._held[name]
                continue
            held.message = replace(held.message, received=received, receipt=f"{name}/{received}")
            held.visible_at_s = self.now_s + UNSAVED_TIMEOUT_S
            taken.append(held.message)
        return taken

    async def hide(self, receipts: Sequence[str], seconds: int) -> None:
        for held in self._of(receipts):
            held.visible_at_s = self.now_s + seconds

    async def delete(self, receipts: Sequence[str]) -> None:
        for held in self._of(receipts):
            self.deleted.append(held.message.body)
            del self._held[held.message.message_id]

    async def bury(self, message: Message, cause: str) -> None:
        self.dead.append((message.body, cause))
        await self.delete([message.receipt])

    def _of(self, receipts: Sequence[str]) -> list[_Held]:
        """Return the messages of receipts that are the last ones; others do nothing in SQS."""
        last = {one.message.receipt: one for one in self._held.values()}
        return [last[receipt] for receipt in receipts if receipt in last]


@dataclass
class UploadShop:
    """Stores in memory, and the commands that a batch goes through.

    Attributes:
        queue: Messages.
        incoming, archive, clean: Buckets.
        state: Ledger and KPI tables.
        threads: Parse and encode.
        out: Reporter of the commands.
    """

    threads: ThreadPoolExecutor
    reporter: JsonReporter
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    incoming: ObjectStore = field(default_factory=lambda: MemoryStore("in"))
    archive: ObjectStore = field(default_factory=lambda: MemoryStore("archive"))
    clean: ObjectStore = field(default_factory=lambda: MemoryStore("clean"))
    state: State = field(default_factory=MemoryState)

    async def put(self, key: str, body: bytes) -> str:
        """Upload a file, and send its message; return the body of the message."""
        async with self.incoming.create(key) as writer:
            await writer.write(body)
        message = event("in", key, size=len(body))
        self.queue.send(message)
        return message

    async def open_store(self, place: Location) -> ObjectStore:
        return {"in": self.incoming, "archive": self.archive, "clean": self.clean}[place.bucket]

    async def session(self) -> Session:
        settings = Settings(
            workspace=Location(bucket="clean", key=""),
            state_url="",
            contract=built_in("default"),
            tables=DEFAULT_TABLES,
        )
        adoption = await self.state.adoption()
        return Session(
            settings=settings,
            workspace=Workspace(store=self.clean, location=settings.workspace),
            state=self.state,
            executor=self.threads,
            adoption=adoption,
            in_force=await contract_of(self.state, adoption, settings.contract),
        )

    async def validate(self, batch: str, *, files: int = 100, transform_bytes: int = 0) -> None:
        place = BatchPlace(
            queue="",
            folder=f"s3://clean/{batch}",
            size=BatchSize(max_files=files, max_bytes=2**30),
            transform_bytes=transform_bytes,
        )
        session = await self.session()
        await run_validation(session, self.queue, place, self.open_store, self.reporter)

    async def transform(self, batch: str) -> None:
        loaded = await load_batch(self.clean, Location(bucket="clean", key=batch))
        assert loaded is not None
        await publish_batch(await self.session(), self.queue, loaded, self.reporter)

    async def close(self, batch: str) -> int:
        loaded = await load_batch(self.clean, Location(bucket="clean", key=batch))
        assert loaded is not None
        return await close_batch(
            self.state,
            self.queue,
            loaded,
            tables=DEFAULT_TABLES,
            open_store=self.open_store,
            to=(self.archive, Location(bucket="archive", key="")),
            reporter=self.reporter,
        )

    async def messages(self, batch: str) -> Sequence[Message]:
        """Return the messages of a batch."""
        loaded = await load_batch(self.clean, Location(bucket="clean", key=batch))
        return loaded.messages if loaded else []

    async def read(self, key: str) -> bytes | None:
        """Return the bytes of an object of the clean bucket; None for none."""
        try:
            info = await self.clean.stat(key)
        except SourceMissing:
            return None
        return await self.clean.read(info, 0, info.size_bytes)
