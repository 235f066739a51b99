"""Keep the secret key of the digests of a shop's erased customers."""

from __future__ import annotations

import sqlite3


def erasure_key(db: sqlite3.Connection, shop: str, proposed: bytes | None) -> bytes | None:
    """Return the key in the open transaction; `proposed` becomes it where there is none."""
    if proposed is not None:
        db.execute("INSERT OR IGNORE INTO erasure_key (shop, key) VALUES (?, ?)", (shop, proposed))
    query = "SELECT key FROM erasure_key WHERE shop = ?"
    (found,) = db.execute(query, (shop,)).fetchone() or (None,)
    return found
