"""`--readers` opens KPIs and ledger to other users; clean rows and rejects stay closed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import Done, shopkpi

ORDERS = "order_id,user_id,created_at\n1,7,2025-03-01\n2,7,2025\n" + "".join(
    f"{number},7,2025-03-01\n" for number in range(3, 30)
)

READ = """
import os, sqlite3, sys
home, group = sys.argv[1], int(sys.argv[2])
os.setgroups([])
os.setgid(group)
os.setuid(65534)
try:
    db = sqlite3.connect(f"file:{home}/w/shopkpi.db?mode=ro", uri=True)
    print(db.execute("SELECT sum(total_orders) FROM order_kpis").fetchone()[0])
except sqlite3.Error as error:
    print(error)
for place in ("w/clean", "w/rejects"):
    try:
        print(os.listdir(f"{home}/{place}"))
    except PermissionError:
        print("closed")
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of root's that everybody may enter, with a file of orders."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory(prefix="shopkpi-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "shop/orders").mkdir(parents=True)
        (folder / "shop/orders/1.csv").write_text(ORDERS)
        yield folder


def run(home: Path, *options: str, command: tuple[str, ...] = ("run", "shop")) -> Done:
    done = shopkpi(home, *command, "--workspace", "w", *options)
    assert done.code == 0, done.err
    return done


def add(home: Path, number: int) -> None:
    text = f"order_id,user_id,created_at\n{number},7,2025-03-01\n"
    (home / f"shop/orders/{number}.csv").write_text(text)


def read(home: Path, group: int = 65534) -> list[str]:
    """What another user sees: sum of orders, then the names in clean zone and rejects."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(home), str(group)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def modes(home: Path) -> tuple[int, ...]:
    names = ("w", "w/shopkpi.db", "w/clean", "w/rejects")
    return tuple(stat.S_IMODE((home / name).stat().st_mode) for name in names)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_all_users_read_the_kpis_and_nothing_else(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        run(home, "--readers", "all")
    finally:
        os.umask(before)
    assert modes(home) == (0o755, 0o644, 0o700, 0o700)
    assert read(home) == ["28", "closed", "closed"]


def test_a_group_reads_the_kpis_and_other_users_do_not(home: Path) -> None:
    run(home, "--readers", "group")
    assert modes(home) == (0o750, 0o640, 0o700, 0o700)
    assert read(home, group=0) == ["28", "closed", "closed"]
    assert read(home) == ["unable to open database file", "closed", "closed"]


def test_by_default_nobody_else_reads(home: Path) -> None:
    run(home)
    assert modes(home) == (0o700, 0o600, 0o700, 0o700)
    assert read(home) == ["unable to open database file", "closed", "closed"]


def test_a_database_in_wal_mode_is_opened(home: Path) -> None:
    """Also one whose last process was killed, so that its log is still there."""
    run(home)
    database = home / "w/shopkpi.db"
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.execute("UPDATE order_kpi_rows SET total_orders = 29")
        db.commit()
        for name in ("shopkpi.db", "shopkpi.db-wal"):
            shutil.copy(home / "w" / name, home / name)
    for name in ("shopkpi.db", "shopkpi.db-wal"):
        shutil.move(home / name, home / "w" / name)
    run(home, "--readers", "all", command=("transform",))
    assert sorted(one.name for one in (home / "w").glob("*.db*")) == ["shopkpi.db"]
    assert read(home) == ["29", "closed", "closed"]


def test_the_settings_file_and_the_environment_open_it(home: Path) -> None:
    (home / "shopkpi.toml").write_text('readers = "group"\n')
    run(home)
    assert modes(home)[1] == 0o640
    assert shopkpi(home, "transform", "--workspace", "w", SHOPKPI_READERS="all").code == 0
    assert modes(home)[1] == 0o644


def test_later_commands_leave_it_open(home: Path) -> None:
    run(home, "--readers", "all")
    add(home, 30)
    run(home)
    assert read(home) == ["29", "closed", "closed"]


def test_owner_closes_it_again(home: Path) -> None:
    run(home, "--readers", "all")
    run(home, "--readers", "owner", command=("transform",))
    assert modes(home)[1:] == (0o600, 0o700, 0o700)
    assert read(home) == ["unable to open database file", "closed", "closed"]


def test_folders_of_an_earlier_release_are_closed(home: Path) -> None:
    run(home)
    for name in ("w/clean", "w/rejects"):
        (home / name).chmod(0o755)
    run(home, "--readers", "all", command=("transform",))
    assert read(home) == ["28", "closed", "closed"]


def test_a_commit_waits_for_a_reader(home: Path) -> None:
    run(home, "--readers", "all")
    reader = (
        "import sqlite3, sys, time\n"
        f"db = sqlite3.connect('file:{home}/w/shopkpi.db?mode=ro', uri=True)\n"
        "db.execute('BEGIN')\n"
        "db.execute('SELECT * FROM order_kpi_rows').fetchone()\n"
        "print(flush=True)\n"
        "time.sleep(3)\n"
    )
    with subprocess.Popen([sys.executable, "-c", reader], stdout=subprocess.PIPE) as holding:
        assert holding.stdout is not None
        holding.stdout.readline()
        add(home, 30)
        run(home)
    assert read(home) == ["29", "closed", "closed"]
