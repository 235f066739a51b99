"""What a batch of uploads is of, and what became of each: objects beside the clean zone.

A batch is a folder of a store:

    messages.json   the messages that were received, written before a byte of a file is read
    reading.json    the file that a second attempt is reading, as that may kill it again
    results.json    what became of each file
    summary.json    counts, and the first names, for the state machine

A task that dies leaves `messages.json`: the next one goes on with the same messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import orjson

from worker.errors import DamagedObject, SourceMissing
from worker.objects import ObjectStore
from worker.objects.location import Location
from worker.objects.source import identify
from worker.service.queue_worker import Message

MESSAGES = "messages.json"
READING = "reading.json"
RESULTS = "results.json"
SUMMARY = "summary.json"

MAX_NAMED = 20
"""Files that a summary names: one state of Step Functions passes 256 KiB on."""

MAX_REASON_CHARACTERS = 500
"""Of one file in a summary, for the same reason."""


UploadKey = tuple[str, str, str | None]
"""Bucket, key and version id: what tells an upload from others of its batch."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """Name one object that an event speaks of.

    Attributes:
        bucket: Where it is.
        key: Its key, as the event has it: not URL-encoded.
        version_id: Its S3 version; None for the current one.
        size_bytes: Its length as the event has it; 0 where it says nothing.
    """

    bucket: str
    key: str
    version_id: str | None
    size_bytes: int = field(default=0, compare=False)  # an event may lack it

    @property
    def location(self) -> Location:
        return Location(bucket=self.bucket, key=self.key)

    @property
    def source_id(self) -> str:
        """Id of the version in the ledger; empty where the event names no version."""
        if self.version_id is None:
            return ""
        return identify(self.bucket, self.key, f"version:{self.version_id}")

    @property
    def upload_key(self) -> UploadKey:
        return self.bucket, self.key, self.version_id


def read_upload(body: str) -> Upload | None:
    """Read the body of a message, an "Object Created" event of S3; None where it is none."""
    try:
        detail = json.loads(body)["detail"]
        bucket, found = detail["bucket"]["name"], detail["object"]
        key, version, size = found["key"], found.get("version-id"), found.get("size", 0)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    is_text = isinstance(bucket, str) and isinstance(key, str)
    if not is_text or not bucket or not key or not isinstance(version, str | None):
        return None
    return Upload(
        bucket=bucket,
        key=key,
        version_id=version or None,
        size_bytes=size if isinstance(size, int) else 0,
    )


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold what became of one upload.

    Attributes:
        bucket, key, version_id: The upload.
        source_id: Its id in the ledger; empty where it could not be looked up.
        sequence: Of its entry; 0 where it has none.
        verdict: Of its entry, or `ignored` for a file that is no data; empty where it failed.
        reason: Why it was refused, or what failed.
    """

    bucket: str
    key: str
    version_id: str | None
    source_id: str = ""
    sequence: int = 0
    verdict: str = ""
    reason: str = ""

    @classmethod
    def of(cls, upload: Upload, **fields: Any) -> Self:  # noqa: ANN401  (fields of the class)
        return cls(bucket=upload.bucket, key=upload.key, version_id=upload.version_id, **fields)

    @property
    def upload_key(self) -> UploadKey:
        return self.bucket, self.key, self.version_id

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Hold the messages of a batch.

    Attributes:
        store: Store of the batch's folder.
        place: That folder.
        messages: As they were received.
        attempts: Tasks that have begun to validate it, this one among them.
        culprits: Uploads that were being read when a task was killed.
    """

    store: ObjectStore
    place: Location
    messages: Sequence[Message]
    attempts: int = 1
    culprits: frozenset[UploadKey] = field(default_factory=frozenset)

    @property
    def receipts(self) -> list[str]:
        return [message.receipt for message in self.messages]

    @property
    def size_bytes(self) -> int:
        """Return the bytes of its files, as their events have them."""
        uploads = (read_upload(message.body) for message in self.messages)
        return sum(upload.size_bytes for upload in uploads if upload)

    @cached_property
    def _receipts_by_upload(self) -> Mapping[UploadKey, list[str]]:
        found: dict[UploadKey, list[str]] = {}
        for message in self.messages:
            upload = read_upload(message.body)
            if upload is not None:
                found.setdefault(upload.upload_key, []).append(message.receipt)
        return found

    def receipts_of(self, results: Iterable[Result]) -> list[str]:
        """Return the receipts of the messages about some uploads; one may have several."""
        keys = [one.upload_key for one in results]
        return [receipt for key in keys for receipt in self._receipts_by_upload.get(key, ())]

    async def save(self) -> None:
        """Write `messages.json`.

        Raises:
            StoreError: It cannot be written, after retries.
        """
        document = {
            "attempts": self.attempts,
            "culprits": sorted(self.culprits, key=str),
            "messages": [asdict(message) for message in self.messages],
        }
        await self._write(MESSAGES, document)

    async def begin_reading(self, upload: Upload) -> None:
        """Write which upload is read now, so that the next attempt knows what killed this one."""
        await self._write(READING, upload.upload_key)

    async def end_reading(self) -> None:
        """Forget which upload was read: the task outlived it."""
        await self.store.delete(self.place.join(READING))

    async def next_attempt(self) -> Batch:
        """Count one more attempt, and take the upload that the last one was killed at for bad."""
        found = await read_json(self.store, self.place.join(READING))
        culprits = self.culprits | ({tuple(found)} if found else set())
        batch = replace(self, attempts=self.attempts + 1, culprits=culprits)
        await batch.save()
        await batch.end_reading()
        return batch

    async def save_results(self, results: Sequence[Result], *, published: bool) -> None:
        """Write `results.json` and `summary.json`."""
        await self._write(RESULTS, [asdict(one) for one in results])
        await self._write(SUMMARY, summarise(self, results, published=published))

    async def results(self) -> list[Result]:
        """Read `results.json`; empty where the batch has not been validated."""
        found = await read_json(self.store, self.place.join(RESULTS))
        return [Result(**one) for one in found or ()]

    async def _write(self, name: str, document: object) -> None:
        async with self.store.create(self.place.join(name)) as writer:
            await writer.write(orjson.dumps(document))


async def load_batch(store: ObjectStore, place: Location) -> Batch | None:
    """Read the messages of a batch; None where none were received yet."""
    found = await read_json(store, place.join(MESSAGES))
    if found is None:
        return None
    return Batch(
        store=store,
        place=place,
        messages=[Message(**one) for one in found["messages"]],
        attempts=found["attempts"],
        culprits=frozenset(tuple(one) for one in found["culprits"]),
    )


async def read_json(store: ObjectStore, key: str) -> Any:  # noqa: ANN401  (JSON)
    """Read a JSON object of the store; None where there is none.

    Raises:
        DamagedObject: It is no JSON.
        SourceError: It cannot be read.
    """
    try:
        info = await store.stat(key)
    except SourceMissing:
        return None
    data = await store.read(info, 0, info.size_bytes)
    try:
        return orjson.loads(data)
    except ValueError as error:
        raise DamagedObject("expected JSON", url=info.url) from error


def summarise(batch: Batch, results: Sequence[Result], *, published: bool) -> Mapping[str, object]:
    """Return what the state machine decides by."""
    failed = [one for one in results if not one.verdict]
    refused = [one for one in results if one.verdict == "refused"]
    return {
        "messages": len(batch.messages),
        "files": len(results),
        "accepted": sum(one.verdict == "accepted" for one in results),
        "refused": len(refused),
        "failed": len(failed),
        "as_of": max((one.sequence for one in results), default=0),
        "published": published,
        "first_refused": [_named(one) for one in refused[:MAX_NAMED]],
        "first_failed": [_named(one) for one in failed[:MAX_NAMED]],
    }


def _named(result: Result) -> Mapping[str, str]:
    return {
        "url": result.url,
        "source_id": result.source_id,
        "reason": result.reason[:MAX_REASON_CHARACTERS],
    }
