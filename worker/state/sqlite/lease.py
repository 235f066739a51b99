"""Keep the lease on transforms; its table came with release 0.2.0, and is made on first use."""

from __future__ import annotations

import sqlite3

from worker.state.lease import Lease

_CREATE = (
    "CREATE TABLE IF NOT EXISTS transform_lease (shop TEXT NOT NULL PRIMARY KEY, "
    "owner TEXT NOT NULL, version INTEGER NOT NULL, seconds REAL NOT NULL)"
)


def read_lease(db: sqlite3.Connection, shop: str) -> Lease:
    """Return the lease in the open transaction."""
    db.execute(_CREATE)
    query = "SELECT owner, version, seconds FROM transform_lease WHERE shop = ?"
    row = db.execute(query, (shop,)).fetchone()
    return Lease() if row is None else Lease(owner=row[0], version=row[1], seconds=row[2])


def put_lease(db: sqlite3.Connection, shop: str, lease: Lease) -> bool:
    """Write the next state of the lease; False where another one has been written."""
    if read_lease(db, shop).version != lease.version - 1:
        return False
    db.execute(
        "INSERT OR REPLACE INTO transform_lease (shop, owner, version, seconds) "
        "VALUES (?, ?, ?, ?)",
        (shop, lease.owner, lease.version, lease.seconds),
    )
    return True
