"""Find the source objects below the inputs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from kpi.contract.model import Contract
from kpi.contract.shop import Shop
from worker.errors import ConfigError
from worker.objects import ObjectInfo, ObjectStore
from worker.objects.location import Location
from worker.objects.source import Source

WORKSPACE_ZONES = ("clean", "rejects", "pieces")
"""Folders of a workspace that hold our own results."""

DATASET_ORDER = {"products": 0, "orders": 1, "order_items": 2}
"""Parents first: joins then find them."""


FEEDS_SEPARATOR = "+"
"""Between the datasets that one source object feeds."""

UNMATCHED = "unmatched"
"""Dataset of a source object that no pattern of the contract matches."""


async def find_sources(
    inputs: Sequence[tuple[ObjectStore, Location]],
    contract: Contract,
    dataset: str | None = None,
    version_id: str | None = None,
    workspace: Location | None = None,
) -> list[Source]:
    """List the source objects below some places, each once.

    Args:
        inputs: Folders, prefixes or single objects.
        contract: Names the folder of each dataset.
        dataset: Dataset of all objects; None to take it from their folders.
        version_id: S3 version of the one object named; None for the current version of each.
        workspace: Our own results below it are left out.

    Returns:
        Sources by dataset (products, orders, order_items), then from the earliest upload to the
        latest.

    Raises:
        ConfigError: A place has nothing in it, or nothing that belongs to a dataset.
    """
    if contract.shop is not None:
        return await _find_by_patterns(inputs, contract.shop, dataset, version_id, workspace)
    found: dict[str, Source] = {}
    for store, location in inputs:
        before = len(found)
        listed = 0
        async for info in _list(store, location, version_id):
            listed += 1
            name = dataset or contract.dataset_of(info.key)
            if name is not None and not _is_own_result(info, workspace):
                found.setdefault(info.url, Source(info=info, dataset=name, store=store))
        if not listed:
            raise ConfigError("nothing is there", url=location.url)
        if len(found) == before and not any(
            source.info.url.startswith(location.url) for source in found.values()
        ):
            folders = ", ".join(f"{one.folder}/" for one in contract.datasets.values())
            raise ConfigError(
                url=location.url,
                expected=f"files in folders {folders}",
                actual=f"{listed} files, none of them in such a folder",
                hint="name the dataset with --dataset",
            )
    return sorted(
        found.values(),
        key=lambda source: (
            DATASET_ORDER[source.dataset],
            source.info.uploaded_at,
            source.info.url,
        ),
    )


async def _find_by_patterns(
    inputs: Sequence[tuple[ObjectStore, Location]],
    shop: Shop,
    dataset: str | None,
    version_id: str | None,
    workspace: Location | None,
) -> list[Source]:
    """List the source objects below some places, with the datasets that patterns say they feed.

    An object that no pattern matches is listed too: validation refuses it by name.

    Raises:
        ConfigError: A place has nothing in it, or a dataset is named.
    """
    if dataset is not None:
        raise ConfigError(
            option="--dataset",
            expected="no such option: [[files]] of the contract says what a file feeds",
            actual=dataset,
        )
    found: dict[str, Source] = {}
    for store, location in inputs:
        listed = 0
        async for info in _list(store, location, version_id):
            name = info.key.rsplit("/", 1)[-1]
            if _is_own_result(info, workspace) or name.startswith((".", "_")):
                continue
            listed += 1
            layout = shop.layout_of(info.key)
            feeds = FEEDS_SEPARATOR.join(layout[0].feeds) if layout else UNMATCHED
            found.setdefault(info.url, Source(info=info, dataset=feeds, store=store))
        if not listed:
            raise ConfigError("nothing is there", url=location.url)
    return sorted(found.values(), key=lambda source: (source.info.uploaded_at, source.info.url))


async def _list(
    store: ObjectStore, location: Location, version_id: str | None
) -> AsyncIterator[ObjectInfo]:
    if version_id is not None:
        yield await store.stat(location.key, version_id=version_id)
        return
    async for info in store.list(location.key):
        yield info


def _is_own_result(info: ObjectInfo, workspace: Location | None) -> bool:
    if workspace is None or info.bucket != workspace.bucket:
        return False
    return any(info.key.startswith(f"{workspace.join(zone)}/") for zone in WORKSPACE_ZONES)
