"""Read and append the records of the ledger, in an open transaction."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

from worker.errors import CustomersErased, StoreError
from worker.state import Adoption, Entry, Erasure, Ruling
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
    query = "SELECT coalesce(max(sequence), 0) FROM ledger WHERE shop = ? AND kind = 'erasure'"
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
        "ORDER BY sequence DESC LIMIT 1"
    )
    row = db.execute(query, (shop,)).fetchone()
    record = None if row is None else record_from_json(row[1]).at(row[0])
    return record if isinstance(record, Adoption) else None


def append_adoption(db: sqlite3.Connection, shop: str, adoption: Adoption) -> Adoption:
    """Append an adoption under the next sequence."""
    # A contract may come into force again: its sequence is its name.
    return append_record(db, shop, "adoption", str(head_of(db, shop) + 1), adoption)
