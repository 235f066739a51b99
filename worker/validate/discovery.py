"""Find the source objects below the inputs, and name all else that is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kpi.contract.model import Contract
from worker.errors import ConfigError, NothingToRead, SourceError
from worker.objects import ObjectInfo, ObjectStore, OnUnlisted, Unlisted
from worker.objects.location import Location
from worker.objects.source import Source
from worker.runtime.wording import counted
from worker.validate.input_names import is_ignored, nearest_folder

if TYPE_CHECKING:
    from kpi.contract.shop import Shop

WORKSPACE_ZONES = ("clean", "rejects", "pieces", "index", "packs", "iceberg")
"""Folders of a workspace that hold our own results."""

WORKSPACE_DATABASE = "shopkpi.db"
"""Beginning of the names of the database of a local workspace, and of its journals."""

ARCHIVED = re.compile(r"(^|/)(archive|quarantine)/[0-9a-f]{16}/")
"""Key, below an input, of an object that `archive` has moved there: no new upload."""

DATASET_ORDER = {"products": 0, "orders": 1, "order_items": 2}
"""Parents first: joins then find them."""

FEEDS_SEPARATOR = "+"
"""Between the datasets that one source object feeds."""

IGNORED_BY_NAME = "a marker, temporary or backup file"
FEEDS_NOTHING = ""
"""Dataset of a source object whose entry of `[[files]]` feeds none."""

NOT_NEEDED = "not_needed"
"""Dataset of such an object that an upload's task was started for: it is accepted unread."""

UNMATCHED = "unmatched"
"""Dataset of a source object that no pattern of the contract matches."""


@dataclass(frozen=True, kw_only=True)
class IgnoredInput:
    """A file below an input that no dataset takes.

    Attributes:
        url: The file.
        reason: Why it is not read.
        nearest: Dataset folder whose name its own resembles most; None where it is no data.
    """

    url: str
    reason: str
    nearest: str | None = None


@dataclass(frozen=True, kw_only=True)
class LeftInput:
    """A file that this run could not read; the next one tries again."""

    url: str
    error: SourceError


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is below the inputs of a run.

    Attributes:
        sources: Source objects by dataset (products, orders, order_items), then from the earliest
            upload to the latest.
        ignored: Files that no dataset takes, and links that are not followed.
        left: Names that could not be looked up.
        dataset: Dataset that was named for all of them; None where their places say it.
        places: Folders, prefixes and objects that were looked at.
    """

    sources: list[Source]
    ignored: list[IgnoredInput] = field(default_factory=list)
    left: list[LeftInput] = field(default_factory=list)
    dataset: str | None = None
    places: tuple[Location, ...] = ()


async def find_inputs(
    inputs: Sequence[tuple[ObjectStore, Location]],
    contract: Contract,
    dataset: str | None = None,
    version_id: str | None = None,
    workspace: Location | None = None,
) -> Inputs:
    """List the source objects below some places, each once.

    Args:
        inputs: Folders, prefixes or single objects.
        contract: Names the folder of each dataset.
        dataset: Dataset of all objects; None to take it from their folders.
        version_id: S3 version of the one object named; None for the current version of each.
        workspace: Our own results below it are left out.

    Raises:
        NothingToRead: A place has nothing in it, or nothing that belongs to a dataset.
    """
    if contract.shop is not None and dataset is not None:
        raise ConfigError(
            option="--dataset",
            expected="no such option: [[files]] of the contract says what a file feeds",
            actual=dataset,
        )
    found = _Found()
    folders = [one.folder for one in contract.datasets.values()]
    for store, location in inputs:
        taken, left_before, listed = 0, len(found.left), 0
        async for info in _list(store, location, version_id, found.on_unlisted):
            if _is_passed_over(info, location, workspace):
                continue
            relative = _relative(info, location)
            listed += 1
            if _is_named_by_an_event(location, relative) and is_ignored(info.key):
                taken += 1
                found.ignored[info.url] = IgnoredInput(url=info.url, reason=IGNORED_BY_NAME)
                continue
            name = _dataset_of(info, contract, dataset)
            if name == FEEDS_NOTHING:
                taken += 1
                if not _is_named_by_an_event(location, relative):
                    found.pass_over(info)
                    continue
                name = NOT_NEEDED  # its execution reads the verdict in the ledger
            if name is None:
                found.ignore(info, nearest_folder(relative or info.key, folders))
                continue
            taken += 1
            found.sources.setdefault(info.url, Source(info=info, dataset=name, store=store))
        if not taken and len(found.left) == left_before:
            raise _nothing_found(location, listed, folders, list(found.ignored.values()))
    # By patterns, one object may feed several datasets: none comes first then.
    inputs_found = found.inputs(DATASET_ORDER if contract.shop is None else {})
    return replace(inputs_found, dataset=dataset, places=tuple(location for _, location in inputs))


async def find_source(
    store: ObjectStore, location: Location, contract: Contract, version_id: str | None
) -> Source | None:
    """Look up one object that an event names; None where no dataset takes it.

    Raises:
        SourceMissing: There is no such version of it.
        SourceError: It cannot be looked up.
    """
    info = await store.stat(location.key, version_id=version_id)
    name = _dataset_of(info, contract, None)
    if name is None:
        return None
    dataset = NOT_NEEDED if name == FEEDS_NOTHING else name  # accepted unread
    return Source(info=info, dataset=dataset, store=store)


async def list_below(
    places: Sequence[tuple[ObjectStore, Location]], workspace: Location
) -> AsyncIterator[ObjectInfo]:
    """List what `find_inputs` would look at, whichever datasets it belongs to."""
    for store, location in places:
        async for info in _list(store, location, None, lambda _: None):
            if not _is_passed_over(info, location, workspace):
                yield info


async def find_sources(
    places: Sequence[tuple[ObjectStore, Location]],
    version_id: str | None,
    workspace: Location | None,
) -> list[Source]:
    """List the files below some places, whatever folder they are in, without marker files."""
    found: dict[str, Source] = {}
    for store, location in places:
        async for info in _list(store, location, version_id, lambda _: None):
            if not _is_passed_over(info, location, workspace):
                found.setdefault(info.url, Source(info=info, dataset=UNMATCHED, store=store))
    return list(found.values())


def _is_named_by_an_event(location: Location, relative: str) -> bool:
    """Whether an input is one S3 object: an upload of any name starts a task for it.

    A path on a command line is read whatever its name, since a person has chosen it.
    """
    return bool(location.bucket) and not relative


class _Found:
    """Collects what is below the inputs, by URL."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.ignored: dict[str, IgnoredInput] = {}
        self.left: dict[str, LeftInput] = {}

    def on_unlisted(self, name: Unlisted) -> None:
        """Take a name that the store could not list."""
        if name.is_failure:
            error = SourceError(name.reason, url=name.url)
            self.left[name.url] = LeftInput(url=name.url, error=error)
        else:
            self.ignored[name.url] = IgnoredInput(url=name.url, reason=name.reason)

    def ignore(self, info: ObjectInfo, nearest: str) -> None:
        """Take a file that no dataset takes."""
        self.ignored[info.url] = IgnoredInput(
            url=info.url, reason="in no folder of a dataset", nearest=nearest
        )

    def pass_over(self, info: ObjectInfo) -> None:
        """Take a file of which the contract says that it feeds nothing."""
        self.ignored[info.url] = IgnoredInput(url=info.url, reason="feeds nothing by the contract")

    def inputs(self, ranks: Mapping[str, int]) -> Inputs:
        """Order what was found; datasets of lower rank come first."""
        # Another input may have taken what this one left out.
        ignored = [one for url, one in sorted(self.ignored.items()) if url not in self.sources]
        sources = sorted(
            self.sources.values(),
            key=lambda source: (
                ranks.get(source.dataset, 0),
                source.info.uploaded_at,
                source.info.url,
            ),
        )
        return Inputs(sources=sources, ignored=ignored, left=list(self.left.values()))


def _dataset_of(info: ObjectInfo, contract: Contract, dataset: str | None) -> str | None:
    """Name the dataset of an object, or the datasets that it feeds; None where it has none.

    Where the contract has patterns, an object that none matches is a source too: validation
    refuses it by name.
    """
    if contract.shop is None:
        return dataset or contract.dataset_of(info.key)
    return feeds(info.key, contract.shop)


def feeds(key: str, shop: Shop) -> str:
    """Name the datasets that an object may feed; its header or its members decide which."""
    layouts = shop.layouts_of_object(key)
    names = dict.fromkeys(name for layout in layouts for name in layout.feeds)
    if not names:
        return FEEDS_NOTHING if layouts else UNMATCHED
    return FEEDS_SEPARATOR.join(names)


def _nothing_found(
    location: Location, listed: int, folders: Sequence[str], ignored: Sequence[IgnoredInput]
) -> NothingToRead:
    if not listed:
        return NothingToRead("nothing is there", url=location.url)
    hint = "name the dataset with --dataset"
    resembling = next((one for one in ignored if one.nearest is not None), None)
    if resembling is not None:
        hint = f"rename the folder of {resembling.url} to {resembling.nearest}/, or {hint}"
    command = f"shopkpi run {shlex.quote(location.url)} --infer"
    return NothingToRead(
        url=location.url,
        expected=f"files in folders {', '.join(f'{one}/' for one in folders)}",
        actual=f"{counted(listed, 'file')}, none of them in such a folder",
        hint=f"{hint}; for files of any other layout `{command}` proposes a contract and uses it, "
        "`shopkpi contract infer` prints it alone",
    )


async def _list(
    store: ObjectStore, location: Location, version_id: str | None, on_unlisted: OnUnlisted
) -> AsyncIterator[ObjectInfo]:
    if version_id is not None:
        yield await store.stat(location.key, version_id=version_id)
        return
    async for info in store.list(location.key, on_unlisted=on_unlisted):
        yield info


def _relative(info: ObjectInfo, location: Location) -> str:
    return info.key[len(location.key) :].lstrip("/")


def _is_passed_over(info: ObjectInfo, location: Location, workspace: Location | None) -> bool:
    """Whether an object is a result of ours, was archived, or is ignored by its name."""
    relative = _relative(info, location)
    ours = _is_own_result(info, workspace) or ARCHIVED.search(relative) is not None
    return ours or (bool(relative) and is_ignored(relative))


def _is_own_result(info: ObjectInfo, workspace: Location | None) -> bool:
    if workspace is None or info.bucket != workspace.bucket:
        return False
    ours = (
        *(f"{workspace.join(zone)}/" for zone in WORKSPACE_ZONES),
        workspace.join(WORKSPACE_DATABASE),
    )
    return info.key.startswith(ours)
