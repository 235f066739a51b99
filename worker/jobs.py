"""Open a session, and validate many sources in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kpi.aggregation.tables import KPI_TABLES
from kpi.contract.differences import describe_differences
from kpi.contract.loading import parse_contract
from kpi.errors import KpiError
from worker.clean import Workspace
from worker.clean.ledger_mark import check_clean_files, read_mark
from worker.errors import ConfigError, SourceError, SourcesLeft
from worker.objects.readers import close_folders
from worker.objects.source import HeaderCallback, Source
from worker.reporting.reporters import Reporter
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import SMALL_SOURCE_BYTES, SMALL_SOURCES_AT_ONCE
from worker.settings import Settings
from worker.state import Adoption, Entry, Sighting, State
from worker.state.contract_in_force import ContractInForce, contract_of
from worker.state.same_ledger import check_mark, check_tables, lost_ledger
from worker.stores import open_objects, open_state
from worker.validate import range_task
from worker.validate.byte_range import ByteRange
from worker.validate.context import ValidationContext
from worker.validate.discovery import Inputs
from worker.validate.file_versions import is_seen
from worker.validate.known_sources import find_known
from worker.validate.moved_folders import find_moved
from worker.validate.validate_source import validate
from worker.validate.wait_until_unchanged import settle

if TYPE_CHECKING:
    from worker.validate.recognition import Recognised

LISTED_DIFFERENCES = 8
"""Differences of two contracts that an error lists."""


Compared = Literal["everything", "workspace", "nothing"]
"""What is compared with the ledger: KPI tables and workspace, the workspace alone, or nothing."""


def is_missing(settings: Settings) -> bool:
    """Return whether the state is a database that is not there yet."""
    path = settings.state_url.removeprefix("sqlite://")
    if path == settings.state_url:
        return False
    try:
        os.stat(path)  # noqa: PTH116  (any bytes)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # opening it says what is wrong
    return False


@dataclass(frozen=True, kw_only=True)
class Session:
    """Hold open stores and threads for one command.

    Attributes:
        settings: With the contract and the tables that are in force.
        workspace: Clean zone and rejects.
        state: Ledger and KPI tables.
        executor: Threads that parse and encode.
        adoption: The contract in force; None before the first accepted file.
        recognised: Built-in layout that the files were recognised to have; None where a contract
            was named, or is in force.
        in_force: It, and which entries are of it.
    """

    settings: Settings
    workspace: Workspace
    state: State
    executor: ThreadPoolExecutor
    adoption: Adoption | None = None
    recognised: Recognised | None = None
    in_force: ContractInForce | None = None


@asynccontextmanager
async def open_session(
    settings: Settings, *, read_only: bool = False, compares: Compared | None = None
) -> AsyncIterator[Session]:
    """Open what the settings name; close it when the block ends.

    Args:
        settings: What to open.
        read_only: Whether the state is only read.
        compares: What must be of one history with the ledger; None for nothing where the state is
            only read, else for everything.

    Raises:
        ConfigError: The ledger has adopted another contract than the one named.
        StateRestored: Something was put back to an earlier time, or the ledger was.
        StoreError: The state cannot be opened.
    """
    if compares is None:
        compares = "nothing" if read_only else "everything"
    store = await open_objects(settings.workspace)
    try:
        workspace = Workspace(store=store, location=settings.workspace, shop=settings.shop)
        mark = await read_mark(workspace) if compares != "nothing" else None
        if mark is not None and is_missing(settings):
            raise lost_ledger(mark.begun, settings.workspace.url)  # before one is created
        if settings.readers is not None and not settings.workspace.bucket and not read_only:
            await asyncio.to_thread(close_folders, Path(f"/{settings.workspace.key}"))
        state = await open_state(
            settings.state_url,
            shop=settings.shop,
            read_only=read_only,
            readers=settings.readers,
        )
        try:
            if mark is not None:
                await check_mark(state, settings.workspace.url, mark)
            if compares == "everything":
                reached = await check_tables(state)
                await check_clean_files(workspace, state, mark, reached)
            adoption = await state.adoption()
            if adoption is not None:
                settings = apply_adoption(settings, adoption)
            else:
                # Of release 0.1.0, or before the first accepted file.
                published = KPI_TABLES.keys() & (await state.progress()).published.keys()
                settings = replace(settings, tables=settings.tables | published)
            with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="parse") as executor:
                yield Session(
                    adoption=adoption,
                    in_force=await contract_of(state, adoption, settings.contract),
                    settings=settings,
                    workspace=workspace,
                    state=state,
                    executor=executor,
                )
        finally:
            await state.close()
    finally:
        await store.close()


def apply_adoption(settings: Settings, adoption: Adoption) -> Settings:
    """Take the contract and the tables that the ledger has adopted.

    Raises:
        ConfigError: The settings name another contract.
    """
    adopted = parse_contract(adoption.text, source="the contract in the ledger")
    if settings.contract_name is not None and settings.contract.digest != adopted.digest:
        differences = describe_differences(adopted, settings.contract)
        listed = "; ".join(differences[:LISTED_DIFFERENCES]) or "only its text differs"
        rest = len(differences) - LISTED_DIFFERENCES
        more = f"; and {rest} more" if rest > 0 else ""
        raise ConfigError(
            f"the ledger has adopted another contract, {adopted.name!r}: {listed}{more}",
            option="--contract",
            actual=settings.contract_name,
            hint="leave the option out, or bring this one into force with "
            f"`shopkpi contract adopt {settings.contract_name}`",
        )
    return replace(settings, contract=adopted, tables=settings.tables | set(adoption.tables))


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Hold what became of some sources.

    Attributes:
        entries: Ledger entries, in the order of the sources; those of known ones first.
        left: URL -> error of a source that could not be read.
        committed: Ids of sources that this run committed; the ledger knew the others.
        known: Number of sources beside these that the ledger has accepted before.
    """

    entries: list[Entry]
    left: Mapping[str, Exception]
    committed: frozenset[str] = frozenset()
    known: int = 0

    @property
    def new_entries(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.source_id in self.committed]

    def check(self) -> None:
        """Raise what was left.

        Raises:
            SourceError: The only source could not be read.
            SourcesLeft: Of several, some could not be read.
        """
        count = len(self.entries) + len(self.left) + self.known
        if count == 1:
            for error in self.left.values():
                raise error
        if self.left:
            raise SourcesLeft(self.left, of=count)


async def validate_all(
    session: Session,
    inputs: Inputs,
    reporter: Reporter,
    refused_header: HeaderCallback | None = None,
) -> Validated:
    """Validate sources, small ones concurrently, once their files have settled.

    A source that cannot be read keeps no other back.

    Args:
        session: Stores and threads.
        inputs: Sources to validate, and what else is beside them.
        reporter: Hears of each.
        refused_header: See `ValidationContext`.
    """
    context = replace(validation_context(session, reporter), refused_header=refused_header)
    entries: dict[Source, Entry] = {}
    left: dict[str, Exception] = {}
    committed: set[str] = set()

    def leave(source: Source, error: Exception) -> None:
        left[source.info.url] = error
        reporter.left(source, error)

    async def one(source: Source) -> None:
        try:
            entry, new = await validate(source, context)
        except (SourceError, KpiError) as error:
            leave(source, error)
            return
        entries[source] = entry
        if new:
            committed.add(entry.source_id)
        reporter.validated(entry, new=new)

    await _check_named_dataset(inputs, context)
    reporter.start(inputs.sources)
    if session.recognised is not None:
        reporter.recognised(session.recognised)
    reporter.ignored(inputs.ignored)
    ids = [source.source_id for source in inputs.sources if source.info.stamp is not None]
    sightings = await session.state.sightings(ids) if ids else {}
    sources, unsettled = await _settle(session, inputs.sources, sightings)
    for name in inputs.left:
        left[name.url] = name.error
        reporter.unlisted(name.url, name.error)
    for source, error in unsettled:
        leave(source, error)
    known = await find_known(sources, sightings, context)
    for source, entry in known.entries.items():
        entries[source] = entry
        reporter.validated(entry, new=False)
    reporter.known(known.others)
    moved = await find_moved(sources, inputs.places, sightings, context)
    context = replace(context, moved=moved)
    looked_at = [*known.entries, *known.unknown]
    small = [source for source in known.unknown if source.info.size_bytes <= SMALL_SOURCE_BYTES]
    await each(small, one, SMALL_SOURCES_AT_ONCE)
    for source in known.unknown:
        if source.info.size_bytes > SMALL_SOURCE_BYTES:
            await one(source)
    refused = [one for one in entries.values() if one.verdict == "refused"]
    reporter.refused_before([one for one in refused if one.source_id not in committed])
    return Validated(
        entries=[entries[one] for one in looked_at if one in entries],
        left=left,
        committed=frozenset(committed),
        known=known.others,
    )


async def _check_named_dataset(inputs: Inputs, context: ValidationContext) -> None:
    """Check that no known file was read as another dataset than the one that is named.

    Raises:
        ConfigError: It names the first such file; nothing was read.
    """
    if inputs.dataset is None:
        return
    for source in inputs.sources:
        known = await context.find(source.source_id)
        if known is not None and context.is_final(known) and known.dataset != inputs.dataset:
            raise ConfigError(
                url=known.url,
                option="--dataset",
                expected=f"{known.dataset}, as which the ledger has this file",
                actual=inputs.dataset,
                hint=f"`shopkpi retract {known.source_id}` takes it back; a copy of the file under "
                "another name can then be read as the right one",
            )


async def _settle(
    session: Session, sources: Sequence[Source], sightings: Mapping[str, Sighting]
) -> tuple[list[Source], list[tuple[Source, SourceError]]]:
    """Wait for files that may still be written, but for none that the ledger has seen."""
    quiet_s = session.settings.settle_s
    if not quiet_s or not any(source.info.stamp is not None for source in sources):
        return list(sources), []
    unseen = [
        source
        for source in sources
        if (sighting := sightings.get(source.source_id)) is None
        or not is_seen(source.info, sighting)
    ]
    settled, left = await settle(unseen, quiet_s)
    now = {source.info.url: source for source in settled}
    gone = {source.info.url for source, _ in left}
    return [now.get(one.info.url, one) for one in sources if one.info.url not in gone], left


async def validate_range(
    session: Session, source: Source, byte_range: str, reporter: Reporter
) -> Entry:
    """Validate one byte range of a source, and commit the source if it was the last range."""
    reporter.start([source])
    context = validation_context(session, reporter)
    entry, new = await range_task.validate_range(source, ByteRange.parse(byte_range), context)
    reporter.validated(entry, new=new)
    return entry


async def commit_ranges(session: Session, source: Source, reporter: Reporter) -> Entry:
    """Commit a source all of whose ranges have been validated."""
    reporter.start([source])
    entry = await range_task.commit_ranges(source, validation_context(session, reporter))
    reporter.validated(entry, new=False)
    return entry


def proposed_adoption(settings: Settings) -> Adoption:
    """Build the adoption of the settings' contract and tables."""
    return Adoption(
        digest=settings.contract.digest,
        text=settings.contract.text,
        tables=tuple(sorted(settings.tables)),
        recorded_at=datetime.now(UTC),
    )


def validation_context(session: Session, reporter: Reporter) -> ValidationContext:
    """Build what all validations of a session share."""
    context = ValidationContext(
        contract=session.settings.contract,
        adoption=proposed_adoption(session.settings),
        in_force=session.in_force if session.adoption is not None else None,
        again=session.settings.again,
        workspace=session.workspace,
        ledger=session.state,
        executor=session.executor,
        progress=reporter.reading,
        sha256=session.settings.sha256,
    )
    return context if session.in_force is None else context.under(session.in_force.erasures)
