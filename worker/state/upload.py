"""Uploads, as far as it matters for which of them count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from worker.state.entry import Entry

Name = tuple[str, str]
"""URL and dataset, which versions of a file share; no dataset by a contract of language 2, where
the header of a version says what it feeds."""


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
        feeds: Whether its header or a contract of language 2 says which datasets it feeds.
    """

    sequence: int
    source_id: str
    name: str
    dataset: str
    uploaded_at: datetime
    content: str | None
    continues: str = ""
    moved_from: str = ""
    feeds: bool = False

    @property
    def file(self) -> Name:
        """Name that the versions of the file share, unless its folder was moved."""
        return self.name, "" if self.feeds else self.dataset

    @property
    def former_file(self) -> Name:
        """Name of the file before its folder was moved; see `moved_from`."""
        return self.moved_from, self.file[1]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Return what an accepted entry says."""
        return cls(
            sequence=entry.sequence,
            source_id=entry.source_id,
            name=entry.url,
            dataset=entry.dataset,
            uploaded_at=entry.uploaded_at,
            content=entry.content_id,
            continues=entry.continues,
            moved_from=entry.moved_from,
            feeds=bool(entry.feeds),
        )

    def has_content_of(self, other: Upload) -> bool:
        return self.content is not None and self.content == other.content


Run = list[Upload]
"""Uploads of one name and equal content that follow on each other, from the first to the last."""


def runs_of(uploads: Iterable[Upload]) -> list[Run]:
    """Return the runs of equal contents of uploads of one name, in order of upload time."""
    runs: list[Run] = []
    for upload in uploads:
        if runs and upload.has_content_of(runs[-1][-1]):
            runs[-1].append(upload)
        else:
            runs.append([upload])
    return runs


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
