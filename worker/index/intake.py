"""What came, in counters: of the ledger's records up to a sequence, without the records.

`shopkpi status` and what is expected ask how many files of each dataset came, when, and which of
them are refused. A ledger of years has millions of receipts, so that these counters are kept beside
the checkpoint. As all of the index they are never needed: without them the ledger is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

import orjson

from worker.errors import DamagedObject
from worker.index.flawed_files import FlawedFiles
from worker.state import Adoption, Entry, Record, Ruling
from worker.state.corruption import DAMAGE

FORMAT = 2
"""Of the object. One of another format is one that is not there."""

ARRIVAL_SECONDS = 900
"""Arrivals are counted by quarters of an hour: each zone's midnight begins one."""

MOST_ARRIVALS = 10_000
"""Quarters of an hour with files that are kept of a dataset, the last ones: 104 days at least."""

MOST_REFUSALS = 1_000
"""Refused files that are kept, the last ones."""


@dataclass(kw_only=True)
class DatasetIntake:
    """Accepted uploads of one dataset.

    Attributes:
        files: Their number.
        rows_read: Rows in them.
        rows_rejected: Those of the rows that were rejected.
        last_uploaded_at: When the last of them was uploaded; None where there is none.
        arrivals: Quarter of an hour since 1970 in UTC -> uploads in it.
    """

    files: int = 0
    rows_read: int = 0
    rows_rejected: int = 0
    last_uploaded_at: datetime | None = None
    arrivals: dict[int, int] = field(default_factory=dict)

    def add(self, uploaded_at: datetime, rows_read: int, rows_rejected: int) -> None:
        """Count another upload."""
        self.files += 1
        self.rows_read += rows_read
        self.rows_rejected += rows_rejected
        self.last_uploaded_at = max(self.last_uploaded_at or uploaded_at, uploaded_at)
        quarter = int(uploaded_at.timestamp()) // ARRIVAL_SECONDS
        self.arrivals[quarter] = self.arrivals.get(quarter, 0) + 1
        if len(self.arrivals) > MOST_ARRIVALS:
            del self.arrivals[min(self.arrivals)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An upload that is refused, and of whose file no later upload was accepted.

    Attributes:
        source_id: The upload.
        sequence: Ledger sequence of the verdict.
        url: Where it was read.
        uploaded_at: When it was uploaded.
        dataset: What it was read as.
        reason: Why.
    """

    source_id: str
    sequence: int
    url: str
    uploaded_at: datetime
    dataset: str
    reason: str

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(
            source_id=entry.source_id,
            sequence=entry.sequence,
            url=entry.url,
            uploaded_at=entry.uploaded_at,
            dataset=entry.dataset,
            reason=entry.reason or "",
        )


@dataclass(kw_only=True)
class Intake:
    """Counters of the records up to a sequence.

    Attributes:
        up_to: The sequence.
        ledger: Identifies the ledger's last records up to there.
        datasets: Dataset -> its accepted uploads.
        refused: Source object -> its refusal, ascending by sequence.
        refusals_dropped: Refusals that were open when they made room for later ones.
        staged: Contract -> source object -> its staged verdict, where that would open a refusal or
            end one: it does once the contract comes into force.
        flawed: Accepted files with rejected rows or doubts.
    """

    up_to: int = 0
    ledger: str = ""
    datasets: dict[str, DatasetIntake] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    refusals_dropped: int = 0
    staged: dict[str, dict[str, Refusal | None]] = field(default_factory=dict)
    flawed: FlawedFiles = field(default_factory=FlawedFiles)

    def add(self, records: Iterable[Record]) -> None:
        """Count records that follow on those before, ascending by sequence."""
        for record in records:
            self.up_to = record.sequence
            self.flawed.add(record)
            if isinstance(record, Entry):
                self._add_entry(record)
            elif isinstance(record, Adoption):
                for source_id, refusal in self.staged.pop(record.digest, {}).items():
                    self._settle(source_id, refusal)
            elif isinstance(record, Ruling) and record.kind == "retraction":
                self.refused.pop(record.source_id, None)

    def _add_entry(self, entry: Entry) -> None:
        if entry.erasure:
            return  # the same upload as before
        refusal = Refusal.of(entry) if entry.verdict == "refused" else None
        if entry.staged:
            if refusal is not None or entry.source_id in self.refused:
                self.staged.setdefault(entry.contract, {})[entry.source_id] = refusal
            return
        was_refused = entry.source_id in self.refused
        self._settle(entry.source_id, refusal)
        # The repair of an upload that counts already is no other upload.
        if refusal is not None or (entry.repair is not None and not was_refused):
            return
        replaced = [
            one.source_id
            for one in self.refused.values()
            if one.url == entry.url and one.uploaded_at <= entry.uploaded_at
        ]
        for source_id in replaced:
            del self.refused[source_id]
        counts = {
            name: (one.clean + one.rejected + one.passed_over, one.rejected)
            for name, one in entry.feeds.items()
        } or {entry.dataset: (entry.rows_read, entry.rows_rejected)}
        for name, (read, rejected) in counts.items():
            of_dataset = self.datasets.setdefault(name, DatasetIntake())
            of_dataset.add(entry.uploaded_at, read, rejected)

    def _settle(self, source_id: str, refusal: Refusal | None) -> None:
        self.refused.pop(source_id, None)
        if refusal is not None:
            self.refused[source_id] = refusal
            if len(self.refused) > MOST_REFUSALS:
                del self.refused[next(iter(self.refused))]
                self.refusals_dropped += 1

    def to_json(self) -> bytes:
        return orjson.dumps({"format": FORMAT, **asdict(self)}, option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def from_json(cls, data: bytes, url: str) -> Self:
        """Parse the text of `to_json`; one of another format is empty.

        Raises:
            DamagedObject: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields.pop("format") != FORMAT:
                return cls()
            fields["datasets"] = {name: _dataset(one) for name, one in fields["datasets"].items()}
            fields["refused"] = {name: _refusal(one) for name, one in fields["refused"].items()}
            fields["staged"] = {
                contract: {name: one and _refusal(one) for name, one in verdicts.items()}
                for contract, verdicts in fields["staged"].items()
            }
            fields["flawed"] = FlawedFiles.from_fields(fields["flawed"])
            return cls(**fields)
        except DAMAGE as error:
            raise DamagedObject(
                url=url, expected="counters of what came", actual=f"damaged bytes ({error})"
            ) from error


def _dataset(fields: dict[str, Any]) -> DatasetIntake:
    arrivals = {int(quarter): count for quarter, count in fields.pop("arrivals").items()}
    found = DatasetIntake(**fields, arrivals=arrivals)
    if fields["last_uploaded_at"] is not None:
        at = datetime.fromisoformat(fields["last_uploaded_at"]).astimezone(UTC)
        found = replace(found, last_uploaded_at=at)
    return found


def _refusal(fields: dict[str, Any]) -> Refusal:
    at = datetime.fromisoformat(fields.pop("uploaded_at")).astimezone(UTC)
    return Refusal(**fields, uploaded_at=at)
