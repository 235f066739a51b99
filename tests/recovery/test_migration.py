"""The first command of this format over a database of an earlier one, ended at every operation.

The process is killed, or the power fails, before each file operation and each SQLite statement. A
run that finds a new file then leaves the KPIs of an undisturbed one, and a copy of the database
that the earlier release can open. Before the migration's commit the database is what it was.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.migration.stored import Stored
from tests.recovery import operations
from tests.recovery.operations import KILLED, POWER, UPLOADS
from tests.recovery.outcome import look
from worker.state.sqlite import schema

RELEASE = Path(__file__).parents[1] / "migration" / "v0_1_0" / "default"
COPY = "shopkpi.db.0.1.0"
ORDERS = b"order_id,user_id,created_at\n900001,1,2025-03-30T10:00:00\n"


def begin(root: Path, there: Path | None = None) -> None:
    shutil.rmtree(root, ignore_errors=True)
    if there is not None:
        shutil.copytree(there, root)
        return
    root.mkdir()
    Stored(RELEASE).unpack_workspace(root / ".shopkpi")
    new = root / UPLOADS / "orders" / "new.csv"
    new.parent.mkdir(parents=True)
    new.write_bytes(ORDERS)


def migrate() -> Sequence[str]:
    return ("transform", "--format", "json", "--kpis", "order,category,product")


def run() -> Sequence[str]:
    return ("run", UPLOADS, "--format", "json", "--kpis", "order,category,product")


def version(database: Path) -> int:
    with closing(sqlite3.connect(database)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def ledger(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as db:
        return db.execute("SELECT sequence, source_id, entry FROM ledger ORDER BY 1").fetchall()


def kpis(root: Path) -> dict[str, Any]:
    tables = look(root, ".shopkpi/shopkpi.db").tables
    return {name: rows for name, rows in tables.items() if name.endswith("_kpis")}


def digest(root: Path) -> str:
    """Digest names and bytes of all files."""
    files = [(str(path), path.read_bytes()) for path in sorted(root.rglob("*")) if path.is_file()]
    return hashlib.sha256(repr(files).encode()).hexdigest()


def test_a_migration_that_ends_anywhere_is_run_again(tmp_path: Path) -> None:
    root, moments = tmp_path / "root", tmp_path / "moments"
    begin(root)
    before = ledger(root / ".shopkpi/shopkpi.db")
    moments.mkdir()
    undisturbed = operations.run(root, [migrate], moments=moments)
    assert undisturbed.code == 0, undisturbed.said
    assert operations.run(root, [run]).code == 0
    expected = kpis(root)
    assert all(expected[name] for name in ("order_kpis", "category_kpis", "product_kpis"))
    seen: dict[str, str] = {}
    copied_before_migration = 0
    for moment in undisturbed.moments:
        begin(root, Path(moment.folder))
        what = f"{moment.kind} after {moment.after} operations"
        database = root / ".shopkpi/shopkpi.db"
        left = digest(root)
        if left in seen:
            continue
        seen[left] = moment.kind
        if version(database) == 1:
            assert ledger(database) == before, what
            copied_before_migration += (database.parent / COPY).exists()
        again = operations.run(root, [run])
        assert again.code == 0, f"{what}: {again.said}"
        assert version(database) == schema.SCHEMA_VERSION, what
        assert kpis(root) == expected, what
        assert version(database.parent / COPY) == 1, what
        assert ledger(database.parent / COPY) == before, what
        assert not list(database.parent.glob("*.part")), what
    assert copied_before_migration
    assert {*seen.values()} == {KILLED, POWER}
    assert len(seen) > 5
