"""Sighting: how a file looked when its bytes were last known, so that it need not be read again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from worker.errors import StoreError
from worker.state.corruption import DAMAGE


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """What was seen of a file of a certain path, mtime and size.

    A file system keeps other bytes under the same path, mtime and size after `cp -p`, `rsync -t` or
    `tar x`. The ledger tells them apart by version; the stamp tells when to look.

    Attributes:
        version: Version of the bytes that were there, as in their ledger entry.
        sha256: What identifies these bytes, as `Entry.content`; their SHA-256 where 0.1.0 saw them.
        stamp: Change time and inode of the file then. Empty where the file had changed so shortly
            before that a later change might leave no trace in its times.
        replacements: Number of times that other bytes were found.
    """

    version: str
    sha256: str
    stamp: str = ""
    replacements: int = 0

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> Sighting:
        """Parse the text of `to_json`.

        Raises:
            StoreError: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            return cls(**fields)
        except DAMAGE as error:
            raise StoreError(f"a sighting is damaged ({type(error).__name__}: {error})") from error


def rewritten_name(content: str) -> str:
    """Name the sighting that says which content a rewritten raw file had before.

    A raw file from which a customer was erased is the same upload as before, though its bytes are
    others: `sha256` is the content that the ledger knows it by.
    """
    return f"rewritten:{content}"
