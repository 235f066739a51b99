"""Manifests of the index as they are stored, beside the objects that they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from worker.clean import Workspace
from worker.errors import SourceChanged, SourceError, SourceMissing
from worker.objects import open_range

M = TypeVar("M")

READ_BYTES = 256 * 1024
"""Bytes of a manifest that are read with its first request: mostly all."""

MANIFEST_READS = 5
"""Attempts to read a manifest while others replace it; after them, there is none."""


async def read_manifest(
    workspace: Workspace, key: str, parse: Callable[[bytes, str], M]
) -> M | None:
    """Read a manifest; None where there is none that can be read.

    Args:
        workspace: Where it is.
        key: Its key below the workspace.
        parse: Parses its bytes; the second argument is its URL, for errors.

    Raises:
        StoreError: The store fails after retries.
    """
    try:
        return await require_manifest(workspace, key, parse)
    except SourceError:
        return None


async def require_manifest(
    workspace: Workspace, key: str, parse: Callable[[bytes, str], M]
) -> M | None:
    """Read a manifest as `read_manifest` does; None only where there is none.

    Raises:
        SourceError: There is one, and it cannot be read.
        StoreError: The store fails after retries.
    """
    store, key = workspace.store, workspace.absolute(key)
    for _ in range(MANIFEST_READS):
        try:
            info, data = await open_range(store, key, 0, READ_BYTES)
            data += await store.read(info, len(data), info.size_bytes)
            return parse(data, info.url)
        except SourceMissing:
            return None
        except SourceChanged:
            continue  # a writer has replaced it between both requests
    raise SourceChanged(f"it was replaced {MANIFEST_READS} times while it was read", url=key)
