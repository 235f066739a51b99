"""Read the rejects of a ledger entry, in the order of the source object's rows."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from worker.clean import Workspace
from worker.clean.reader import CleanObject
from worker.state import Entry

BATCH_ROWS = 1000
"""Rejects made Python objects at once."""


@dataclass(frozen=True, kw_only=True)
class RejectedRow:
    """One reject.

    Attributes:
        row: Its row as a spreadsheet counts: the header is row 1.
        byte_offset: Of its first byte in the decompressed object.
        raw: Its bytes, without line end.
        codes: Its reasons.
        reasons: The same for people.
    """

    row: int
    byte_offset: int
    raw: bytes
    codes: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Tell whether a row still has these bytes: 16 hex digits of their SHA-256."""
        return hashlib.sha256(self.raw).hexdigest()[:16]


async def read_rejects(entry: Entry, workspace: Workspace) -> AsyncIterator[RejectedRow]:
    """Yield the rejects of an entry.

    Raises:
        SourceError: An object of them cannot be read.
        StoreError: The store fails, after retries.
    """
    before = entry.rows_before or (0,) * len(entry.rejects)
    for key, rows_before in zip(entry.rejects, before, strict=True):
        rejects = CleanObject(workspace.store, workspace.stored(key))
        for group in range((await rejects.footer()).num_row_groups):
            rows = await rejects.read([group], ["row", "byte_offset", "raw", "reasons"])
            for batch in rows.to_batches(BATCH_ROWS):
                for row in batch.to_pylist():
                    yield RejectedRow(
                        row=row["row"] + rows_before,
                        byte_offset=row["byte_offset"],
                        raw=row["raw"],
                        codes=tuple(one["reason"] for one in row["reasons"]),
                        reasons=tuple(
                            f"{one['reason']}: {(one['column'] + ': ') if one['column'] else ''}"
                            f"expected {one['expected']}"
                            for one in row["reasons"]
                        ),
                    )
