"""Accepted files of which something is not as it should be: rejected rows, or doubts.

Of a ledger of years there are few of them, so that a reader of KPIs need not read the ledger to say
which days are complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from worker.state import Adoption, Entry, Record
from worker.state.receipt import doubts_of

MOST_FLAWED = 2_000
"""Files that are kept, the last ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """An accepted upload.

    Attributes:
        sequence: Ledger sequence of its entry.
        uploaded_at: When it was uploaded.
        is_flawed: Whether rows of it were rejected, or may be meant otherwise than they were read.
    """

    sequence: int
    uploaded_at: datetime
    is_flawed: bool

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(
            sequence=entry.sequence,
            uploaded_at=entry.uploaded_at,
            is_flawed=bool(entry.rows_rejected or doubts_of(entry)),
        )

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        at = datetime.fromisoformat(fields["uploaded_at"]).astimezone(UTC)
        return cls(**{**fields, "uploaded_at": at})


@dataclass(kw_only=True)
class FlawedFiles:
    """Files whose last upload is flawed, of the ledger's records up to a sequence.

    Attributes:
        uploads: URL -> its last upload, where that is flawed.
        dropped: Files that made room for later ones.
        staged: Contract -> URL -> upload that was accepted for it: it counts once the contract
            comes into force.
    """

    uploads: dict[str, Upload] = field(default_factory=dict)
    dropped: int = 0
    staged: dict[str, dict[str, Upload]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take a record that follows on those before."""
        if isinstance(record, Adoption):
            for url, upload in self.staged.pop(record.digest, {}).items():
                self._settle(url, upload)
        elif isinstance(record, Entry) and record.verdict == "accepted" and not record.erasure:
            upload = Upload.of(record)
            if record.staged:
                self.staged.setdefault(record.contract, {})[record.url] = upload
            else:
                self._settle(record.url, upload)

    def _settle(self, url: str, upload: Upload) -> None:
        known = self.uploads.get(url)
        if known is not None and known.uploaded_at > upload.uploaded_at:
            return
        self.uploads.pop(url, None)
        if upload.is_flawed:
            self.uploads[url] = upload
            if len(self.uploads) > MOST_FLAWED:
                del self.uploads[next(iter(self.uploads))]
                self.dropped += 1

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Build it from the parsed JSON of `dataclasses.asdict`."""

        def uploads(of: Mapping[str, Any]) -> dict[str, Upload]:
            return {url: Upload.from_fields(one) for url, one in of.items()}

        return cls(
            uploads=uploads(fields["uploads"]),
            dropped=fields["dropped"],
            staged={contract: uploads(one) for contract, one in fields["staged"].items()},
        )
