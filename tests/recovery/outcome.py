"""Content of a workspace, and the part that must not depend on faults."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpi.aggregation.tables import KPI_TABLES

_TABLES = ("ledger", "effects", "days", "progress", "waiting", *sorted(KPI_TABLES))


@dataclass(frozen=True, kw_only=True)
class Held:
    """Content of a folder.

    Attributes:
        objects: Path -> bytes, of what may be listed.
        hidden: Bytes of the temporary files, in order of their folders.
        tables: Rows of every SQLite table; none where there is no database.
    """

    objects: Mapping[str, bytes]
    hidden: tuple[tuple[str, bytes], ...]
    tables: Mapping[str, list[tuple[Any, ...]]]

    @property
    def digest(self) -> str:
        """Digest the content."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def look(root: Path, database: str) -> Held:
    """Read everything and change nothing, not even by SQLite's recovery."""
    objects, hidden = {}, []
    for path in sorted(root.rglob("*")):
        key = path.relative_to(root).as_posix()
        if not path.is_file() or key.startswith(database):
            continue
        if path.name.startswith("."):
            hidden.append((path.parent.relative_to(root).as_posix(), path.read_bytes()))
        else:
            objects[key] = _without_seconds(key, path.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        for path in (root / database).parent.glob(f"{Path(database).name}*"):
            shutil.copy(path, folder)
        copied = Path(folder) / Path(database).name
        tables = _tables(copied) if copied.exists() else {}
    return Held(objects=objects, hidden=tuple(sorted(hidden)), tables=tables)


def _tables(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA synchronous = OFF")  # it is a copy, thrown away at once
        present = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        tables = {
            name: db.execute(f"SELECT {_columns(db, name)} FROM {name} ORDER BY 1, 2").fetchall()
            for name in _TABLES
            if name in present
        }
    if "ledger" in tables:
        tables["ledger"] = [
            (sequence, kind, "" if kind == "ruling" else name, _lasting(record.encode()))
            for sequence, kind, name, record in tables["ledger"]
        ]
    return tables


def _columns(db: sqlite3.Connection, table: str) -> str:
    """Name the columns but the shop, which is one here, and the clock's."""
    names = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
    return ", ".join(
        "json_remove(published, '$.published_at')"
        if (table, name) == ("days", "published")
        else name
        for name in names
        if name not in ("shop", "published_at")
    )


def _without_seconds(key: str, data: bytes) -> bytes:
    """Drop what depends on the clock: all else of an entry is a function of the upload."""
    return _lasting(data) if key.endswith(".json") else data


def _lasting(record: bytes) -> bytes:
    """Drop what says when a record was written, and the digest of such records: `ledger`."""
    passing = {"seconds", "sequence", "ruling_id", "recorded_at", "ledger"}

    def without_passing(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name not in passing}

    # Also of records within records, as in the copy of an erasure.
    fields = json.loads(record, object_hook=without_passing)
    return json.dumps(fields, sort_keys=True).encode()


def result(held: Held) -> dict[str, Any]:
    """Return what must be equal whatever failed: all but the order of the commits."""
    tables = dict(held.tables)
    ledger = tables.pop("ledger")
    (progress,) = tables.pop("progress")
    days = tables.pop("days")
    published, waiting_as_of = progress
    record = {"published": json.loads(published), "waiting_as_of": waiting_as_of}
    return {
        "objects": held.objects,
        "sequences": [row[0] for row in ledger],
        "ledger": sorted(row[1:] for row in ledger),
        # Whole at the ledger's head; which sequence that is depends on nothing but the uploads.
        "progress": record,
        "waiting": tables.pop("waiting"),
        "days": [row[0] for row in days],
        "effects": [(row[0], _effect(row[2])) for row in tables.pop("effects")],
        **{
            # The last column is as_of, which tells when and not what.
            name: [row[:-1] for row in rows]
            for name, rows in tables.items()
        },
    }


def _effect(text: str) -> dict[str, Any]:
    """Drop the sequence of the transform: it says when and not what."""
    fields: dict[str, Any] = json.loads(text)
    fields.pop("as_of")
    return fields
