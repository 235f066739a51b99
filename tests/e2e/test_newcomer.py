"""What a new user tries, as commands: every bad idea ends in a verdict or one clear sentence."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import commands
from tests.support.commands import Done
from worker.sample import SampleSpec, write_sample

HEADER = "order_id,user_id,status,created_at"
ROOT = Path(__file__).parents[2]
ROW = "1,7,delivered,2025-03-01T10:00:00"


def shopkpi(*arguments: str, cwd: Path) -> Done:
    """Run a command in this process, which starts none: most of what a command takes."""
    return commands.shopkpi(cwd, *arguments)


def process(
    *arguments: str, cwd: Path, limit: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=limit,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def lines(done: Done, *, code: int = 0) -> list[dict[str, object]]:
    assert done.code == code, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def receipt_of(folder: Path, content: bytes, name: str = "a.csv") -> dict[str, object]:
    """The receipt of one orders file."""
    (folder / "orders").mkdir()
    (folder / "orders" / name).write_bytes(content)
    done = shopkpi("run", "orders", "--format", "json", cwd=folder)
    refused = "source.refused" in done.out
    events = lines(done, code=4 if refused else 0)
    return next(one for one in events if str(one["event"]).startswith("source."))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty file"),
        (b"\n\n", "empty file"),
        (b"a,b,c\n1,2,3\n", "order_id, user_id, created_at"),
        (b"order_id,order_id,user_id,created_at\n", "order_id once"),
        ((HEADER + "\n").encode("utf-16"), "UTF-16"),
        (bytes(range(256)) * 40, "NUL"),
        (b"PK\x03\x04 workbook", "ZIP"),
        (b"\x1f\x8b\x08 not really gzip", "gzip"),
        # Without the time of day in it, which would give each worker's test another name.
        (gzip.compress((HEADER + "\n" + (ROW + "\n") * 999).encode(), mtime=0)[:-9], "gzip"),
        ((HEADER + "\n" + "x,y,z,nope\n" * 50).encode(), "max_reject_rate"),
        (b"order_id,\xff\n1,2\n", "UTF-8"),
        (('"' + HEADER + "\n" + ROW).encode(), "header"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    receipt = receipt_of(tmp_path, content)
    assert receipt["event"] == "source.refused"
    assert expected in str(receipt["reason"])
    assert receipt["rows_clean"] == 0
    assert receipt["rows_read"] == receipt["rows_rejected"]
    assert not list((tmp_path / ".shopkpi").glob("clean/**/*.parquet"))


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PLAIN = f"{HEADER}\n{ROW}\n2,8,returned,2025-03-01 11:00:00\n".encode()


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"\n", b"\r"),
        PLAIN.rstrip(b"\n"),
        PLAIN.replace(b"\n", b"\n\n"),
        PLAIN.replace(b"delivered", b'"deli,ve""red\nx"'),
        PLAIN.replace(b"order_id,user_id", b" Order_ID ,USER_ID"),
        PLAIN.replace(b"T10:00:00", b"T12:00:00.1234567+02:00"),
        gzip.compress(PLAIN, mtime=0),
        gzip.compress(PLAIN[:50], mtime=0) + gzip.compress(PLAIN[50:], mtime=0),
        bz2.compress(PLAIN),
        zstd(PLAIN),
    ],
)
def test_every_spelling_of_a_csv_file_gives_the_same_rows(tmp_path: Path, content: bytes) -> None:
    assert receipt_of(tmp_path, content)["rows_clean"] == 2
    done = shopkpi("query", "orders", "--format", "json", cwd=tmp_path)
    assert [dict(list(row.items())[:6]) for row in json.loads(done.out)] == [
        {
            "order_date": "2025-03-01",
            "total_orders": 2,
            "total_revenue": None,
            "total_items_sold": 0,
            "return_rate": "0.5000",
            "unique_customers": 2,
        }
    ]


def test_a_header_alone_is_a_file_of_no_rows(tmp_path: Path) -> None:
    receipt = receipt_of(tmp_path, f"{HEADER}\n".encode())
    assert (receipt["event"], receipt["rows_read"]) == ("source.committed", 0)
    assert shopkpi("query", "orders", "--format", "json", cwd=tmp_path).out.strip() == "[]"


def test_columns_that_nobody_knows_are_kept(tmp_path: Path) -> None:
    content = f"{HEADER},Gift wrap\n{ROW},yes\n2,8,returned,2025-03-01T11:00:00,\n"
    assert receipt_of(tmp_path, content.encode())["rows_clean"] == 2
    (clean,) = (tmp_path / ".shopkpi").glob("clean/**/*.parquet")
    rescued = pq.read_table(clean, partitioning=None).column("_rescued").to_pylist()
    assert [dict(one) for one in rescued] == [{"Gift wrap": "yes"}, {}]


def test_rejects_tell_the_place_and_every_reason(tmp_path: Path) -> None:
    bad = ["x,,delivered,never", "3,4,delivered", '5,"6,delivered,2025-03-01T10:00:00']
    good = [f"{number},7,delivered,2025-03-01T10:00:00" for number in range(10, 60)]
    content = "\n".join([HEADER, *good[:25], *bad, *good[25:]]) + "\n"
    receipt = receipt_of(tmp_path, content.encode())
    assert (receipt["rows_read"], receipt["rows_rejected"]) == (53, 3)
    done = shopkpi("rejects", "a.csv", "--format", "json", cwd=tmp_path)
    rejects = json.loads(done.out)
    assert [one["raw"] for one in rejects] == bad
    assert [one["row"] for one in rejects] == [27, 28, 29]
    for one in rejects:
        start = one["byte_offset"]
        assert content.encode()[start : start + len(one["raw"])].decode() == one["raw"]
    assert [reason.split(":")[0] for reason in rejects[0]["reasons"]] == [
        "wrong_type",
        "wrong_type",
        "missing_value",
    ]
    assert "expected 4 columns, got 3" in rejects[1]["reasons"][0]


def test_no_cell_of_csv_output_is_a_formula(tmp_path: Path) -> None:
    rows = [f"{number},7,delivered,2025-03-01T10:00:00" for number in range(20)]
    receipt_of(tmp_path, "\n".join([HEADER, "=1+1,7,a,2025-03-01", *rows]).encode())
    done = shopkpi("rejects", "a.csv", "--format", "csv", cwd=tmp_path)
    assert "'=1+1" in done.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "nowhere"], ["nothing is there"]),
        (["run", "."], ["orders/", "--dataset"]),
        (["run", "ftp://x/y"], ["expected s3://, file:// or a path"]),
        (
            ["run", ".", "--kpis", "orders", "--state", "x", "--contract", "y"],
            ["--kpis", "--state", "--contract"],
        ),
        (["run", ".", "--workspace", "s3://b"], ["--state"]),
        (["query", "orders", "--from", "yesterday"], ["--from"]),
        (["query", "orders", "--category", "Beauty"], ["--category"]),
        (["rejects", "unknown.csv"], ["nothing is there", "shopkpi run"]),
        (["contract", "check", "bad.toml"], ["orders", "order_items", "products"]),
        (["contract", "show", "mine"], ["default", "olist"]),
        (["transform", "--source-id", "0123"], ["not in the ledger"]),
        (["run"], ["INPUT"]),
    ],
)
def test_wrong_use_says_what_is_wrong(
    tmp_path: Path, arguments: list[str], expected: list[str]
) -> None:
    (tmp_path / "bad.toml").write_text("name = 3\n")
    (tmp_path / "notes.txt").write_text("nothing for us")
    done = shopkpi(*arguments, cwd=tmp_path)
    assert done.code == 2
    assert "Traceback" not in done.err
    for word in expected:
        assert word in done.err


def test_two_runs_at_once_share_a_workspace(tmp_path: Path) -> None:
    write_sample(tmp_path / "shop", SampleSpec(orders=2000, days=4, files=3))
    command = [sys.executable, "-m", "worker", "run", "shop", "--format", "json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, env=environment)
        for _ in range(2)
    ]
    assert [run.communicate(timeout=120) and run.returncode for run in runs] == [0, 0]
    receipts = json.loads(shopkpi("ledger", "--format", "json", cwd=tmp_path).out)
    assert sorted(one["sequence"] for one in receipts) == list(
        range(2, 11)
    )  # 1 adopts the contract
    alone = ["--workspace", "alone"]
    lines(shopkpi("run", "shop", *alone, "--format", "json", cwd=tmp_path))
    for table in ("orders", "category"):
        printed = [
            shopkpi("query", table, *where, "--format", "csv", cwd=tmp_path).out.splitlines()
            for where in ([], alone)
        ]
        together, apart = (
            [{**row, "published_at": ""} for row in csv.DictReader(one)] for one in printed
        )
        assert together
        assert together == apart


def test_a_full_disk_is_told_and_nothing_is_committed(tmp_path: Path) -> None:
    write_sample(tmp_path / "shop", SampleSpec(orders=20_000, days=4))

    def small_files() -> None:
        # As a full disk does, writing behind the limit fails; Python ignores SIGXFSZ.
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = process("run", "shop/orders", "--format", "json", cwd=tmp_path, limit=small_files)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(shopkpi("ledger", "--format", "json", cwd=tmp_path).out) == []
    assert not [one for one in (tmp_path / ".shopkpi").rglob("*") if "parquet" in one.name]


def test_the_olist_layout_needs_a_contract_only(tmp_path: Path) -> None:
    done = shopkpi("sample", "olist", "--layout", "olist", "--orders", "500", cwd=tmp_path)
    assert done.code == 0, done.err
    lines(shopkpi("run", "olist", "--contract", "olist", "--format", "json", cwd=tmp_path))
    orders = json.loads(shopkpi("query", "orders", "--format", "json", cwd=tmp_path).out)
    assert sum(row["total_orders"] for row in orders) == 500
    assert any(row["return_rate"] != "0.0000" for row in orders)


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mine.db") as db:
        db.execute("CREATE TABLE days (mine TEXT)")
    done = shopkpi("ledger", "--state", f"sqlite://{tmp_path}/mine.db", cwd=tmp_path)
    assert done.code == 2
    assert "expected a database of schema 3, got 0" in done.err
