"""Ledger records that are not uploads: what people did with an upload after it was committed.

The ledger is one sequence of records. An upload is an `Entry`; a record of this module says that an
upload no longer counts, or counts again. The KPIs at a sequence are a function of all records up to
it, so a retraction needs no clean-up: the next transform computes the days without the upload.

A record is stored as a JSON object with these members, beside `sequence`:

| member | JSON type |
|---|---|
| `kind` | string: `retraction` or `restoration`; an entry has no such member |
| `ruling_id` | string: random, so that a repeated request commits it once |
| `source_id` | string: the upload |
| `url` | string: where it was read, for people |
| `reason` | string; empty where none was given |
| `recorded_at` | string: an ISO 8601 instant with offset |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import orjson

from worker.state.corruption import DAMAGE, damaged_record
from worker.state.entry import Entry

Decision = Literal["retraction", "restoration"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """A person's decision on one upload: whether it counts.

    Attributes:
        kind: `retraction`: it no longer counts. `restoration`: it counts again.
        ruling_id: Random hex digits, so that a repeated request commits it once.
        source_id: The upload.
        url: Where it was read.
        reason: Why, in the words of whoever decided; empty where none was given.
        recorded_at: When it was decided.
        sequence: Ledger sequence of its commit; 0 before the commit.
    """

    kind: Decision
    ruling_id: str
    source_id: str
    url: str
    reason: str
    recorded_at: datetime
    sequence: int = 0

    def at(self, sequence: int) -> Ruling:
        return replace(self, sequence=sequence)

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))


Record = Entry | Ruling
"""One commit of the ledger."""


def record_from_json(data: bytes | str) -> Record:
    """Parse the text of `Entry.to_json` or `Ruling.to_json`.

    Raises:
        StoreError: It is damaged.
    """
    try:
        fields: dict[str, Any] = orjson.loads(data)
        kind = fields.get("kind")
    except DAMAGE as error:
        raise damaged_record("a record", data, error) from error
    if kind is None:
        return Entry.from_json(data)
    try:
        if kind not in get_args(Decision):
            raise ValueError(f"kind {kind!r}")
        fields["recorded_at"] = datetime.fromisoformat(fields["recorded_at"]).astimezone(UTC)
        return Ruling(**fields)
    except DAMAGE as error:
        raise damaged_record("a record", data, error) from error


def retracted_sources(records: Iterable[Record]) -> set[str]:
    """Return the uploads whose last ruling is a retraction.

    Args:
        records: Ledger records, ascending by sequence; entries are passed over.
    """
    retracted: set[str] = set()
    for record in records:
        if isinstance(record, Ruling):
            if record.kind == "retraction":
                retracted.add(record.source_id)
            else:
                retracted.discard(record.source_id)
    return retracted
