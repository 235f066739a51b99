"""Schema of the SQLite file: its tables, its views, its version, and the way from an earlier one.

Every key begins with the shop. KPI rows are in tables of exact integers, `order_kpi_rows` and so
on. The views `order_kpis`, `category_kpis` and `product_kpis` are for other tools: amounts and
rates as numbers, amounts as whole cents beside them (`_minor`), and `as_of` from the day's guard.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from kpi.aggregation.tables import KPI_TABLES, PLACES, SHOP_KEY, Kind, KpiTable
from worker.errors import ConfigError, NewerFormat
from worker.state.sqlite.kpi_columns import (
    column,
    definitions,
    key_columns,
    rows_table,
    shown_column,
    shown_definitions,
)

SCHEMA_VERSION = 3
"""Version in the file's header; raised whenever a table below changes its keys or types. Tables and
columns are added without."""

COPY_SUFFIXES = {1: ".0.1.0", 2: ".schema-2", SCHEMA_VERSION: ".0.2.0"}
"""Version -> what a copy is called behind the database's name that is made before a migration from
that version: the first release that reads it. No release wrote version 2."""

MIGRATED_VERSIONS = tuple(sorted(COPY_SUFFIXES.keys() - {SCHEMA_VERSION}))
"""Earlier versions that `create_tables` brings to `SCHEMA_VERSION`."""

_TABLES = """
CREATE TABLE IF NOT EXISTS ledger (
    shop TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    record TEXT NOT NULL, PRIMARY KEY (shop, sequence)
);
CREATE INDEX IF NOT EXISTS ledger_by_name ON ledger (shop, kind, name, sequence);
CREATE TABLE IF NOT EXISTS effects (
    shop TEXT NOT NULL, source_id TEXT NOT NULL, as_of INTEGER NOT NULL, effect TEXT NOT NULL,
    PRIMARY KEY (shop, source_id)
);
CREATE TABLE IF NOT EXISTS sightings (
    shop TEXT NOT NULL, source_id TEXT NOT NULL, sighting TEXT NOT NULL,
    PRIMARY KEY (shop, source_id)
);
CREATE TABLE IF NOT EXISTS days (
    shop TEXT NOT NULL, order_date TEXT NOT NULL, version INTEGER NOT NULL,
    claim INTEGER NOT NULL, published TEXT NOT NULL, PRIMARY KEY (shop, order_date)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (
    shop TEXT NOT NULL PRIMARY KEY, published TEXT NOT NULL, waiting_as_of INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
    shop TEXT NOT NULL, source_id TEXT NOT NULL, items INTEGER NOT NULL,
    PRIMARY KEY (shop, source_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasure_key (shop TEXT NOT NULL PRIMARY KEY, key BLOB NOT NULL)
"""
"""A writer of release 0.1.0 that has the file open fails on each of them: a column is missing,
or there is one value too few."""

_FORMER_TABLES = (
    *("ledger", "effects", "sightings", "days", "progress", "waiting", "erasure_key"),
    *KPI_TABLES,
)
"""Tables that a file of an earlier version may have."""

_COPIES = {
    "ledger": {
        1: "SELECT 'default', sequence, 'entry', source_id, entry FROM ledger_before",
        2: "SELECT 'default', sequence, kind, name, record FROM ledger_before",
    },
    "effects": {0: "SELECT 'default', source_id, as_of, effect FROM effects_before"},
    "sightings": {0: "SELECT 'default', source_id, sighting FROM sightings_before"},
    "days": {0: "SELECT 'default', order_date, version, claim, published FROM days_before"},
    "progress": {
        0: "SELECT 'default', json_extract(record, '$.published'), "
        "json_extract(record, '$.waiting_as_of') FROM progress_before"
    },
    "waiting": {
        1: "SELECT 'default', key, value "
        "FROM progress_before, json_each(progress_before.record, '$.waiting')",
        2: "SELECT 'default', source_id, items FROM waiting_before",
    },
    "erasure_key": {0: "SELECT 'default', key FROM erasure_key_before"},
}
"""Table -> version that it is taken from (0: any) -> query. The ledger of release 0.1.0 held
entries alone, its progress record the waiting items."""


def check_version(db: sqlite3.Connection, url: str) -> int:
    """Return the version of the schema; 0 for an empty file.

    Nothing is written, so that a database of another program stays as it is.

    Raises:
        ConfigError: The file is another program's.
        NewerFormat: A later release has changed it.
    """
    # Tables first: another process creates them and the version in one transaction, and may do so
    # between these statements.
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application == 0 and version in COPY_SUFFIXES:
        return int(version)
    if application == 0 and version == 0 and not tables:
        return 0
    if application == 0 and version > SCHEMA_VERSION and "ledger" in tables:
        raise newer_format(url, version)
    raise ConfigError(
        url=url,
        expected=f"a database of schema {SCHEMA_VERSION}",
        actual=f"{version}: it is not shopkpi's",
        hint="use another one",
    )


def newer_format(url: str, version: int) -> NewerFormat:
    """Build the error for a file of a later release, with the command that restores the copy."""
    path = url.removeprefix("sqlite://")
    copy = path + COPY_SUFFIXES[SCHEMA_VERSION]
    hint = "use that release, or restore a backup from before"
    if Path(copy).exists():
        # Without its log: SQLite would apply the newer file's to the copy.
        names = (f"{path}-wal", f"{path}-shm", copy, path)
        log, index, copy, path = map(shlex.quote, names)
        hint = (
            "use that release, or restore the copy that it made before: "
            f"`rm -f {log} {index} && mv {copy} {path}`"
        )
    return NewerFormat(url=url, expected=f"schema {SCHEMA_VERSION}", actual=version, hint=hint)


def create_tables(db: sqlite3.Connection, version: int) -> None:
    """Create what is missing in the open transaction, and migrate from an earlier version.

    A process killed in the transaction leaves the earlier version as it was.
    """
    former = _rename_former(db) if version in MIGRATED_VERSIONS else []
    for statement in _TABLES.split(";"):
        db.execute(statement)
    for table in KPI_TABLES.values():
        statement = _rows_statement(table)
        db.execute(statement)
        for statement in _added_columns(db, table):
            db.execute(statement)
        if table.group_key:
            db.execute(
                f"CREATE INDEX IF NOT EXISTS {rows_table(table)}_by_group "
                f"ON {rows_table(table)} (shop, {table.group_key}, order_date)"
            )
    _copy_former(db, former, version)
    for table in KPI_TABLES.values():
        statement = f"DROP VIEW IF EXISTS {table.name}"
        db.execute(statement)
        statement = _view_statement(table)
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def is_outdated(db: sqlite3.Connection) -> bool:
    """Return whether another release of this version made the tables, or the views."""
    views = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    return any(
        _added_columns(db, table) or views.get(name) != _view_statement(table)
        for name, table in KPI_TABLES.items()
    )


def _added_columns(db: sqlite3.Connection, table: KpiTable) -> list[str]:
    """Build the statements that add the columns of attributes which a table does not have yet."""
    query = f"PRAGMA table_xinfo({rows_table(table)})"  # with virtual columns
    found = db.execute(query)
    present = {name for _, name, *_ in found}
    return [
        f"ALTER TABLE {rows_table(table)} ADD COLUMN {definition}"
        for definition in _columns(table)
        if definition.split()[0] not in present
    ]


def _rename_former(db: sqlite3.Connection) -> list[str]:
    """Give the tables of an earlier version other names, and return their former ones."""
    present = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    former = [name for name in _FORMER_TABLES if name in present]
    for name in former:
        db.execute(f"ALTER TABLE {name} RENAME TO {name}_before")
    return former


def _copy_former(db: sqlite3.Connection, former: Sequence[str], version: int) -> None:
    """Take the rows of an earlier version's tables, and drop these."""
    for name, queries in _COPIES.items():
        query = queries.get(version) or queries.get(0)
        source = "progress" if (name, version) == ("waiting", 1) else name
        if query is not None and source in former:
            db.execute(f"INSERT INTO {name} {query}")
    for name, table in KPI_TABLES.items():
        if name in former:
            columns = [one for _, one, *_ in db.execute(f"PRAGMA table_info({name}_before)")]
            statement = _copy_rows_statement(table, columns)
            db.execute(statement)
    for name in former:
        db.execute(f"DROP TABLE {name}_before")


def _columns(table: KpiTable) -> list[str]:
    """Build the definitions of the columns of a table, without the shop."""
    keys = key_columns(table)
    return [
        *(
            one
            for name, kind in table.kinds.items()
            for one in definitions(name, kind, is_key=name in keys)
        ),
        *shown_definitions(table),
    ]


def _rows_statement(table: KpiTable) -> str:
    columns, keys = _columns(table), key_columns(table)
    return (
        f"CREATE TABLE IF NOT EXISTS {rows_table(table)} "
        f"(shop TEXT NOT NULL, {', '.join(columns)}, "
        f"PRIMARY KEY ({', '.join(keys)})) WITHOUT ROWID"
    )


def _view_statement(table: KpiTable) -> str:
    amounts = [column(name, kind) for name, kind in table.kinds.items() if kind == "money"]
    shown = ", ".join(
        f"rows.{shown_column(table, name)} AS {name}" for name in (SHOP_KEY, *table.kinds, *amounts)
    )
    as_of = f"coalesce(json_extract(days.published, '$.{table.name}'), days.claim)"
    return (
        f"CREATE VIEW {table.name} AS "
        f"SELECT {shown}, {as_of} AS as_of, "
        "datetime(json_extract(days.published, '$.published_at'), 'unixepoch') AS published_at "
        f"FROM {rows_table(table)} AS rows "
        "LEFT JOIN days ON days.shop = rows.shop AND days.order_date = rows.order_date"
    )


def _copy_rows_statement(table: KpiTable, columns: Collection[str]) -> str:
    """Build the statement that takes the rows of an earlier version: decimals were texts.

    What is not such a text is damaged. It stays as it is, so that its reader says so.
    """
    target, source = ["shop"], ["'default'"]
    for name, kind in table.kinds.items():
        if name not in columns:
            continue
        target.append(column(name, kind))
        source.append(_converted(name, kind))
    return (
        f"INSERT INTO {rows_table(table)} ({', '.join(target)}) "
        f"SELECT {', '.join(source)} FROM {table.name}_before"
    )


def _converted(name: str, kind: Kind) -> str:
    """Build the expression of a column's value from that of an earlier version."""
    if kind == "count":
        # Tables with attributes of contract language 2 held every number as text.
        return f"CASE WHEN {name} GLOB '*[^0-9]*' THEN {name} ELSE CAST({name} AS INTEGER) END"
    if kind not in PLACES:
        return name
    text = f"replace({name}, '.', '')"
    number = f"CAST({text} AS INTEGER)"
    # A number beyond 64 bits becomes the largest or smallest one: its text is another.
    fits = f"length({text}) <= {_SAFE_DIGITS} OR CAST({number} AS TEXT) = {text}"
    return (
        f"CASE WHEN {name} NOT GLOB '*.{'[0-9]' * PLACES[kind]}' THEN {name} "
        f"WHEN {fits} THEN {number} ELSE CAST({text} AS BLOB) END"
    )


_SAFE_DIGITS = 18
"""Digits that fit 64 bits whatever they are."""
