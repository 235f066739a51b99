"""Open the inputs of a command, with the session whose contract says how to read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from worker.jobs import Compared, Session, is_missing, open_session
from worker.objects import ObjectStore
from worker.objects.location import Location, locate
from worker.objects.source import Source
from worker.settings import Settings
from worker.stores import open_objects
from worker.validate.discovery import Inputs, find_inputs, find_sources

if TYPE_CHECKING:
    from worker.validate.recognition import Recognised


@asynccontextmanager
async def open_inputs(
    inputs: Sequence[str],
) -> AsyncIterator[list[tuple[ObjectStore, Location]]]:
    """Open the stores of some paths or URLs."""
    locations = [locate(text) for text in inputs]
    stores: dict[str, ObjectStore] = {}
    try:
        for location in locations:
            if location.bucket not in stores:
                stores[location.bucket] = await open_objects(location)
        yield [(stores[location.bucket], location) for location in locations]
    finally:
        for store in stores.values():
            await store.close()


@asynccontextmanager
async def open_sources(
    inputs: Sequence[str], settings: Settings, dataset: str | None, version_id: str | None = None
) -> AsyncIterator[Inputs]:
    """Find the source objects at some paths or URLs; their stores stay open in the block.

    Raises:
        ConfigError: A place has nothing to read.
    """
    async with open_inputs(inputs) as places:
        yield await find_inputs(places, settings.contract, dataset, version_id, settings.workspace)


def only_source(inputs: Inputs) -> Source:
    """Return the first source.

    Raises:
        SourceError: It could not be looked up.
    """
    if not inputs.sources:
        raise inputs.left[0].error
    return inputs.sources[0]


@asynccontextmanager
async def open_all(
    inputs: Sequence[str],
    settings: Settings,
    dataset: str | None,
    version_id: str | None = None,
    *,
    compares: Compared = "everything",
) -> AsyncIterator[tuple[Inputs, Session]]:
    """Open session and sources, which are found by the contract that is in force.

    `compares` is as in `open_session`. Without inputs there are no sources.
    """
    if not inputs:
        async with open_session(settings, compares=compares) as without_inputs:
            yield Inputs(sources=[]), without_inputs
        return
    if is_missing(settings):
        # No folder or database is created before there is something for it.
        async with open_inputs(inputs) as places:
            recognised = await _recognise(places, settings, dataset, version_id)
            if recognised is not None:
                settings = replace(settings, contract=recognised.contract)
            sources = await find_inputs(
                places, settings.contract, dataset, version_id, settings.workspace
            )
            async with open_session(settings, compares=compares) as opened_session:
                yield sources, _with_layout(opened_session, recognised)
        return
    async with AsyncExitStack() as opened:
        # To make a client takes as long as to wait for an answer.
        session_to_open = open_session(settings, compares=compares)
        opening = asyncio.create_task(opened.enter_async_context(session_to_open))
        try:
            places = await opened.enter_async_context(open_inputs(inputs))
        except BaseException:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            raise
        session = await opening
        if session.adoption is None:
            recognised = await _recognise(places, session.settings, dataset, version_id)
            session = _with_layout(session, recognised)
        in_force = session.settings
        yield (
            await find_inputs(places, in_force.contract, dataset, version_id, in_force.workspace),
            session,
        )


def _with_layout(session: Session, recognised: Recognised | None) -> Session:
    """Take the contract of a recognised layout."""
    if recognised is None:
        return session
    settings = replace(session.settings, contract=recognised.contract)
    return replace(session, settings=settings, recognised=recognised)


async def _recognise(
    places: Sequence[tuple[ObjectStore, Location]],
    settings: Settings,
    dataset: str | None,
    version_id: str | None,
) -> Recognised | None:
    """Recognise a built-in layout where nobody has named a contract.

    Raises:
        ConfigError: The files have several, or cannot be told apart.
    """
    if settings.contract_name is not None or settings.proposed is not None or dataset is not None:
        return None
    from worker.validate.placed_files import fit_contract  # noqa: PLC0415  (Arrow, 0.3 s)

    found = await find_sources(places, version_id, settings.workspace)
    if await fit_contract(found, settings.contract):
        return None  # as most files do; what recognises layouts takes 60 ms to import
    from worker.validate.recognition import recognise_sources  # noqa: PLC0415

    return await recognise_sources(found)
