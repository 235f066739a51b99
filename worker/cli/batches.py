"""Options and work of the commands that a batch of uploads goes through, one after the other."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from worker.batches.record import Batch, load_batch
from worker.batches.validation import BatchSize, OpenStore, take_batch, validate_batch
from worker.cli.options import utf8
from worker.cli.pipeline import bring_up_to_date
from worker.errors import ConfigError
from worker.jobs import Compared, Session, open_session
from worker.objects import ObjectStore
from worker.objects.location import Location, locate
from worker.reporting.reporters import JsonReporter
from worker.service.upload_queue import UploadQueue, kept_invisible
from worker.settings import Settings
from worker.stores import open_objects, open_state

R = TypeVar("R")

MIB = 2**20

DEFAULT_SIZE = BatchSize(max_files=1000, max_bytes=1024 * MIB)


@dataclass(frozen=True, kw_only=True)
class BatchPlace:
    """Name a batch, and bound what `validate` takes into it.

    Attributes:
        queue: URL of the queue.
        folder: URL of the folder with what is known of the batch.
        size: Bounds of a new batch.
        transform_bytes: A batch of up to so many bytes is transformed in the same task.
    """

    queue: str
    folder: str
    size: BatchSize = DEFAULT_SIZE
    transform_bytes: int = 0

    def check_alone(self, **others: object) -> None:
        """Check that no option of single files is given beside a batch.

        Args:
            others: Name of an argument or option -> its value, which must be empty.

        Raises:
            UsageError: One is.
        """
        if given := [name for name, value in others.items() if value]:
            raise click.UsageError(f"a batch goes without {', '.join(given)}")


_QUEUE = click.option(
    "--queue", type=utf8, metavar="URL", help="SQS queue of uploads that a batch is taken from."
)
_BATCH = click.option(
    "--batch", type=utf8, metavar="URL", help="Folder of the batch, which the next task reads."
)
_SIZES = (
    click.option(
        "--max-files",
        type=click.IntRange(1, 10_000),
        default=DEFAULT_SIZE.max_files,
        show_default=True,
        metavar="N",
        help="Files of a batch.",
    ),
    click.option(
        "--max-mib",
        type=click.IntRange(1),
        default=DEFAULT_SIZE.max_bytes // MIB,
        show_default=True,
        metavar="N",
        help="MiB of files after which a batch is full.",
    ),
    click.option(
        "--transform-mib",
        type=click.IntRange(0),
        default=0,
        metavar="N",
        help="Transform a batch of up to N MiB in this task too.  [default: none]",
    ),
)

BATCH_PARAMETERS = frozenset({"queue", "batch", "max_files", "max_mib", "transform_mib"})
"""Parameters that become a `BatchPlace`."""


def read_batch_place(parameters: dict[str, Any]) -> BatchPlace | None:
    """Take the parameters of a batch out of those of a command; None where there is none.

    Raises:
        UsageError: Only one of --queue and --batch is given.
    """
    found = {name: parameters.pop(name, None) for name in BATCH_PARAMETERS}
    queue, folder = found["queue"], found["batch"]
    if queue is None and folder is None:
        return None
    if queue is None or folder is None:
        raise click.UsageError("--queue and --batch go together")
    if found["max_files"] is None:
        return BatchPlace(queue=queue, folder=folder)
    return BatchPlace(
        queue=queue,
        folder=folder,
        size=BatchSize(max_files=found["max_files"], max_bytes=found["max_mib"] * MIB),
        transform_bytes=found["transform_mib"] * MIB,
    )


def batch_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add --queue and --batch, which become the argument `batch`."""

    @wraps(function)
    def with_batch(**parameters: Any) -> R:  # noqa: ANN401  (of any command)
        return function(batch=read_batch_place(parameters), **parameters)

    return _QUEUE(_BATCH(with_batch))


def batch_size_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add --max-files, --max-mib and --transform-mib; `batch_options` stands below it."""
    for option in reversed(_SIZES):
        function = option(function)
    return function


@asynccontextmanager
async def opened_stores() -> AsyncIterator[OpenStore]:
    """Open each store once; close all of them when the block ends."""
    stores: dict[str, ObjectStore] = {}

    async def open_store(place: Location) -> ObjectStore:
        if place.bucket not in stores:
            made = await open_objects(place)
            if stores.setdefault(place.bucket, made) is not made:
                await made.close()  # another upload of the bucket was as quick
        return stores[place.bucket]

    try:
        yield open_store
    finally:
        for store in stores.values():
            await store.close()


@asynccontextmanager
async def opened_queue(url: str) -> AsyncIterator[UploadQueue]:
    """Open the queue of a URL."""
    from worker.service.sqs_uploads import open_uploads  # AWS client, 0.3 s

    async with open_uploads(url) as queue:
        yield queue


async def take_and_validate(settings: Settings, place: BatchPlace) -> None:
    """Take a batch and validate it; transform it too where it is small enough."""
    # A validation task has no right to KPI tables, unless it may transform.
    compares: Compared = "everything" if place.transform_bytes else "workspace"
    async with open_session(settings, compares=compares) as session:
        await validate_in_session(session, place, JsonReporter())


async def validate_in_session(session: Session, place: BatchPlace, reporter: JsonReporter) -> None:
    """Do what `take_and_validate` does, in a session that is open."""
    async with opened_queue(place.queue) as queue, opened_stores() as open_store:
        await run_validation(session, queue, place, open_store, reporter)


async def run_validation(
    session: Session,
    queue: UploadQueue,
    place: BatchPlace,
    open_store: OpenStore,
    reporter: JsonReporter,
) -> None:
    """Do what `take_and_validate` does, on what is open."""
    location = locate(place.folder)
    batch = await take_batch(queue, await open_store(location), location, place.size)
    results = await validate_batch(session, queue, batch, open_store=open_store, reporter=reporter)
    if place.transform_bytes and batch.size_bytes <= place.transform_bytes:
        await publish_batch(session, queue, batch, reporter)
        await batch.save_results(results, published=True)


async def transform_batch(settings: Settings, place: BatchPlace) -> None:
    """Publish up to the ledger's head, while the messages of a batch stay invisible."""
    async with open_session(settings) as session:
        await transform_in_session(session, place, JsonReporter())


async def transform_in_session(session: Session, place: BatchPlace, reporter: JsonReporter) -> None:
    """Do what `transform_batch` does, in a session that is open."""
    async with opened_queue(place.queue) as queue, opened_stores() as open_store:
        await publish_batch(session, queue, await _load(place, open_store), reporter)


async def archive_batch(settings: Settings, place: BatchPlace, to: Location) -> None:
    """Move the files of a batch that the KPIs have, and delete their messages."""
    from worker.batches.closing import close_batch  # Arrow, 0.3 s

    state = await open_state(settings.state_url, shop=settings.shop, read_only=True)
    try:
        async with opened_queue(place.queue) as queue, opened_stores() as open_store:
            await close_batch(
                state,
                queue,
                await _load(place, open_store),
                tables=settings.tables,
                open_store=open_store,
                to=(await open_store(to), to),
                reporter=JsonReporter(sys.stdout),
            )
    finally:
        await state.close()


async def publish_batch(
    session: Session, queue: UploadQueue, batch: Batch, reporter: JsonReporter
) -> None:
    """Transform while the messages of files with a verdict stay invisible."""
    committed = [one for one in await batch.results() if one.sequence]
    receipts = batch.receipts_of(committed)
    async with kept_invisible(queue, receipts, await queue.limits(), reporter.emit):
        report, _ = await bring_up_to_date(session, reporter, [])
    # A search for the id of a file finds the publication of its rows by this line.
    ids = sorted({one.source_id for one in committed if one.sequence <= report.as_of})
    reporter.emit("batch.published", batch=batch.place.url, as_of=report.as_of, source_ids=ids)


async def _load(place: BatchPlace, open_store: OpenStore) -> Batch:
    location = locate(place.folder)
    batch = await load_batch(await open_store(location), location)
    if batch is None:
        raise ConfigError("no batch was taken under this name", url=place.folder, option="--batch")
    return batch
