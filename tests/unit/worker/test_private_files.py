"""What a run writes is as private as the uploads, and a hostile key leads nowhere."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.support.commands import Shopkpi
from worker.clean import Workspace
from worker.errors import DamagedObject
from worker.objects.location import Location
from worker.objects.memory import MemoryStore

ORDERS = "order_id,user_id,created_at\n1,7,2025-03-01\n2,7,2025\n" + "".join(
    f"{number},7,2025-03-01\n" for number in range(3, 30)
)


def put(home: Path) -> Path:
    path = home / "shop" / "orders" / "1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(ORDERS)
    return path


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_results_are_private_whatever_the_umask(
    tmp_path: Path, shopkpi: Shopkpi, umask: int
) -> None:
    put(tmp_path)
    before = os.umask(umask)
    try:
        assert shopkpi("run", "shop", "--workspace", "w/x").code == 0
    finally:
        os.umask(before)
    made = [tmp_path / "w", *(tmp_path / "w").rglob("*")]
    assert len([path for path in made if path.suffix == ".parquet"]) == 2
    for path in made:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_shared_database_stays_shared(tmp_path: Path, shopkpi: Shopkpi) -> None:
    """`chmod` opens the KPIs to a reader; its log gets the same mode, clean rows stay closed."""
    path = put(tmp_path)
    assert shopkpi("run", "shop").code == 0
    database = tmp_path / ".shopkpi" / "shopkpi.db"
    database.chmod(0o640)
    database.parent.chmod(0o750)
    path.write_text(ORDERS + "30,7,2025-03-01\n")
    assert shopkpi("run", "shop").code == 0
    assert stat.S_IMODE(database.stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / ".shopkpi" / "rejects").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "key",
    [
        *("../victim", "/etc/passwd", "clean/../../victim", "clean/orders/x.parquet", ""),
        "clean/orders/uploaded_on=2025-03-01/../../0123456789abcdef-01234567.parquet",
        "other/orders/uploaded_on=2025-03-01/0123456789abcdef-01234567.parquet",
        "clean/orders/uploaded_on=2025-03-01/0123456789abcdef-01234567.parquet\n",
    ],
)
def test_a_key_of_another_form_is_refused(key: str) -> None:
    workspace = Workspace(store=MemoryStore(), location=Location(bucket="b", key="w"))
    with pytest.raises(DamagedObject, match="expected keys of clean rows"):
        workspace.stored(key)


def test_a_hostile_key_in_the_ledger_is_not_read(tmp_path: Path, shopkpi: Shopkpi) -> None:
    put(tmp_path)
    assert shopkpi("run", "shop").code == 0
    with sqlite3.connect(tmp_path / ".shopkpi" / "shopkpi.db") as db:
        ((text,),) = db.execute("SELECT record FROM ledger WHERE kind = 'entry'")
        entry = json.loads(text)
        entry["rejects"] = ["../../etc/passwd"]
        db.execute("UPDATE ledger SET record = ? WHERE kind = 'entry'", (json.dumps(entry),))
    db.close()
    done = shopkpi("rejects", "1.csv")
    assert done.code == 1
    assert "expected keys of clean rows" in done.err


def test_an_archive_below_the_input_is_refused(tmp_path: Path, shopkpi: Shopkpi) -> None:
    path = put(tmp_path)
    assert shopkpi("run", "shop").code == 0
    for place in ("shop", "shop/old", "shop/orders"):
        done = shopkpi("archive", "shop/orders/1.csv", "--to", place)
        assert done.code == 2
        assert "a place that is not below the input" in done.err
    assert path.exists()


def test_a_moved_file_keeps_its_time_and_is_private(tmp_path: Path, shopkpi: Shopkpi) -> None:
    path = put(tmp_path)
    os.utime(path, ns=(10**18 + 123, 10**18 + 123))
    assert shopkpi("run", "shop").code == 0
    assert shopkpi("archive", "shop/orders/1.csv", "--to", "old").code == 0
    (moved,) = (tmp_path / "old").rglob("1.csv")
    assert moved.stat().st_mtime_ns == 10**18 + 123
    assert stat.S_IMODE(moved.stat().st_mode) == 0o600
    assert not path.exists()


def test_bytes_that_were_not_validated_are_not_archived(tmp_path: Path, shopkpi: Shopkpi) -> None:
    """The ledger knows that path, size and mtime, but not these bytes."""
    path = put(tmp_path)
    os.utime(path, ns=(10**18, 10**18))
    assert shopkpi("run", "shop").code == 0
    path.write_text(ORDERS.replace("2025-03-01", "2025-04-01"))
    os.utime(path, ns=(10**18, 10**18))
    done = shopkpi("archive", "shop/orders/1.csv", "--to", "old")
    assert done.code == 1
    assert "not in the ledger yet" in done.err
    assert path.exists()
