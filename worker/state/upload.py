"""Uploads, as far as it matters for which of them count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What decides whether an accepted entry counts.

    Attributes:
        sequence: Ledger sequence of the entry.
        source_id: The source object.
        name: URL, which later versions of the file share.
        dataset: What it was read as.
        uploaded_at: When it was uploaded.
        content: Identifies its bytes; None where unknown, which is equal to nothing.
        continues: Source object of the name that was a part of it; empty where there was none.
        moved_from: URL that the file had before its folder was moved; empty where it was not.
    """

    sequence: int
    source_id: str
    name: str
    dataset: str
    uploaded_at: datetime
    content: str | None
    continues: str = ""
    moved_from: str = ""

    def has_content_of(self, other: Upload) -> bool:
        return self.content is not None and self.content == other.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What an upload has in common with an earlier one, for people.

    Attributes:
        kind: `same`: it equals the one before it of its name, and changes nothing. `copy`: a file
            of another name has the same bytes, and both count. `replaces`: it takes the place of
            the whole earlier file of its name.
        upload: The upload.
        other: The earlier one.
    """

    kind: Literal["same", "copy", "replaces"]
    upload: Upload
    other: Upload
