"""Schema of the SQLite file: its tables, its version, and the way from an earlier one."""

from __future__ import annotations

import sqlite3

from kpi.aggregation.tables import KPI_TABLES, Kind, KpiTable
from worker.errors import ConfigError

SCHEMA_VERSION = 2
"""Version in the file's header; raised whenever the tables below change."""

MIGRATED_VERSIONS = (1,)
"""Earlier versions that `create_tables` brings to `SCHEMA_VERSION`."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS ledger (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS ledger_by_name ON ledger (kind, name, sequence);
CREATE TABLE IF NOT EXISTS effects (
    source_id TEXT PRIMARY KEY, as_of INTEGER NOT NULL, effect TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sightings (
    source_id TEXT PRIMARY KEY, sighting TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS days (
    order_date TEXT PRIMARY KEY, version INTEGER NOT NULL, claim INTEGER NOT NULL,
    published TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (
    id INTEGER PRIMARY KEY CHECK (id = 1), record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS waiting (
    source_id TEXT PRIMARY KEY, items INTEGER NOT NULL
) WITHOUT ROWID
"""

_RENAME_LEDGER_1 = "ALTER TABLE ledger RENAME TO ledger_1"

_FROM_VERSION_1 = """
INSERT INTO ledger SELECT sequence, 'entry', source_id, entry FROM ledger_1;
DROP TABLE ledger_1;
INSERT OR REPLACE INTO waiting (source_id, items)
    SELECT key, value FROM progress, json_each(progress.record, '$.waiting');
UPDATE progress SET record = json_remove(record, '$.waiting')
"""
"""From release 0.1.0: its ledger held entries alone, its progress record the waiting items."""


def check_version(db: sqlite3.Connection, url: str) -> int:
    """Return the version of the schema; 0 for an empty file.

    Nothing is written, so that a database of another program stays as it is.

    Raises:
        ConfigError: The file is another program's, or of a version that is not known here.
    """
    # Tables first: another process creates them and the version in one transaction, and may do so
    # between these statements.
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application == 0 and version in (SCHEMA_VERSION, *MIGRATED_VERSIONS):
        return int(version)
    if application == 0 and version == 0 and not tables:
        return 0
    raise ConfigError(
        url=url,
        expected=f"a database of schema {SCHEMA_VERSION}",
        actual=f"{version}: it is not shopkpi's, or another version made it",
        hint="use another one",
    )


def create_tables(db: sqlite3.Connection, version: int) -> None:
    """Create what is missing in the open transaction, and migrate from an earlier version.

    A process killed in the transaction leaves the earlier version as it was.
    """
    if version == 1:
        db.execute(_RENAME_LEDGER_1)
    for statement in (*_LEDGER.split(";"), *map(_create_statement, KPI_TABLES.values())):
        db.execute(statement)
    for table in KPI_TABLES.values():
        for index in table.indexes:
            if index.name != "by_month":  # dates are a primary key's first column here
                db.execute(
                    f"CREATE INDEX IF NOT EXISTS {table.name}_{index.name} "
                    f"ON {table.name} ({index.partition_key}, {index.sort_key})"
                )
    if version == 1:
        for statement in _FROM_VERSION_1.split(";"):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _create_statement(table: KpiTable) -> str:
    columns = [f"{name} {_sql_type(kind)} NOT NULL" for name, kind in table.attributes.items()]
    key = "order_date" + (f", {table.group_key}" if table.group_key else "")
    return (
        f"CREATE TABLE IF NOT EXISTS {table.name} "
        f"({', '.join(columns)}, as_of INTEGER NOT NULL, PRIMARY KEY ({key})) WITHOUT ROWID"
    )


def _sql_type(kind: Kind) -> str:
    return "INTEGER" if kind == "count" else "TEXT"
