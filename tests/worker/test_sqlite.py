"""SQLite: what several processes do to one new file at once."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

import worker.state.sqlite
from worker.errors import StoreError
from worker.state.sqlite import SqliteState


def open_and_ask(path: Path) -> int:
    async def work() -> int:
        state = await SqliteState.open(path)
        try:
            return await state.head()
        finally:
            await state.close()

    return asyncio.run(work())


def open_many(folder: Path, rounds: int, together: Barrier) -> None:
    for number in range(rounds):
        together.wait()
        open_and_ask(folder / str(number) / "shopkpi.db")


def test_a_new_database_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(4)
    workers = [
        context.Process(target=open_many, args=(tmp_path, 60, together), daemon=True)
        for _ in range(4)
    ]
    for one in workers:
        one.start()
    for one in workers:
        one.join(20)
        # A worker that fails leaves the others waiting at the barrier.
        if one.exitcode != 0:
            together.abort()
    assert [one.exitcode for one in workers] == [0] * 4


def test_a_lock_that_is_never_given_back_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.state.sqlite, "BUSY_TIMEOUT_S", 0.2)
    path = tmp_path / "shopkpi.db"
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            open_and_ask(path)
    holder.close()
