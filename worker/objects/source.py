"""Source objects: what an upload is called, which dataset it belongs to, where to look for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from worker.objects import ObjectInfo, ObjectStore


@dataclass(frozen=True, kw_only=True)
class Source:
    """One version of one uploaded file."""

    info: ObjectInfo
    dataset: str
    store: ObjectStore

    @property
    def source_id(self) -> str:
        return source_id(self.info)


def source_id(info: ObjectInfo) -> str:
    """What one version of an object is called in the ledger."""
    return identify(info.bucket, info.key, info.version)


def identify(bucket: str, key: str, version: str) -> str:
    """First 16 hex digits of SHA-256 over bucket, key and version, NUL between them."""
    identity = "\0".join((bucket, key, version))
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]


Progress = Callable[[Source, int, int], None]
"""Called with a source, stored bytes of it read so far and rows so far."""
