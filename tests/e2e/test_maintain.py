"""`shopkpi maintain`: a ledger that was put back or lost is told, and taken as it is."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from tests.erasure.places import mentions
from tests.support.commands import shopkpi
from worker.cli import shopkpi as all_commands

ORDERS = "order_id,user_id,status,created_at\n"
LATE_DAY = "2031-05-05"


def write(folder: Path, name: str, rows: str) -> None:
    (folder / "orders").mkdir(parents=True, exist_ok=True)
    (folder / "orders" / name).write_text(ORDERS + rows)


@pytest.fixture
def put_back(tmp_path: Path) -> Path:
    """Return a home whose database was put back to before its last upload."""
    write(tmp_path / "shop", "a.csv", "1,5,Complete,2025-01-01 10:00:00 UTC\n")
    write(tmp_path / "late", "b.csv", f"2,5,Complete,{LATE_DAY} 10:00:00 UTC\n")
    assert shopkpi(tmp_path, "run", "shop").code == 0
    database = tmp_path / ".shopkpi" / "shopkpi.db"
    shutil.copy(database, tmp_path / "copy.db")
    assert shopkpi(tmp_path, "run", "late").code == 0
    assert LATE_DAY in shopkpi(tmp_path, "query", "orders").out
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy.db", database)
    (tmp_path / "sheet.csv").write_text(SHEET)
    return tmp_path


SHEET = (
    "shopkpi_id,shopkpi_row,shopkpi_reason,order_id\n"
    "8d6dc585be847cbe-2-a328298000644ec8,2,missing_value,1\n"
)


def stored(home: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in (home / ".shopkpi").rglob("*")
        if path.is_file() and not path.name.startswith("shopkpi.db")
    }


def rows(home: Path) -> list[dict[str, object]]:
    """Rows of the days, but for when they were published."""
    found = shopkpi(home, "query", "orders", "--format", "json").json
    when = ("as_of", "published_at")
    return [{name: one[name] for name in one if name not in when} for one in found]


COMPARING: dict[str, tuple[str, ...]] = {
    "run": ("late",),
    "watch": ("late",),
    "repair": ("sheet.csv",),
    "validate": ("late/orders/b.csv",),
    "transform": ("--all",),
    "retract": ("a.csv",),
    "restore": ("a.csv",),
    "contract adopt": ("uuid-ids", "--raw", "shop"),
    "contract propose": ("uuid-ids",),
    "erase-customer": ("5",),
    "audit": (),
    "maintain": (),
    "serve": ("--queue", "http://127.0.0.1:1/000000000000/none"),
}
"""Commands that compare ledger and workspace before they write, and their arguments."""

AWS = {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}

NOT_WRITING = {
    *("query", "ledger", "rejects", "plan"),  # they read the ledger, and change nothing
    *("status", "waiting", "explain", "diff", "current"),
    *("config show", "contract check", "contract show", "contract infer", "contract list"),
    *("archive", "redrive", "sample", "tables create"),  # they write to neither
}
"""All other commands: a new one has to be in one of both."""


def command_names(group: click.Group, before: str = "") -> set[str]:
    context, found = click.Context(group), set[str]()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found |= command_names(command, f"{before}{name} ")
        else:
            found.add(f"{before}{name}")
    return found


def test_every_command_is_known_to_compare_or_not_to_write() -> None:
    names = command_names(all_commands)
    assert names >= COMPARING.keys()
    assert names - COMPARING.keys() == NOT_WRITING & names
    assert len(names) > 15


def test_every_writing_command_tells_a_ledger_put_back(put_back: Path) -> None:
    before, ledger = stored(put_back), shopkpi(put_back, "ledger", "--format", "json").out
    for name, arguments in COMPARING.items():
        done = shopkpi(put_back, *name.split(), *arguments, **AWS)
        assert done.code == 2, (name, done.err)
        assert "the ledger was put back to an earlier time" in done.err, name
        assert "sequence 3" in done.err
        assert "records up to 2" in done.err
        assert "shopkpi maintain --rebuild" in done.err
    assert stored(put_back) == before
    assert shopkpi(put_back, "ledger", "--format", "json").out == ledger


def test_no_command_writes_beside_a_lost_ledger(put_back: Path) -> None:
    for path in (put_back / ".shopkpi").glob("shopkpi.db*"):
        path.unlink()
    before = stored(put_back)
    for name, arguments in COMPARING.items():
        done = shopkpi(put_back, *name.split(), *arguments, **AWS)
        assert done.code == 2, (name, done.err)
        lost = "the ledger is lost" in done.err
        assert lost or "nothing is there" in done.err, (name, done.err)
    assert stored(put_back) == before
    assert not (put_back / ".shopkpi" / "shopkpi.db").exists()


def test_a_ledger_put_back_that_went_on_is_told(put_back: Path) -> None:
    mark = put_back / ".shopkpi" / "index" / "ledger.json"
    hidden = mark.read_bytes()
    mark.unlink()  # as of a release that writes none
    write(put_back / "shop", "c.csv", "3,6,Complete,2025-01-02 10:00:00 UTC\n")
    assert shopkpi(put_back, "run", "shop").code == 0
    mark.write_bytes(hidden)
    done = shopkpi(put_back, "transform")
    assert done.code == 2
    assert "and has gone on" in done.err


def test_a_rebuild_takes_the_ledger_as_it_is(put_back: Path) -> None:
    done = shopkpi(put_back, "maintain", "--rebuild", "--format", "json")
    assert done.events[-1]["event"] == "rebuild.finished"
    assert [row["order_date"] for row in rows(put_back)] == ["2025-01-01"]
    assert shopkpi(put_back, "audit").code == 0
    assert shopkpi(put_back, "run", "late").code == 0
    assert [row["order_date"] for row in rows(put_back)] == ["2025-01-01", LATE_DAY]


def test_a_rebuild_repeats_an_erasure_that_the_ledger_forgot(tmp_path: Path) -> None:
    customer = "73500417"
    write(tmp_path / "shop", "a.csv", f"1,{customer},Complete,2025-01-01 10:00:00 UTC\n")
    assert shopkpi(tmp_path, "run", "shop").code == 0
    workspace = tmp_path / ".shopkpi"
    shutil.copy(workspace / "shopkpi.db", tmp_path / "copy.db")
    assert shopkpi(tmp_path, "erase-customer", customer).code == 0
    for suffix in ("-wal", "-shm"):
        (workspace / f"shopkpi.db{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy.db", workspace / "shopkpi.db")
    done = shopkpi(tmp_path, "run", "shop")
    assert done.code == 2
    assert "shopkpi maintain --rebuild" in done.err
    done = shopkpi(tmp_path, "maintain", "--rebuild", "--format", "table")
    assert "1 erasure of a customer was repeated" in done.out
    assert shopkpi(tmp_path, "run", "shop").code == 0
    assert shopkpi(tmp_path, "audit", "--rebuild").code == 0
    assert [row["total_orders"] for row in rows(tmp_path)] == [1]
    assert mentions(customer, [workspace]) == []


def test_a_lost_ledger_is_made_again_from_raw_files(put_back: Path) -> None:
    for path in (put_back / ".shopkpi").glob("shopkpi.db*"):
        path.unlink()
    for command in (("transform", "--all"), ("run", "shop")):
        done = shopkpi(put_back, *command)
        assert done.code == 2, command
        assert "the ledger is lost" in done.err
    assert not (put_back / ".shopkpi" / "shopkpi.db").exists()
    done = shopkpi(put_back, "maintain", "--rebuild", "shop", "late", "--format", "json")
    assert done.events[-1]["event"] == "rebuild.finished"
    assert [row["order_date"] for row in rows(put_back)] == ["2025-01-01", LATE_DAY]
    assert shopkpi(put_back, "audit").code == 0


@pytest.mark.parametrize("erased", [False, True])
def test_a_workspace_put_back_is_told_and_made_again(tmp_path: Path, erased: bool) -> None:
    write(tmp_path / "shop", "a.csv", "1,5,Complete,2025-01-01 10:00:00 UTC\n")
    assert shopkpi(tmp_path, "run", "shop").code == 0
    workspace = tmp_path / ".shopkpi"
    for folder in ("clean", "index"):
        shutil.copytree(workspace / folder, tmp_path / "copy" / folder)
    late = f"2,6,Complete,{LATE_DAY} 10:00:00 UTC\n"
    write(tmp_path / "late", "b.csv", late)
    assert shopkpi(tmp_path, "run", "late").code == 0
    if erased:
        assert shopkpi(tmp_path, "erase-customer", "5", "--delete").code == 0
    expected, before = rows(tmp_path), sorted(workspace.rglob("clean/**/*.parquet"))
    for folder in ("clean", "index"):
        shutil.rmtree(workspace / folder)
        shutil.copytree(tmp_path / "copy" / folder, workspace / folder)
    for command in (("run", "shop"), ("transform", "--all"), ("audit",)):
        done = shopkpi(tmp_path, *command)
        assert done.code == 2, command
        assert "the workspace was put back to an earlier time" in done.err
        assert "shopkpi maintain --rebuild INPUT" in done.err
    done = shopkpi(tmp_path, "maintain", "--rebuild")
    assert done.code == 1
    assert "name the raw files" in done.err
    done = shopkpi(tmp_path, "maintain", "--rebuild", "shop")
    assert done.code == 1
    assert "its raw file is not among the inputs" in done.err
    done = shopkpi(tmp_path, "maintain", "--rebuild", "shop", "late")
    assert done.code == 0, done.err
    assert rows(tmp_path) == expected
    assert sorted(workspace.rglob("clean/**/*.parquet")) == before
    assert shopkpi(tmp_path, "audit", "--rebuild").code == 0


def test_unused_objects_go_once_they_are_a_day_old(tmp_path: Path) -> None:
    write(tmp_path / "shop", "a.csv", "1,5,Complete,2025-01-01 10:00:00 UTC\n")
    assert shopkpi(tmp_path, "run", "shop").code == 0
    workspace = tmp_path / ".shopkpi"
    (kept,) = (workspace / "clean").rglob("*.parquet")
    old = kept.with_name(f"{'0' * 16}-{'1' * 8}.parquet")
    young = kept.with_name(f"{'2' * 16}-{'1' * 8}.parquet")
    other = kept.with_name("notes.txt")
    run_ = workspace / "index" / f"{'a' * 32}.run"
    for path in (old, young, other, run_):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"unused")
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for path in (kept, old, other, run_):
        os.utime(path, (two_days_ago, two_days_ago))

    listed = shopkpi(tmp_path, "maintain", "--dry-run", "--format", "json").events
    named = [str(one["key"]) for one in listed if one["event"] == "object.unused"]
    assert sorted(Path(key).name for key in named) == sorted([old.name, run_.name])
    assert old.exists()

    done = shopkpi(tmp_path, "maintain", "--format", "json").events[-1]
    assert done["unused_objects"] == {"index": 1, "clean": 1}
    assert done["unused_bytes"] == {"index": 6, "clean": 6}
    assert [path.exists() for path in (kept, old, young, other, run_)] == [
        *(True, False, True, True, False)
    ]
    assert shopkpi(tmp_path, "audit").code == 0
    assert (
        "unused below clean/: 0 objects" in shopkpi(tmp_path, "maintain", "--format", "table").out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop",), "INPUT goes with --rebuild"),
        (("--rebuild", "--dry-run"), "not both"),
        (("--rebuild",), "nothing is there"),
    ],
)
def test_wrong_use_of_maintain_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = shopkpi(tmp_path, "maintain", *arguments)
    assert done.code == 2
    assert message in done.err
    assert list(tmp_path.iterdir()) == []
