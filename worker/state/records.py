"""Ledger records that are not uploads: rulings on uploads, contracts adopted, customers erased.

The ledger is one sequence of records. An upload is an `Entry`. A ruling says that an upload no
longer counts, or counts again; an adoption says which contract is in force from then on. The KPIs
at a sequence are a function of all records up to it, so neither needs a clean-up: the next
transform computes the days that they change. An erasure says which clean objects have taken the
place of others; see `worker.state.erasures`.

A ruling is stored as a JSON object with these members, beside `sequence`:

| member | JSON type |
|---|---|
| `kind` | string: `retraction` or `restoration`; an entry has no such member |
| `ruling_id` | string: random, so that a repeated request commits it once |
| `source_id` | string: the upload |
| `url` | string: where it was read, for people |
| `reason` | string; empty where none was given |
| `recorded_at` | string: an ISO 8601 instant with offset |

An adoption has `kind` (`adoption`), `recorded_at`, and:

| member | JSON type |
|---|---|
| `digest` | string: of the contract |
| `text` | string: the contract, in TOML |
| `tables` | array of strings: KPI tables that are published |
| `replaces` | integer: sequence of the adoption before; 0 for none |

An erasure has `kind` (`erasure`), `recorded_at`, and:

| member | JSON type |
|---|---|
| `erasure_id` | string: 16 hex digits |
| `mode` | string: `pseudonymise` or `delete` |
| `customers` | array of strings: keyed digests of the customer's ids, 32 hex digits each |
| `orders` | array of strings: keyed digests of the orders that were deleted |
| `days` | array of strings: ISO dates of the days that a deletion may change |
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import orjson

from worker.state.corruption import DAMAGE, damaged_record
from worker.state.entry import Entry

Decision = Literal["retraction", "restoration"]
ErasureMode = Literal["pseudonymise", "delete"]


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """A contract that is in force from its sequence on.

    Attributes:
        digest: Of the contract.
        text: The contract, in TOML.
        tables: KPI tables that are published, ascending.
        recorded_at: When it was adopted.
        kind: Always `adoption`.
        replaces: Sequence of the adoption that was in force before; 0 for none.
        sequence: Ledger sequence of its commit; 0 before the commit.
    """

    digest: str
    text: str
    tables: tuple[str, ...]
    recorded_at: datetime
    kind: Literal["adoption"] = "adoption"
    replaces: int = 0
    sequence: int = 0

    def at(self, sequence: int, *, replaces: int | None = None) -> Adoption:
        return replace(
            self,
            sequence=sequence,
            replaces=self.replaces if replaces is None else replaces,
        )

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Erasure:
    """One customer erased: from its sequence on, the rewritten objects take the place of others.

    Attributes:
        erasure_id: Names the erasure, and the objects that were rewritten for it.
        mode: What became of the customer's rows.
        customers: Keyed digests of the customer's ids.
        orders: Keyed digests of the orders that were deleted; their rows are dropped for ever.
        days: ISO dates of the days that may change, ascending; none where rows got a pseudonym.
        recorded_at: When it was decided. Orders created later are not deleted.
        kind: Always `erasure`.
        sequence: Ledger sequence of its commit; 0 before the commit.
    """

    erasure_id: str
    mode: ErasureMode
    customers: tuple[str, ...]
    recorded_at: datetime
    orders: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    kind: Literal["erasure"] = "erasure"
    sequence: int = 0

    def at(self, sequence: int) -> Erasure:
        return replace(self, sequence=sequence)

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))


Record = Entry | Ruling | Adoption | Erasure
"""One commit of the ledger."""


def record_from_json(data: bytes | str) -> Record:
    """Parse the text of any record's `to_json`.

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
        fields["recorded_at"] = datetime.fromisoformat(fields["recorded_at"]).astimezone(UTC)
        if kind == "adoption":
            return Adoption(**fields | {"tables": tuple(fields["tables"])})
        if kind == "erasure":
            return _erasure(fields)
        if kind not in get_args(Decision):
            raise ValueError(f"kind {kind!r}")
        return Ruling(**fields)
    except DAMAGE as error:
        raise damaged_record("a record", data, error) from error


def _erasure(fields: dict[str, Any]) -> Erasure:
    if fields["mode"] not in get_args(ErasureMode):
        raise ValueError(f"mode {fields['mode']!r}")
    digests = {name: tuple(fields[name]) for name in ("customers", "orders", "days")}
    return Erasure(**fields | digests)
