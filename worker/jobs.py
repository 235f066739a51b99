"""Open what a command works with, and validate many sources."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from kpi.errors import KpiError
from worker.clean import Workspace
from worker.errors import SourceError, SourcesLeft
from worker.objects import ObjectStore
from worker.objects.location import locate
from worker.objects.source import HeaderCallback, Source
from worker.reporting.reporters import Reporter
from worker.runtime.concurrency import each
from worker.settings import Settings
from worker.state import Entry, State
from worker.stores import open_objects, open_state
from worker.validate import range_task
from worker.validate.byte_range import ByteRange
from worker.validate.context import ValidationContext
from worker.validate.discovery import find_sources
from worker.validate.task import validate

SMALL_SOURCE_BYTES = 16 * 2**20
"""A source object up to this size is validated beside others."""

SMALL_SOURCES_AT_ONCE = 4
"""Small source objects validated concurrently; larger ones are validated one by one."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """Hold open stores and threads for one command."""

    settings: Settings
    workspace: Workspace
    state: State
    executor: ThreadPoolExecutor


@asynccontextmanager
async def open_session(settings: Settings, *, read_only: bool = False) -> AsyncIterator[Session]:
    """Open what the settings name; close it when the block ends.

    Args:
        settings: What to open.
        read_only: Whether the state is only read.

    Raises:
        StoreError: The state cannot be opened.
    """
    store = await open_objects(settings.workspace)
    try:
        state = await open_state(settings.state_url, read_only=read_only)
        try:
            with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="parse") as executor:
                yield Session(
                    settings=settings,
                    workspace=Workspace(store=store, location=settings.workspace),
                    state=state,
                    executor=executor,
                )
        finally:
            await state.close()
    finally:
        await store.close()


@asynccontextmanager
async def open_sources(
    inputs: Sequence[str], settings: Settings, dataset: str | None, version_id: str | None = None
) -> AsyncIterator[list[Source]]:
    """Find the source objects at some paths or URLs; their stores stay open in the block.

    Raises:
        ConfigError: A place has nothing to read.
    """
    locations = [locate(text) for text in inputs]
    stores: dict[str, ObjectStore] = {}
    try:
        for location in locations:
            if location.bucket not in stores:
                stores[location.bucket] = await open_objects(location)
        yield await find_sources(
            [(stores[location.bucket], location) for location in locations],
            settings.contract,
            dataset,
            version_id,
            settings.workspace,
        )
    finally:
        for store in stores.values():
            await store.close()


@asynccontextmanager
async def open_all(
    inputs: Sequence[str], settings: Settings, dataset: str | None, version_id: str | None = None
) -> AsyncIterator[tuple[list[Source], Session]]:
    """Open sources and session, in AWS concurrently; errors of the sources are raised first."""
    if not settings.workspace.bucket or settings.state_url.startswith("sqlite:"):
        # No folder or database is created before there is something for it.
        async with (
            open_sources(inputs, settings, dataset, version_id) as sources,
            open_session(settings) as session,
        ):
            yield sources, session
        return
    async with AsyncExitStack() as opened:
        # To make a client takes as long as to wait for an answer.
        opening = asyncio.create_task(opened.enter_async_context(open_session(settings)))
        try:
            sources = await opened.enter_async_context(
                open_sources(inputs, settings, dataset, version_id)
            )
        except BaseException:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            raise
        yield sources, await opening


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Hold what became of some sources.

    Attributes:
        entries: Ledger entries, in the order of the sources.
        left: URL -> error of a source that could not be read.
    """

    entries: list[Entry]
    left: Mapping[str, Exception]

    def check(self) -> None:
        """Raise what was left.

        Raises:
            SourceError: The only source could not be read.
            SourcesLeft: Of several, some could not be read.
        """
        count = len(self.entries) + len(self.left)
        if count == 1:
            for error in self.left.values():
                raise error
        if self.left:
            raise SourcesLeft(self.left, of=count)


async def validate_all(
    session: Session,
    sources: Sequence[Source],
    reporter: Reporter,
    refused_header: HeaderCallback | None = None,
) -> Validated:
    """Validate sources, small ones concurrently.

    A source that cannot be read keeps no other back.

    Args:
        session: Stores and threads.
        sources: Sources to validate.
        reporter: Hears of each.
        refused_header: See `ValidationContext`.
    """
    context = replace(_context(session, reporter), refused_header=refused_header)
    entries: dict[Source, Entry] = {}
    left: dict[str, Exception] = {}

    async def one(source: Source) -> None:
        try:
            entry, new = await validate(source, context)
        except (SourceError, KpiError) as error:
            left[source.info.url] = error
            reporter.left(source, error)
            return
        entries[source] = entry
        reporter.validated(entry, new=new)

    reporter.start(sources)
    small = [source for source in sources if source.info.size_bytes <= SMALL_SOURCE_BYTES]
    await each(small, one, SMALL_SOURCES_AT_ONCE)
    for source in sources:
        if source.info.size_bytes > SMALL_SOURCE_BYTES:
            await one(source)
    return Validated(entries=[entries[one] for one in sources if one in entries], left=left)


async def validate_range(
    session: Session, source: Source, byte_range: str, reporter: Reporter
) -> Entry:
    """Validate one byte range of a source, and commit the source if it was the last range."""
    reporter.start([source])
    context = _context(session, reporter)
    entry, new = await range_task.validate_range(source, ByteRange.parse(byte_range), context)
    reporter.validated(entry, new=new)
    return entry


async def commit_ranges(session: Session, source: Source, reporter: Reporter) -> Entry:
    """Commit a source all of whose ranges have been validated."""
    reporter.start([source])
    entry = await range_task.commit_ranges(source, _context(session, reporter))
    reporter.validated(entry, new=False)
    return entry


def _context(session: Session, reporter: Reporter) -> ValidationContext:
    return ValidationContext(
        contract=session.settings.contract,
        workspace=session.workspace,
        ledger=session.state,
        executor=session.executor,
        progress=reporter.reading,
        sha256=session.settings.sha256,
    )
