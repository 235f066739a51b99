"""The ledger in a DynamoDB table. Items, by `kind` and `id`:

| kind | id | attributes |
|---|---|---|
| `head` | `head` | sequence: of the last record; erased: of the last erasure, if any |
| `source` | source_id | sequence: of its entry |
| `staged` | source_id-digest | sequence: of its entry, staged for the contract of a digest |
| `ruling` | ruling_id | sequence: of the ruling |
| `erasure` | erasure_id | sequence: of the erasure |
| `secret` | `erasures` | key: of the digests of erased customers |
| `adoption` | `in force` | sequence, digest; entry: JSON of the last adoption |
| `sequence` | sequence, 12 digits | entry: JSON of a record |
| `effect` | source_id | as_of, effect: JSON |
| `sighting` | source_id | sighting: JSON; of files only |
| `kpi_progress` | `progress` | version, claim, progress: JSON (`worker.state.dynamodb.progress`) |
| `kpi_waiting` | source_id | items: that wait for their order (`worker.state.dynamodb.progress`) |
| `kpi_lease` | `transform` | owner, version, seconds: who runs a transform (`worker.state.lease`) |
| `kpi_guard` | ISO date | version, claim, published (`worker.state.dynamodb.kpis`) |

Items of another shop than `default` have its name in front of `kind`, as in `berlin#source`. So
records that release 0.1.0 has written, or a task of it still writes, are valid as they stand. What
it kept of its own KPI tables is of other kinds (`progress`, `waiting`, `day`), and no longer read.

Every read is strongly consistent.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, TypeVar

from kpi.aggregation.tables import LEDGER_PARTITION_KEY, LEDGER_SORT_KEY, LEDGER_TABLE
from worker.errors import ContractChanged, CustomersErased, HeadMoved, StoreError
from worker.state import Adoption, Entry, Erasure, Record, Ruling
from worker.state.corruption import parsing
from worker.state.dynamodb.client import CONDITION_FAILED, Database
from worker.state.dynamodb.group_commit import GroupCommit
from worker.state.dynamodb.items import absent, json_of, number, put, sequence_of, unchanged
from worker.state.dynamodb.ledger_writes import (
    HEAD,
    IN_FORCE,
    SEQUENCE_DIGITS,
    Head,
    LedgerWrites,
    digits,
)
from worker.state.entry import erasure_prefix, name_of_staged, staged_name
from worker.state.records import record_from_json
from worker.state.shop import SEPARATOR

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item

R = TypeVar("R", Entry, Ruling)

_LAST_SEQUENCE = 10**SEQUENCE_DIGITS - 1

_CONTRACT_WRITE = 3
"""Position, in the transaction of an entry, of the write that concerns the contract in force."""

_ERASURE_KEY = ("secret", "erasures")


class DynamoDBLedger:
    """DynamoDB implementation of `worker.state.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._to = LedgerWrites(database)
        self._group = GroupCommit(database, self._to, self._head)

    async def find(self, source_id: str) -> Entry | None:
        """Return the committed entry of a source object; None before its commit."""
        return await self._find(f"looking up source object {source_id}", "source", source_id, Entry)

    async def find_staged(self, source_id: str, contract: str) -> Entry | None:
        """Return the entry staged for a source object and the contract of a digest, if any."""
        doing = f"looking up the staged source object {source_id}"
        return await self._find(doing, "staged", staged_name(source_id, contract), Entry)

    async def stage(self, entry: Entry) -> Entry:
        """Append a staged entry, or return the one staged before for its contract."""
        pointer: Item = {
            **self._database.ledger_key("staged", name_of_staged(entry)),
            "verdict": {"S": entry.verdict},
            "url": {"S": entry.url},
        }
        return await self._commit(f"staging source object {entry.source_id}", pointer, entry)

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        """Append `entry` under the next sequence, or return the one committed before.

        The transaction checks that the contract of `adoption` is in force, so that the common case
        reads nothing more.
        """
        # Attributes of their own for what a state machine or a person at the console reads first.
        pointer: Item = {
            **self._database.ledger_key("source", entry.source_id),
            "verdict": {"S": entry.verdict},
            "url": {"S": entry.url},
            **({"reason": {"S": entry.reason}} if entry.reason else {}),
        }
        doing = f"committing source object {entry.source_id}"
        if entry.verdict != "accepted":
            adoption = None  # a refused file adopts nothing, and fits any contract
        committed = await self._group.commit(doing, pointer, entry, adoption)
        if committed is not None:
            return committed
        return await self._commit(doing, pointer, entry, adoption, final=replaces)

    async def adoption(self) -> Adoption | None:
        """Return the last adoption: the contract in force; None before the first."""
        item = await self._database.get(
            "reading the contract", LEDGER_TABLE, self._database.ledger_key(*IN_FORCE)
        )
        record = None if item is None else _record(item)
        return record if isinstance(record, Adoption) else None

    async def adopt(
        self, adoption: Adoption, *, replaces: int, head: int | None = None
    ) -> Adoption:
        """Append `adoption` under the next sequence, if the one in force is still `replaces`."""
        doing = "adopting a contract"
        retries = self._database.retry.start()
        while True:
            found = await self._head()
            last = found.sequence
            committed = adoption.at((last if head is None else head) + 1, replaces=replaces)
            reasons = await self._database.transact(
                doing,
                [
                    self._to.put_adoption(committed, unchanged("sequence", replaces)),
                    *self._to.append(
                        committed, Head(sequence=committed.sequence - 1, erased=found.erased)
                    ),
                ],
            )
            if not reasons:
                return committed
            if reasons[0] == CONDITION_FAILED:
                in_force = await self.adoption()
                if in_force is not None and in_force == adoption.at(
                    in_force.sequence, replaces=replaces
                ):
                    return in_force  # ours: the answer was lost
                raise ContractChanged(actual=in_force and in_force.digest)
            if head is not None and last != head:
                raise HeadMoved(expected=head, actual=last)
            if not await retries.again():
                raise StoreError(f"{doing}: others kept committing", url=self._database.url)

    async def rule(self, ruling: Ruling) -> Ruling:
        """Append `ruling` under the next sequence, or return the one committed before."""
        pointer: Item = {
            **self._database.ledger_key("ruling", ruling.ruling_id),
            "source_id": {"S": ruling.source_id},
        }
        return await self._commit(f"committing a {ruling.kind}", pointer, ruling)

    async def head(self) -> int:
        """Return the last sequence; 0 for an empty ledger."""
        return (await self._head()).sequence

    async def _head(self) -> Head:
        item = await self._database.get(
            "reading the head", LEDGER_TABLE, self._database.ledger_key(*HEAD)
        )
        if item is None:
            return Head()
        with parsing("head of the ledger"):
            erased = int(item["erased"]["N"]) if "erased" in item else 0
        return Head(sequence=sequence_of(item), erased=erased)

    async def erase(self, erasure: Erasure, *, head: int) -> Erasure:
        """Append `erasure` under the next sequence, if the last one is still `head`."""
        doing = "committing an erasure"
        committed = erasure.at(head + 1)
        pointer: Item = {
            **self._database.ledger_key("erasure", erasure.erasure_id),
            "sequence": number(committed.sequence),
        }
        table = self._database.table(LEDGER_TABLE)
        reasons = await self._database.transact(
            doing,
            [
                {"Put": put(table, pointer, absent("sequence"))},
                *self._to.append(committed, Head(sequence=head)),
            ],
        )
        if reasons:
            known = {one.erasure_id: one for one in await self.erasures()}
            if erasure.erasure_id in known:
                return known[erasure.erasure_id]  # ours: the answer was lost
            raise HeadMoved(expected=head, actual=await self.head())
        return committed

    async def erasures(self) -> list[Erasure]:
        """Return all erasures, ascending by sequence; there are few."""
        records = await self._pointed("reading erasures", "erasure")
        return [record for record in records if isinstance(record, Erasure)]

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        """Return the entries staged for an erasure, ascending by the entry that each rewrites."""
        prefix = erasure_prefix(erasure_id)
        doing = f"reading what was rewritten for erasure {erasure_id}"
        records = await self._pointed(doing, "staged", (prefix, f"{prefix}~"))
        entries = [record for record in records if isinstance(record, Entry)]
        return sorted(entries, key=lambda entry: entry.rewrites)

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None:
        """Return the secret key of the digests; `proposed` becomes it where there is none."""
        doing = "reading the key of erased customers"
        key = self._database.ledger_key(*_ERASURE_KEY)
        item = await self._database.get(doing, LEDGER_TABLE, key)
        if item is None and proposed is not None:
            new: Item = {**key, "key": {"B": proposed}}
            table = self._database.table(LEDGER_TABLE)
            await self._database.put(
                "making the key of erased customers", put(table, new, absent("key"))
            )
            item = await self._database.get(doing, LEDGER_TABLE, key)
        return None if item is None else bytes(item["key"]["B"])

    async def entries(self, *, after: int = 0, up_to: int | None = None) -> list[Entry]:
        """Return entries with after < sequence <= up_to (default: all), ascending by sequence."""
        records = await self.records(after=after, up_to=up_to)
        return [record for record in records if isinstance(record, Entry)]

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        """Return entries and rulings with after < sequence <= up_to, ascending by sequence."""
        last = _LAST_SEQUENCE if up_to is None else min(up_to, _LAST_SEQUENCE)
        if last <= after:
            return []
        items = self._database.query(
            f"reading entries after {after}",
            LEDGER_TABLE,
            self._database.ledger_partition("sequence"),
            (LEDGER_SORT_KEY, digits(after + 1), digits(last)),
        )
        return [_record(item) async for item in items]

    async def entries_at(self, sequences: Collection[int]) -> list[Entry]:
        """Return the entries at some sequences, ascending; other records are passed over."""
        keys = [self._to.sequence_key(sequence) for sequence in sorted({*sequences})]
        items = await self._database.batch_get("reading entries", LEDGER_TABLE, keys)
        entries = [one for one in map(_record, items) if isinstance(one, Entry)]
        return sorted(entries, key=lambda entry: entry.sequence)

    async def rulings(self) -> list[Ruling]:
        """Return all rulings, ascending by sequence; there are few."""
        records = await self._pointed("reading rulings", "ruling")
        return [record for record in records if isinstance(record, Ruling)]

    async def _pointed(
        self, doing: str, kind: str, names: tuple[str, str] | None = None
    ) -> list[Record]:
        """Return the records that pointers of a kind lead to, ascending by sequence.

        Args:
            doing: What is done, for errors.
            kind: Of the pointers.
            names: Least and greatest of their names; None for all.
        """
        between = None if names is None else (LEDGER_SORT_KEY, *names)
        partition = self._database.ledger_partition(kind)
        pointers = self._database.query(doing, LEDGER_TABLE, partition, between)
        keys = [self._to.sequence_key(sequence_of(pointer)) async for pointer in pointers]
        found = await self._database.batch_get(doing, LEDGER_TABLE, keys)
        return sorted(map(_record, found), key=lambda record: record.sequence)

    async def _find(self, doing: str, kind: str, name: str, of: type[R]) -> R | None:
        """Return the record that a pointer of some kind and name leads to; None without one."""
        database = self._database
        pointer = await database.get(doing, LEDGER_TABLE, database.ledger_key(kind, name))
        if pointer is None:
            return None
        sequence = sequence_of(pointer)
        item = await database.get(doing, LEDGER_TABLE, self._to.sequence_key(sequence))
        record = None if item is None else _record(item)
        if not isinstance(record, of):
            message = f"{doing}: no {of.__name__.lower()} at its sequence {sequence}"
            raise StoreError(message, url=database.url, retryable=False)
        return record

    async def _commit(
        self,
        doing: str,
        pointer: Item,
        record: R,
        adoption: Adoption | None = None,
        *,
        final: int = 0,
    ) -> R:
        """Append a record, or return the one committed before under its pointer's key.

        Args:
            doing: What is done, for errors.
            pointer: Item that leads to the record.
            record: What to append.
            adoption: Contract that must be in force, or is adopted; None for any.
            final: Sequence of an entry that is replaced although its verdict is final; 0 for none.

        Raises:
            ContractChanged: Another contract than that of `adoption` is in force.
        """
        kind = pointer[LEDGER_PARTITION_KEY]["S"].rpartition(SEPARATOR)[2]
        name = pointer[LEDGER_SORT_KEY]["S"]
        retries = self._database.retry.while_contended().start()
        is_first, replaces = False, 0
        while True:
            found = await self._head()
            head = found.sequence
            if isinstance(record, Entry) and record.erased != found.erased:
                known = await self._find(doing, kind, name, type(record))
                if known is not None and not _may_follow(known, record, final):
                    return known
                raise CustomersErased(url=record.url)
            committed = record.at(head + 2 if is_first else head + 1)
            writes = self._to.point(pointer, committed, found, replaces)
            if adoption is not None:
                writes += self._to.hold_contract(adoption, head + 1, is_first=is_first)
            reasons = await self._database.transact(doing, writes)
            if not reasons:
                return committed
            if reasons[0] == CONDITION_FAILED:
                earlier = await self._find(doing, kind, name, type(record))
                if earlier is not None and not _may_follow(earlier, record, final):
                    return earlier
                replaces = 0 if earlier is None else earlier.sequence
            if adoption is not None and reasons[_CONTRACT_WRITE] == CONDITION_FAILED:
                in_force = await self.adoption()
                if in_force is not None and in_force.digest != adoption.digest:
                    raise ContractChanged(expected=adoption.digest, actual=in_force.digest)
                is_first = in_force is None
            # Another record took the sequence, or is about to.
            if not await retries.again():
                raise StoreError(f"{doing}: others kept committing", url=self._database.url)


def _may_follow(earlier: Record, record: Record, final: int) -> bool:
    """Return whether a record may be committed after an earlier one of its kind and name."""
    return (
        isinstance(earlier, Entry)
        and isinstance(record, Entry)
        and not record.staged
        and not earlier.stands(record.contract, final)
    )


def _record(item: Item) -> Record:
    return record_from_json(json_of(item, "entry"))
