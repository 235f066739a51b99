"""The manifest of the packs: their objects, and up to where they hold small clean files."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from worker.errors import DamagedObject

PACK_NAME = re.compile(r"[0-9a-f]{32}(?P<generation>-e[0-9a-f]{8})?\.pack")
"""Names of packs, in their folder."""

MANIFEST_NAME = re.compile(r"current(?P<generation>-e[0-9a-f]{8})?\.json")
"""Names that `manifest_name` gives."""

FORMAT = 1
"""Version of manifest and packs. Others are packs that are not there."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class PackManifest:
    """Which packs there are.

    Attributes:
        up_to: Ledger sequence up to which they hold every small clean file that could be read.
        packs: From the newest to the oldest.
        retired: Names of packs that the manifest before had and this one has not: a reader may
            still use them, the next manifest's writer deletes them.
    """

    up_to: int = 0
    packs: tuple[Pack, ...] = ()
    retired: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its packs."""
        return tuple(pack.name for pack in self.packs)

    def to_json(self) -> bytes:
        return orjson.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, data: bytes, url: str) -> PackManifest:
        """Parse the text of `to_json`; one of another format is empty.

        Raises:
            DamagedObject: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields.pop("format") != FORMAT:
                return cls()
            found = cls(
                packs=tuple(Pack(**one) for one in fields.pop("packs")),
                retired=tuple(fields.pop("retired")),
                **fields,
            )
            if not all(PACK_NAME.fullmatch(name) for name in (*found.names, *found.retired)):
                raise ValueError("a name that is no pack's")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedObject(
                url=url, expected="a manifest of packs", actual=f"damaged bytes ({error})"
            ) from error
        return found
