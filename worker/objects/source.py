"""Source: one version of an uploaded file, and its id in the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from worker.objects import ObjectInfo, ObjectStore
from worker.objects.corrections import Corrections


@dataclass(frozen=True, kw_only=True)
class Source:
    """One version of one uploaded file, its dataset, and the store to read it from.

    Attributes:
        info: The version.
        dataset: What it is read as.
        store: Has it.
        corrections: Records that a person has corrected; None where there are none.
    """

    info: ObjectInfo
    dataset: str
    store: ObjectStore
    corrections: Corrections | None = None

    @cached_property
    def source_id(self) -> str:
        return source_id(self.info)


def source_id(info: ObjectInfo) -> str:
    """Compute the id of one version of an object in the ledger."""
    return identify(info.bucket, info.key, info.version)


def identify(bucket: str, key: str, version: str) -> str:
    """Hash bucket, key and version: 16 hex digits of SHA-256, NUL between the three."""
    identity = "\0".join((bucket, key, version))
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]


HeaderCallback = Callable[[Source, tuple[str, ...]], None]
"""Called with a source that is refused for its header, and that header."""

ProgressCallback = Callable[[Source, int, int], None]
"""Called with a source, its stored bytes read so far, and its rows so far."""
