"""All manifests of what derives from the clean zone: what they name, and which are damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from worker.clean import Workspace
from worker.errors import SourceError
from worker.index.checkpoint import MANIFEST_NAME as CHECKPOINT
from worker.index.checkpoint_manifest import CheckpointManifest
from worker.index.day_sums import MANIFEST_NAME as SUMS
from worker.index.key_index import MANIFEST_NAME as INDEX
from worker.index.manifest import Manifest
from worker.index.stored import require_manifest
from worker.index.sums_manifest import SumsManifest
from worker.packs.manifest import PackManifest, manifest_name


class Naming(Protocol):
    """A manifest."""

    @property
    def names(self) -> Iterable[str]:
        """Names of its objects."""

    @property
    def retired(self) -> tuple[str, ...]:
        """Names of objects that readers of the manifest before may still use."""


Parse = Callable[[bytes, str], Naming]


def manifests_of(workspace: Workspace) -> Mapping[str, Parse]:
    """Return the keys of a shop's manifests under its last erasure, and how they are parsed."""
    return {
        workspace.index(INDEX): Manifest.from_json,
        workspace.index(CHECKPOINT): CheckpointManifest.from_json,
        workspace.index(SUMS): SumsManifest.from_json,
        workspace.pack(manifest_name(workspace.generation)): PackManifest.from_json,
    }


async def read_named(workspace: Workspace) -> set[str]:
    """Return the names of all objects that a manifest has.

    Raises:
        SourceError: A manifest is damaged, so that nobody knows what it named.
        StoreError: The store fails after retries.
    """
    named: set[str] = set()
    for key, parse in manifests_of(workspace).items():
        found = await require_manifest(workspace, key, parse)
        if found is not None:
            named |= {*found.names, *found.retired}
    return named


async def find_damaged(workspace: Workspace) -> list[str]:
    """Say which manifests cannot be read.

    Raises:
        StoreError: The store fails after retries.
    """
    damaged: list[str] = []
    for key, parse in manifests_of(workspace).items():
        try:
            await require_manifest(workspace, key, parse)
        except SourceError as error:
            damaged.append(f"a manifest cannot be read: {error}")
    return damaged
