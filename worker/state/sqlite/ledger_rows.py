"""Read and append the records of the ledger, in an open transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import TypeVar

import orjson

from worker.errors import CustomersErased, StoreError
from worker.state import Adoption, Entry, Erasure, Pointer, Ruling
from worker.state.records import record_from_json

R = TypeVar("R", Entry, Ruling, Adoption, Erasure)


def head_of(db: sqlite3.Connection, shop: str) -> int:
    """Return the last sequence; 0 for an empty ledger."""
    query = "SELECT coalesce(max(sequence), 0) FROM ledger WHERE shop = ?"
    (head,) = db.execute(query, (shop,)).fetchone()
    return int(head)


def find_record(db: sqlite3.Connection, shop: str, kind: str, name: str, of: type[R]) -> R | None:
    """Return the last record of a kind and a name; None before its commit.

    Raises:
        StoreError: It is of another kind.
    """
    query = (
        "SELECT sequence, record FROM ledger WHERE shop = ? AND kind = ? AND name = ? "
        "ORDER BY sequence DESC LIMIT 1"
    )
    row = db.execute(query, (shop, kind, name)).fetchone()
    if row is None:
        return None
    record = record_from_json(row[1]).at(row[0])
    if not isinstance(record, of):
        raise StoreError(
            f"record {row[0]} of the ledger is of another kind",
            expected=kind,
            actual=type(record).__name__.lower(),
            retryable=False,
        )
    return record


def check_erased(db: sqlite3.Connection, shop: str, entry: Entry) -> None:
    """Check that an entry was made under the last erasure.

    Raises:
        CustomersErased: Another one came since.
    """
    # `+` keeps SQLite from a walk through all sequences in search of the kind.
    query = "SELECT coalesce(max(+sequence), 0) FROM ledger WHERE shop = ? AND kind = 'erasure'"
    (last,) = db.execute(query, (shop,)).fetchone()
    if last != entry.erased:
        raise CustomersErased(url=entry.url)


def append_record(db: sqlite3.Connection, shop: str, kind: str, name: str, record: R) -> R:
    """Append a record under the next sequence."""
    committed = record.at(head_of(db, shop) + 1)
    db.execute(
        "INSERT INTO ledger (shop, sequence, kind, name, record) VALUES (?, ?, ?, ?, ?)",
        (shop, committed.sequence, kind, name, committed.to_json().decode()),
    )
    return committed


def last_adoption(db: sqlite3.Connection, shop: str) -> Adoption | None:
    """Return the last adoption; None before the first."""
    query = (
        "SELECT sequence, record FROM ledger WHERE shop = ? AND kind = 'adoption' "
        "ORDER BY +sequence DESC LIMIT 1"  # see `check_erased`
    )
    row = db.execute(query, (shop,)).fetchone()
    record = None if row is None else record_from_json(row[1]).at(row[0])
    return record if isinstance(record, Adoption) else None


def append_adoption(db: sqlite3.Connection, shop: str, adoption: Adoption) -> Adoption:
    """Append an adoption under the next sequence."""
    # A contract may come into force again: its sequence is its name.
    return append_record(db, shop, "adoption", str(head_of(db, shop) + 1), adoption)


def find_pointers(
    db: sqlite3.Connection, shop: str, kind: str, names: Collection[str]
) -> dict[str, Pointer]:
    """Return where the last records of some names are; a damaged one is no accepted entry."""
    # Of the columns beside max(), SQLite takes the values of its row.
    query = (
        "SELECT name, max(sequence), "
        "CASE WHEN json_valid(record) THEN json_extract(record, '$.verdict') END FROM ledger "
        "WHERE shop = ? AND kind = ? AND name IN (SELECT value FROM json_each(?)) GROUP BY name"
    )
    rows = db.execute(query, (shop, kind, orjson.dumps([*names]).decode()))
    return {
        name: Pointer(sequence=sequence, accepted=verdict == "accepted")
        for name, sequence, verdict in rows
    }


def entries_at(db: sqlite3.Connection, shop: str, sequences: Collection[int]) -> list[Entry]:
    """Return the entries at some sequences, ascending."""
    query = (
        "SELECT sequence, record FROM ledger WHERE shop = ? "
        "AND sequence IN (SELECT value FROM json_each(?)) ORDER BY sequence"
    )
    rows = db.execute(query, (shop, orjson.dumps([*sequences]).decode()))
    records = (record_from_json(text).at(sequence) for sequence, text in rows)
    return [record for record in records if isinstance(record, Entry)]
