"""Know the erased customers, and which objects were rewritten for them.

Erasing a customer rewrites the clean rows and rejects that hold their id, under keys of their own.
Each rewritten upload is an entry that is staged for the erasure. The erasure, one record, then puts
all of them in the place of the entries that they rewrite: no reader sees some rows with the id and
others with its pseudonym. It holds for every sequence, also for earlier ones, since the objects
that it replaces are deleted.

What is committed later knows the erasure: `Entry.erased` is compared in the transaction of its
commit. So no worker that slept brings the customer back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

from worker.errors import StoreError
from worker.state.entry import Entry
from worker.state.records import Erasure, Record

NEVER = -(2**63)
"""Instant before every other, in microseconds since 1970."""

GENERATION_DIGITS = 8
"""Hex digits of an erasure's id in the keys of objects that were made under it."""


class ErasureLedger(Protocol):
    """What is asked of a ledger; see `worker.state.Ledger`."""

    async def erasures(self) -> list[Erasure]: ...

    async def rewritten(self, erasure_id: str) -> list[Entry]: ...

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None: ...


@dataclass(frozen=True, kw_only=True)
class Erasures:
    """The erased customers of a ledger.

    Attributes:
        key: Secret key of their digests; empty where nobody was erased.
        records: The erasures, ascending by sequence.
        rewritten: Sequence of an entry -> the entry in its place.
        sources: source_id of each rewritten entry, and its erasure.
    """

    key: bytes = field(default=b"", repr=False)
    records: tuple[Erasure, ...] = ()
    rewritten: Mapping[int, Entry] = field(default_factory=dict)
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def last(self) -> int:
        """Sequence of the last erasure; 0 for none."""
        return self.records[-1].sequence if self.records else 0

    @property
    def generation(self) -> str:
        """Part of the keys of objects that are made under these erasures; empty for none."""
        return generation_of(self.records[-1].erasure_id) if self.records else ""

    @property
    def customers(self) -> dict[str, int]:
        """Digest of each erased id -> instant up to which its rows are dropped; `NEVER` for none.

        Instants are microseconds since 1970.
        """
        found: dict[str, int] = {}
        for record in self.records:
            until = (
                int(record.recorded_at.timestamp() * 10**6) if record.mode == "delete" else NEVER
            )
            for digest in record.customers:
                found[digest] = max(found.get(digest, NEVER), until)
        return found

    @property
    def orders(self) -> tuple[str, ...]:
        """Digests of deleted orders."""
        return tuple(dict.fromkeys(one for record in self.records for one in record.orders))

    def deleted_since(self, sequence: int) -> dict[str, list[date]]:
        """Return the sources that lost rows by deletions after a sequence.

        Returns:
            source_id -> days that these deletions may have changed.
        """
        later = {
            one.erasure_id: [date.fromisoformat(day) for day in one.days]
            for one in self.records
            if one.mode == "delete" and one.sequence > sequence
        }
        return {
            source_id: later[erasure_id]
            for source_id, erasure_id in self.sources
            if erasure_id in later
        }

    def effective(self, entry: Entry) -> Entry:
        """Return an entry with the objects that took the place of its own."""
        found = self.rewritten.get(entry.sequence)
        if found is None:
            return entry
        return replace(found, sequence=entry.sequence, staged=entry.staged, erasure="", rewrites=0)

    def select(self, records: Iterable[Record]) -> list[Record]:
        """Put rewritten entries in their places, and leave out the records that hold them."""
        return [
            self.effective(one) if isinstance(one, Entry) else one
            for one in records
            if not (isinstance(one, Entry) and one.erasure)
        ]


NO_ERASURES = Erasures()


async def read_erasures(ledger: ErasureLedger) -> Erasures:
    """Read the erasures of a ledger.

    Raises:
        StoreError: The ledger cannot be read, or has lost its key.
    """
    records = await ledger.erasures()
    if not records:
        return NO_ERASURES
    key = await ledger.erasure_key()
    if key is None:
        raise StoreError("the ledger has lost the key of its erased customers", retryable=False)
    rewritten: dict[int, Entry] = {}
    sources: dict[tuple[str, str], None] = {}
    for record in records:
        for entry in await ledger.rewritten(record.erasure_id):
            rewritten[entry.rewrites] = entry
            sources[entry.source_id, entry.erasure] = None
    return Erasures(key=key, records=tuple(records), rewritten=rewritten, sources=tuple(sources))


def generation_of(erasure_id: str) -> str:
    """Return the part of keys that names an erasure."""
    return f"-e{erasure_id[:GENERATION_DIGITS]}"


def former_generations(erasures: Sequence[Erasure]) -> set[str]:
    """Return the parts of keys of what was made before the last erasure; none before the first."""
    if not erasures:
        return set()
    return {"", *(generation_of(one.erasure_id) for one in erasures[:-1])}
