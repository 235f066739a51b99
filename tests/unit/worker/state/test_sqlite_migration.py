"""SQLite files of earlier schemas are migrated, and a copy of them is kept."""

from __future__ import annotations

import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.samples import day_kpis
from tests.unit.worker.state.earlier_schemas import STATEMENTS, make_earlier
from worker.errors import NewerFormat
from worker.state import DayKpis, Progress, Row
from worker.state.sqlite import copy, schema
from worker.state.sqlite.store import SqliteState

DAY = date(2024, 5, 1)
PROGRESS = Progress(published={"order_kpis": 3}, waiting={"a": 2, "b": 1}, waiting_as_of=3)
ORDERS: Row = {
    "order_date": "2024-05-01",
    "total_orders": 3,
    "total_revenue": Decimal("12.30"),
    "total_items_sold": 6,
    "return_rate": Decimal("0.3333"),
    "unique_customers": 2,
    "as_of": 3,
}
CATEGORIES: list[Row] = [
    {
        "order_date": "2024-05-01",
        "category": "7",
        "daily_revenue": Decimal("92233720368547758.07"),
        "avg_order_value": Decimal("-0.05"),
        "avg_return_rate": Decimal("1.0000"),
        "as_of": 3,
    },
    {
        "order_date": "2024-05-01",
        "category": "Swim",
        "daily_revenue": Decimal("92233720368547758.08"),
        "avg_order_value": Decimal("0.00"),
        "avg_return_rate": Decimal("0.0000"),
        "as_of": 3,
    },
]


@pytest.fixture(params=STATEMENTS)
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "shopkpi.db"
    make_earlier(path, request.param)
    return path


async def rows(state: SqliteState, table: str) -> list[Row]:
    return [row async for row in state.rows(table)]


async def contents(path: Path, *, read_only: bool) -> tuple[Progress, list[Row], list[Row]]:
    state = await SqliteState.open(path, read_only=read_only)
    found = (
        await state.progress(),
        await rows(state, "order_kpis"),
        await rows(state, "category_kpis"),
    )
    await state.close()
    return found


def expected(path: Path) -> tuple[Progress, list[Row], list[Row]]:
    with closing(sqlite3.connect(path)) as db:
        extended = "gross_sales" in {
            name for _, name, *_ in db.execute("PRAGMA table_info(order_kpis)")
        }
    more = {
        "total_items_sold": Decimal("2.50"),
        "gross_sales": Decimal("99999999999999999999999999999.99"),
    }
    return PROGRESS, [{**ORDERS, **(more if extended else {})}], CATEGORIES


@pytest.mark.parametrize("read_only", [True, False])
async def test_an_earlier_schema_gives_the_same_rows(path: Path, read_only: bool) -> None:
    wanted, version = expected(path), _version(path)
    assert await contents(path, read_only=read_only) == wanted
    # A reader leaves the file as it is; whoever may write migrates it once.
    assert _version(path) == (version if read_only else schema.SCHEMA_VERSION)
    assert await contents(path, read_only=True) == wanted


async def test_migrated_rows_are_stored_as_new_ones_are(path: Path) -> None:
    state = await SqliteState.open(path)
    days = {
        "order_kpis": [
            {name: one for name, one in row.items() if name != "as_of"}
            for row in await rows(state, "order_kpis")
        ],
    }
    await state.close()
    with closing(sqlite3.connect(path)) as db:
        before = db.execute("SELECT * FROM order_kpi_rows").fetchall()
        db.execute("DELETE FROM order_kpi_rows")
        db.execute("DELETE FROM days")
        db.commit()
    state = await SqliteState.open(path)
    await state.publish(DayKpis(order_date=DAY, tables=days), 3)
    await state.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM order_kpi_rows").fetchall() == before


async def test_progress_goes_on_from_an_earlier_schema(path: Path) -> None:
    state = await SqliteState.open(path)
    later = Progress(waiting={"b": 4, "c": 1}, waiting_as_of=4)
    assert (await state.advance(later)).waiting == later.waiting
    assert (await state.progress()).waiting == later.waiting
    await state.close()


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def _copy_of(path: Path, version: int) -> Path:
    return path.with_name(path.name + schema.COPY_SUFFIXES[version])


async def test_a_copy_is_kept_as_it_was(path: Path) -> None:
    version = _version(path)
    path.chmod(0o640)
    with closing(sqlite3.connect(path)) as db:
        before = list(db.iterdump())
    await (await SqliteState.open(path)).close()
    kept = _copy_of(path, version)
    assert kept.stat().st_mode & 0o777 == 0o640
    assert _version(kept) == version
    with closing(sqlite3.connect(kept)) as db:
        assert list(db.iterdump()) == before
    assert {one.name for one in path.parent.iterdir()} == {path.name, kept.name}


async def test_a_reader_makes_no_copy(path: Path) -> None:
    await (await SqliteState.open(path, read_only=True)).close()
    assert not _copy_of(path, _version(path)).exists()


async def test_an_unfinished_copy_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends when the copy has its name, and before the migration."""
    version = _version(path)

    def stop(_: Path) -> None:
        raise OSError("power")

    with monkeypatch.context() as patched:
        patched.setattr(copy, "sync_folder", stop)
        with pytest.raises(Exception, match="power"):
            await SqliteState.open(path)
    assert _version(path) == version
    # What an earlier release commits until then is in the copy of the next attempt.
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO effects VALUES ('later', 1, '{}')")
        db.commit()
    unfinished = path.with_name(_copy_of(path, version).name + copy.UNFINISHED_SUFFIX)
    unfinished.write_bytes(b"half")
    await (await SqliteState.open(path)).close()
    with closing(sqlite3.connect(_copy_of(path, version))) as db:
        assert db.execute("SELECT source_id FROM effects").fetchall() == [("later",)]
    assert not unfinished.exists()


def _raise_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 4")


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_later_format_is_refused_with_the_way_back(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "my shop" / "shopkpi.db"
    state = await SqliteState.open(path)
    await state.publish(day_kpis(DAY), 1)
    before = await rows(state, "order_kpis")
    await state.close()
    copied = path.with_name("shopkpi.db.0.2.0")
    _raise_version(path)
    with pytest.raises(NewerFormat, match="a backup from before"):
        await SqliteState.open(path, read_only=read_only)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 3")
    shutil.copy(path, copied)
    _raise_version(path)
    path.with_name("shopkpi.db-wal").write_bytes(b"the later release's")
    with pytest.raises(NewerFormat) as refused:
        await SqliteState.open(path, read_only=read_only)
    assert refused.value.exit_code == 5
    assert refused.value.hint is not None
    _, command, _ = refused.value.hint.split("`")
    assert shlex.split(command)[-1] == str(path)
    subprocess.run(["/bin/sh", "-c", command], check=True)
    state = await SqliteState.open(path, read_only=read_only)
    assert await rows(state, "order_kpis") == before
    await state.close()


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_process_that_meets_a_later_format_stops(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "shopkpi.db"
    await (await SqliteState.open(path)).close()
    state = await SqliteState.open(path, read_only=read_only)
    assert await state.head() == 0
    _raise_version(path)
    acts: list[Callable[[], object]] = [state.head, state.progress, state.days]
    for act in acts:
        with pytest.raises(NewerFormat):
            await act()  # type: ignore[misc]
    await state.close()
