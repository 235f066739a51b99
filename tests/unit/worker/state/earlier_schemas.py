"""Databases as earlier releases left them, table by table."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_SCHEMA_1 = """
CREATE TABLE ledger (
    sequence INTEGER PRIMARY KEY, source_id TEXT NOT NULL UNIQUE, entry TEXT NOT NULL
);
CREATE TABLE effects (source_id TEXT PRIMARY KEY, as_of INTEGER NOT NULL, effect TEXT NOT NULL);
CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), record TEXT NOT NULL);
INSERT INTO progress VALUES
    (1, '{"published":{"order_kpis":3},"waiting":{"a":2,"b":1},"waiting_as_of":3}');
"""

_SCHEMA_2 = """
CREATE TABLE ledger (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX ledger_by_name ON ledger (kind, name, sequence);
CREATE TABLE effects (source_id TEXT PRIMARY KEY, as_of INTEGER NOT NULL, effect TEXT NOT NULL);
CREATE TABLE sightings (source_id TEXT PRIMARY KEY, sighting TEXT NOT NULL);
CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), record TEXT NOT NULL);
CREATE TABLE waiting (source_id TEXT PRIMARY KEY, items INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO progress VALUES (1, '{"published":{"order_kpis":3},"waiting_as_of":3}');
INSERT INTO waiting VALUES ('a', 2), ('b', 1);
"""

_DAYS = """
CREATE TABLE days (
    order_date TEXT PRIMARY KEY, version INTEGER NOT NULL, claim INTEGER NOT NULL,
    published TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO days VALUES ('2024-05-01', 1, 3, '{"order_kpis":3,"category_kpis":3}');
"""

_KPIS = """
CREATE TABLE order_kpis (
    order_date TEXT NOT NULL, total_orders INTEGER NOT NULL, total_revenue TEXT NOT NULL,
    total_items_sold INTEGER NOT NULL, return_rate TEXT NOT NULL, unique_customers INTEGER NOT NULL,
    as_of INTEGER NOT NULL, PRIMARY KEY (order_date)
) WITHOUT ROWID;
INSERT INTO order_kpis VALUES ('2024-05-01', 3, '12.30', 6, '0.3333', 2, 3);
"""

_EXTENDED_KPIS = """
CREATE TABLE order_kpis (
    order_date TEXT NOT NULL, total_orders TEXT, total_revenue TEXT, total_items_sold TEXT,
    return_rate TEXT, unique_customers TEXT, gross_sales TEXT, discounts TEXT,
    as_of INTEGER NOT NULL, PRIMARY KEY (order_date)
) WITHOUT ROWID;
INSERT INTO order_kpis VALUES
    ('2024-05-01', '3', '12.30', '2.50', '0.3333', '2', '99999999999999999999999999999.99', NULL,
     3);
"""

_CATEGORY_KPIS = """
CREATE TABLE category_kpis (
    order_date TEXT NOT NULL, category TEXT NOT NULL, daily_revenue TEXT NOT NULL,
    avg_order_value TEXT NOT NULL, avg_return_rate TEXT NOT NULL, as_of INTEGER NOT NULL,
    PRIMARY KEY (order_date, category)
) WITHOUT ROWID;
CREATE INDEX category_kpis_by_category ON category_kpis (category, order_date);
INSERT INTO category_kpis VALUES
    ('2024-05-01', '7', '92233720368547758.07', '-0.05', '1.0000', 3),
    ('2024-05-01', 'Swim', '92233720368547758.08', '0.00', '0.0000', 3);
"""

STATEMENTS = {
    "0.1.0": (1, _SCHEMA_1, _DAYS, _KPIS, _CATEGORY_KPIS),
    "schema 2": (2, _SCHEMA_2, _DAYS, _KPIS, _CATEGORY_KPIS),
    "schema 2 with attributes of language 2": (2, _SCHEMA_2, _DAYS, _EXTENDED_KPIS, _CATEGORY_KPIS),
}
"""Name -> version in the header, and statements."""


def make_earlier(path: Path, name: str) -> None:
    """Write a database of `STATEMENTS`, in WAL mode as they were."""
    version, *scripts = STATEMENTS[name]
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL").close()
        for script in scripts:
            db.executescript(str(script))
        db.execute(f"PRAGMA user_version = {version}")
