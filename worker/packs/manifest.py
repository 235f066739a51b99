"""The manifest of the packs: their objects, and up to where they hold small clean files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from worker.index.stored_manifest import StoredManifest

PACK_NAME = re.compile(r"[0-9a-f]{32}(?P<generation>-e[0-9a-f]{8})?\.pack")
"""Names of packs, in their folder."""

MANIFEST_NAME = re.compile(r"current(?P<generation>-e[0-9a-f]{8})?\.json")
"""Names that `manifest_name` gives."""


def manifest_name(generation: str) -> str:
    """Return the name of the manifest under the last erasure, in the folder of the packs."""
    return f"current{generation}.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """One immutable object with small clean files of a range of ledger sequences.

    Attributes:
        name: Its name in the folder of the packs.
        first: Ledger sequence of its first file.
        last: Ledger sequence of its last file.
        files: Number of its files.
        size_bytes: Its length, the directory included.
        crc: CRC-32 of the directory.
    """

    name: str
    first: int
    last: int
    files: int
    size_bytes: int
    crc: int


@dataclass(frozen=True, kw_only=True)
class PackManifest(StoredManifest):
    """Which packs there are: up to `up_to` they hold every small clean file that could be read.

    Attributes:
        packs: From the newest to the oldest.
    """

    KIND = "packs"
    FORMAT = 1
    NAMES = PACK_NAME

    packs: tuple[Pack, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its packs."""
        return tuple(pack.name for pack in self.packs)

    @classmethod
    def parse_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return fields | {"packs": tuple(Pack(**one) for one in fields["packs"])}
