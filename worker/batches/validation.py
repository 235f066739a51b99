"""Validate a batch of uploads: one that cannot be read fails alone, and its message comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from kpi.errors import KpiError
from worker.batches.record import Batch, Result, Upload, load_batch, read_upload
from worker.errors import SourceError, SourceMissing, WorkerError, describe
from worker.jobs import Session, validation_context
from worker.objects import ObjectStore
from worker.objects.location import Location
from worker.objects.source import Source
from worker.reporting.reporters import JsonReporter
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import SMALL_SOURCE_BYTES, SMALL_SOURCES_AT_ONCE
from worker.service.queue_worker import Message
from worker.service.upload_queue import (
    QueueLimits,
    UploadQueue,
    gather,
    kept_invisible,
    retry_in_s,
)
from worker.state import Entry
from worker.validate.context import ValidationContext
from worker.validate.discovery import find_source
from worker.validate.input_names import is_ignored
from worker.validate.validate_source import validate

LOOKUPS_AT_ONCE = 16
"""Objects that are looked up concurrently."""

NO_EVENT = "expected an event of S3 that names an object"
KILLED = "the task was killed while it validated this file"
IGNORED = "ignored"
"""Verdict of a marker, a temporary or backup file, or one that no dataset takes."""

OpenStore = Callable[[Location], Awaitable[ObjectStore]]
"""Return the open store of a place."""


@dataclass(frozen=True, kw_only=True)
class BatchSize:
    """Bound a batch: files, and their bytes, after which no more messages are asked for."""

    max_files: int
    max_bytes: int


async def take_batch(
    queue: UploadQueue, store: ObjectStore, place: Location, size: BatchSize
) -> Batch:
    """Receive the messages of a batch, or go on with those that an earlier task received.

    Raises:
        WorkerError: Messages cannot be received, or not be written down.
    """
    known = await load_batch(store, place)
    if known is not None:
        return await known.next_attempt()
    messages = await gather(
        queue, max_files=size.max_files, max_bytes=size.max_bytes, size_of=_size_of
    )
    batch = Batch(store=store, place=place, messages=messages)
    await batch.save()
    return batch


async def validate_batch(
    session: Session,
    queue: UploadQueue,
    batch: Batch,
    *,
    open_store: OpenStore,
    reporter: JsonReporter,
) -> list[Result]:
    """Validate every upload of a batch, and write down what became of each.

    A message whose file failed is released, to be tried again later; after its last receive it
    becomes a dead letter with the cause. The other messages stay invisible for the next task.

    Raises:
        WorkerError: A store failed, or the contract changed: the same command may succeed later.
    """
    limits = await queue.limits()
    work = _Work(session, batch, open_store, reporter)
    async with kept_invisible(queue, batch.receipts, limits, reporter.emit):
        results = await work.run()
    await _return_failed(queue, batch, results, limits, reporter)
    await batch.save_results(results, published=False)
    failed = sum(not one.verdict for one in results)
    reporter.emit("batch.validated", batch=batch.place.url, files=len(results), failed=failed)
    return results


class _Work:
    """The validation of one batch."""

    def __init__(
        self, session: Session, batch: Batch, open_store: OpenStore, reporter: JsonReporter
    ) -> None:
        self._session = session
        self._batch = batch
        self._open_store = open_store
        self._reporter = reporter
        self._context: ValidationContext = validation_context(session, reporter)

    async def run(self) -> list[Result]:
        uploads = list(dict.fromkeys(filter(None, map(_upload_of, self._batch.messages))))
        looked_up = await each(uploads, self._find, LOOKUPS_AT_ONCE)
        found = dict(zip(uploads, looked_up, strict=True))
        sources = {upload: one for upload, one in found.items() if isinstance(one, Source)}
        self._report_received(sources)
        results = {upload: one for upload, one in found.items() if isinstance(one, Result)}
        small = [one for one in sources if sources[one].info.size_bytes <= SMALL_SOURCE_BYTES]
        large = [one for one in sources if sources[one].info.size_bytes > SMALL_SOURCE_BYTES]
        # After a task that was killed each is read alone, and is named before it is.
        at_once = SMALL_SOURCES_AT_ONCE if self._batch.attempts == 1 else 1
        for group, width in ((small, at_once), (large, 1)):
            done = await each(group, lambda one: self._validate(one, sources[one]), width)
            results |= dict(zip(group, done, strict=True))
        return [results[upload] for upload in uploads]

    def _report_received(self, sources: Mapping[Upload, Source]) -> None:
        """Write a line for each event of S3 that is worked on: the first one with a file's id."""
        for message in self._batch.messages:
            upload = _upload_of(message)
            if upload is None:
                continue
            source = sources.get(upload)
            self._reporter.emit(
                "source.received",
                source_id=upload.source_id if source is None else source.source_id,
                url=upload.location.url,
                message_id=message.message_id,
                received=message.received,
            )

    async def _find(self, upload: Upload) -> Source | Result:
        """Look an upload up; return what became of it where it need not be read."""
        if is_ignored(upload.key) or upload.key.endswith("/"):
            return Result.of(upload, verdict=IGNORED)
        contract = self._session.settings.contract
        try:
            store = await self._open_store(upload.location)
            source = await find_source(store, upload.location, contract, upload.version_id)
        except SourceMissing as error:
            return await self._find_moved(upload) or self._fail(upload, error)
        except (SourceError, KpiError) as error:
            return self._fail(upload, error)
        return Result.of(upload, verdict=IGNORED) if source is None else source

    async def _find_moved(self, upload: Upload) -> Result | None:
        """Return the verdict of an object that is gone since it was processed; None for none."""
        if not upload.source_id:
            return None
        entry = await self._context.find(upload.source_id)
        return None if entry is None else _result(upload, entry)

    async def _validate(self, upload: Upload, source: Source) -> Result:
        if upload.upload_key in self._batch.culprits:
            return self._fail(upload, SourceError(KILLED, url=source.info.url))
        if self._batch.attempts == 1:
            return await self._read(upload, source)
        await self._batch.begin_reading(upload)
        try:
            return await self._read(upload, source)
        finally:
            await self._batch.end_reading()

    async def _read(self, upload: Upload, source: Source) -> Result:
        try:
            entry, new = await validate(source, self._context)
        except (SourceError, KpiError) as error:
            failure: Exception = error
        except WorkerError:
            raise  # a store failed, or the contract changed: no other file would fare better
        except Exception as error:  # noqa: BLE001  (a fault that this file meets, and no other)
            failure = error
        else:
            self._reporter.validated(entry, new=new)
            return _result(upload, entry)
        self._reporter.left(source, failure)
        return Result.of(upload, source_id=source.source_id, reason=describe(failure))

    def _fail(self, upload: Upload, error: Exception) -> Result:
        self._reporter.unlisted(f"s3://{upload.bucket}/{upload.key}", error)
        return Result.of(upload, reason=describe(error))


async def _return_failed(
    queue: UploadQueue,
    batch: Batch,
    results: Sequence[Result],
    limits: QueueLimits,
    reporter: JsonReporter,
) -> None:
    """Release the messages of files that failed, or bury them; delete those of no data."""
    causes = {one.upload_key: one.reason for one in results if not one.verdict}
    await queue.delete(batch.receipts_of(one for one in results if one.verdict == IGNORED))
    for message in batch.messages:
        upload = _upload_of(message)
        cause = NO_EVENT if upload is None else causes.get(upload.upload_key)
        if cause is None:
            continue
        if 0 < limits.max_receives <= message.received:
            await queue.bury(message, cause)
            fields = {"message_id": message.message_id, "received": message.received}
            if upload is not None:
                fields |= {"source_id": upload.source_id, "url": upload.location.url}
            reporter.emit("message.dead", **fields, problem=cause)
        else:
            await queue.hide([message.receipt], retry_in_s(message.received))


def _result(upload: Upload, entry: Entry) -> Result:
    return Result.of(
        upload,
        source_id=entry.source_id,
        sequence=entry.sequence,
        verdict=entry.verdict,
        reason=entry.reason or "",
    )


def _upload_of(message: Message) -> Upload | None:
    return read_upload(message.body)


def _size_of(message: Message) -> int:
    upload = read_upload(message.body)
    return upload.size_bytes if upload else 0
