"""Keep the secret key of the digests of erased customers in a table of its own.

The table is created with the key, so that a database in which nobody was erased stays as it is.
"""

from __future__ import annotations

import sqlite3

_CREATE = (
    "CREATE TABLE IF NOT EXISTS erasure_key (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB "
    "NOT NULL)"
)


def erasure_key(db: sqlite3.Connection, proposed: bytes | None) -> bytes | None:
    """Return the key in the open transaction; `proposed` becomes it where there is none."""
    if proposed is not None:
        db.execute(_CREATE)
        db.execute("INSERT OR IGNORE INTO erasure_key VALUES (1, ?)", (proposed,))
    elif not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'erasure_key'").fetchone():
        return None
    (found,) = db.execute("SELECT key FROM erasure_key").fetchone() or (None,)
    return found
