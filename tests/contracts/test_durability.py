"""A commit to SQLite survives a power failure once it has returned.

SQLite promises that in WAL mode with `synchronous` at FULL and not below
(sqlite.org/pragma.html#pragma_synchronous: a commit in WAL mode with NORMAL may be lost).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.states import DAY
from tests.support import shops
from tests.support.samples import day_kpis, entry
from worker.state import Effect, Progress
from worker.state.sqlite.store import SqliteState

FULL = 2


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Record `synchronous` and the journal mode at the end of each transaction."""
    found: list[tuple[int, str]] = []
    connect = sqlite3.connect

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if sql.lstrip().upper().startswith(("COMMIT", "END")):
                values = [
                    super(Connection, self).execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("synchronous", "journal_mode")
                ]
                found.append((values[0], values[1]))
            return super().execute(sql, *args)

        def commit(self) -> None:
            raise AssertionError("transactions are ended by COMMIT, where they are looked at")

    def connecting(*args: Any, **options: Any) -> sqlite3.Connection:
        # In autocommit mode a statement outside a transaction would be one of its own.
        assert options["isolation_level"] is None
        return connect(*args, factory=Connection, **options)

    monkeypatch.setattr(sqlite3, "connect", connecting)
    return found


async def test_every_commit_is_on_the_disk_when_it_returns(
    tmp_path: Path, commits: list[tuple[int, str]]
) -> None:
    # The second one finds the file as the first has left it.
    for number in range(2):
        state = await SqliteState.open(tmp_path / "state.db")
        await state.commit(entry(f"{number}"))
        await state.record_effects({f"{number}": Effect(as_of=1)})
        await state.publish(day_kpis(DAY), number + 1)
        await state.advance(Progress(published={"order_kpis": number + 1}))
        await state.close()
    # The first opening has two: the tables, and a first look. The second needs no tables.
    assert commits == [(FULL, "wal")] * 11


def test_every_commit_of_a_run_is_on_the_disk_when_it_returns(
    tmp_path: Path, commits: list[tuple[int, str]]
) -> None:
    upload = shops.Upload("orders", (("1", "1", "shipped", "2025-03-01"),), 0)
    shops.run(tmp_path / "zone", shops.write(tmp_path / "shop", [upload]))
    assert len(commits) > 5
    assert set(commits) == {(FULL, "wal")}
