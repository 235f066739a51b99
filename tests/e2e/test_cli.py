"""Commands as a user types them: what they print, what they return, what they leave behind."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import click
import pytest

from kpi.tables import KPI_TABLES
from tests.support import oracle
from tests.support.commands import Done, shopkpi_process
from tests.support.commands import shopkpi as run
from worker.cli import questions
from worker.cli import shopkpi as group
from worker.sample import SampleSpec, write_sample

ROOT = Path(__file__).parents[2]
ORDERS = "order_id,user_id,status,created_at\n"
ITEMS = "id,order_id,product_id,status,sale_price\n"
SHORT_NAMES = {"orders": "order_kpis", "category": "category_kpis", "product": "product_kpis"}


Shopkpi = Callable[..., Done]


@pytest.fixture
def shopkpi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shopkpi:
    """The command line in an empty folder, without starting an interpreter each time."""
    monkeypatch.chdir(tmp_path)
    return partial(run, tmp_path)


def put(name: str, content: str | bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_shop() -> None:
    put("shop/products/1.csv", 'id,category\n1,Toys\n2,=HYPERLINK()\n3,-Sale\n4,"@home, 2"\n')
    put("shop/orders/1.csv", ORDERS + "1,7,returned,2025-03-01\n2,8,delivered,2025-03-02\n")
    rows = [
        (1, 1, 1, "5.00"),
        (2, 1, 2, "7.00"),
        (3, 2, 3, "0.10"),
        (4, 2, 4, "100"),
        (5, 2, 9, "3"),
    ]
    put("shop/order_items/1.csv", ITEMS + "".join(f"{a},{b},{c},,{d}\n" for a, b, c, d in rows))


# Answers.


def test_answers_have_exactly_the_attributes_of_the_tables(shopkpi: Shopkpi) -> None:
    put_shop()
    assert shopkpi("run", "shop", "--kpis", "order,category,product").code == 0
    for name, table in SHORT_NAMES.items():
        rows = shopkpi("query", name, "--format", "json").json
        schema = KPI_TABLES[table].schema
        assert rows
        for row in rows:
            assert list(row) == schema.names
            for field in schema:
                # Money and rates are texts, which keep every digit of any reader's numbers.
                number = str(field.type) == "int64"
                assert isinstance(row[field.name], int if number else str)
                if str(field.type).startswith("decimal"):
                    places = row[field.name].partition(".")[2]
                    assert len(places) == field.type.scale
        printed = shopkpi("query", name, "--format", "csv").out
        assert next(csv.reader(io.StringIO(printed))) == schema.names


def test_questions_can_be_narrowed(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop", "--kpis", "order,category,product")

    def answer(*question: str) -> list[tuple[str, ...]]:
        rows = shopkpi("query", *question, "--format", "json").json
        return [tuple(row.values())[:2] for row in rows]

    assert [day for day, _ in answer("orders", "--from", "2025-03-02")] == ["2025-03-02"]
    assert [day for day, _ in answer("orders", "--to", "2025-03-01")] == ["2025-03-01"]
    assert answer("orders", "--from", "2025-03-03") == []
    assert answer("category", "--category", "-Sale") == [("2025-03-02", "-Sale")]
    assert answer("category", "--top", "1") == [("2025-03-02", "@home, 2")]
    assert answer("product", "--product", "9") == [("2025-03-02", "9")]
    assert answer("category", "--category", "nothing") == []


@pytest.mark.parametrize("at_once", [0, 1, 1000])
def test_the_top_rows_have_most_revenue(
    shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    write_sample(Path("shop"), SampleSpec(orders=60, days=9))
    # As many rows again that have no revenue: the first of them stay.
    put("shop/products/free.csv", "id,category\n" + "".join(f"9{n},Free {n}\n" for n in range(20)))
    free = "".join(f"9{n},{n + 1},9{n},,0\n" for n in range(20))
    put("shop/order_items/free.csv", ITEMS + free)
    assert shopkpi("run", "shop").code == 0
    monkeypatch.setattr(questions, "ROWS_AT_ONCE", at_once)
    every = shopkpi("query", "category", "--format", "json").json
    every.sort(key=lambda row: Decimal(row["daily_revenue"]), reverse=True)
    for count in (1, 2, 5, len(every) - 3, len(every) + 1):
        top = shopkpi("query", "category", "--top", str(count), "--format", "json").json
        assert top == every[:count]


def test_csv_is_safe_for_spreadsheets_and_loses_nothing(shopkpi: Shopkpi) -> None:
    put_shop()
    raws = [
        "=1+1,7,a,2025-03-01",
        "+x,7,a,2025-03-01",
        "-1\tx,7,a,b",
        "@SUM(A1),7,a,b",
        "\t=1,7,a,b",
    ]
    good = "".join(f"{number},7,x,2025-03-01\n" for number in range(10, 99))
    put("shop/orders/2.csv", ORDERS + good + "\n".join(raws) + "\n")
    assert shopkpi("run", "shop").code == 0
    for question in (["query", "category"], ["rejects", "2.csv"]):
        done = shopkpi(*question, "--format", "csv")
        plain = shopkpi(*question, "--format", "json").json
        _, *rows = csv.reader(io.StringIO(done.out))
        assert len(rows) == len(plain)
        for row, fields in zip(rows, plain, strict=True):
            for cell, value in zip(row, fields.values(), strict=True):
                text = "; ".join(value) if isinstance(value, list) else str(value)
                is_number = re.fullmatch(r"-?\d+(\.\d+)?", text)
                assert cell.removeprefix("'") == text
                assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert {row["category"] for row in shopkpi("query", "category").json} >= {
        "=HYPERLINK()",
        "-Sale",
    }


def test_a_reader_may_have_had_enough(tmp_path: Path) -> None:
    """As in `shopkpi query category | head -1`."""
    write_sample(tmp_path / "shop", SampleSpec(orders=2000, days=300))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "worker"]
    run = [*command, "run", "shop", "--format", "json"]
    subprocess.run(run, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    for form in ("csv", "json", "table"):
        with subprocess.Popen(
            [*command, "query", "category", "--format", form],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as asked:
            assert asked.stdout is not None
            assert asked.stderr is not None
            asked.stdout.readline()
            asked.stdout.close()
            assert asked.stderr.read() == b""
        assert asked.returncode == 0


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_who_waits_for_a_reader_can_be_stopped(tmp_path: Path, which: signal.Signals) -> None:
    """As in `shopkpi rejects orders/1.csv | less`, which prints while it reads."""
    path = tmp_path / "orders" / "1.csv"
    path.parent.mkdir()
    path.write_text("order_id,user_id,status,created_at\n" + "x\n" * 20_000)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "worker"]
    validate = [*command, "validate", "orders/1.csv"]
    subprocess.run(validate, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen(
        [*command, "rejects", "orders/1.csv", "--format", "csv"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
    ) as asked:
        assert asked.stdout is not None
        # It has begun, and all of it does not fit the pipe.
        asked.stdout.readline()
        asked.send_signal(which)
        assert asked.wait(timeout=20) == -which


def test_a_receipt_tells_what_became_of_a_file(shopkpi: Shopkpi) -> None:
    put_shop()
    put("shop/order_items/2.csv", ITEMS + "6,77,1,,1.00\n1,1,1,,6.00\n1,1,1,,5.50\n")
    shopkpi("run", "shop")
    (receipt,) = shopkpi("ledger", "order_items/2.csv", "--format", "json").json
    assert receipt["rows_read"] == receipt["rows_clean"] + receipt["rows_rejected"] == 3
    assert receipt["size_bytes"] == Path("shop/order_items/2.csv").stat().st_size
    assert (receipt["verdict"], receipt["dataset"], receipt["reasons"]) == (
        "accepted",
        "order_items",
        {},
    )
    assert (receipt["waiting_items"], receipt["superseded_rows"], receipt["days"]) == (1, 1, 1)
    assert (receipt["first_day"], receipt["last_day"]) == ("2025-03-01", "2025-03-01")
    assert len(shopkpi("ledger", "--format", "json").json) == 4
    by_id = shopkpi("ledger", receipt["source_id"], "--format", "json").json
    assert by_id == [receipt]
    assert "order_items/2.csv" in shopkpi("ledger", "--format", "table").out


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_receipt_tells_the_hash_of_a_file_where_it_is_asked_for(
    shopkpi: Shopkpi, command: str
) -> None:
    put_shop()
    content = Path("shop/orders/1.csv").read_bytes()
    for options, expected in (((), None), (("--sha256",), hashlib.sha256(content).hexdigest())):
        workspace = ("--workspace", f"w{len(options)}")
        done = shopkpi(command, "shop/orders", *workspace, *options, "--format", "json")
        (receipt,) = [one for one in done.events if one["event"] == "source.committed"]
        assert receipt["sha256"] == expected
        assert receipt["version"].endswith(f":{len(content)}")


def test_running_again_does_nothing_twice(shopkpi: Shopkpi) -> None:
    put_shop()
    first = shopkpi("run", "shop", "--format", "json").events
    again = shopkpi("run", "shop", "--format", "json").events
    assert [one["event"] for one in first].count("source.committed") == 3
    assert [one["event"] for one in again].count("source.known") == 3
    assert "source.committed" not in {one["event"] for one in again}
    assert again[-1] | {"days": 0} == again[-1]
    assert shopkpi("transform", "--format", "json").events[-1]["days"] == 0
    assert shopkpi("audit").code == 0


def test_files_may_be_named_one_by_one(shopkpi: Shopkpi) -> None:
    put_shop()
    put("elsewhere/a b é.csv", ORDERS + "5,5,x,2025-03-09\n")
    assert shopkpi("run", "shop/orders/1.csv", "shop/order_items").code == 0
    assert shopkpi("run", "elsewhere/a b é.csv", "--dataset", "orders").code == 0
    days = [row["order_date"] for row in shopkpi("query", "orders").json]
    assert days == ["2025-03-01", "2025-03-02", "2025-03-09"]


# Wrong use.


def all_told(done: Done, *words: str) -> None:
    assert done.code == 2
    missing = [word for word in words if word not in done.err]
    assert not missing, done.err


def test_every_bad_setting_is_told_at_once(shopkpi: Shopkpi) -> None:
    put_shop()
    bad = ("--workspace", "ftp://x", "--state", "mysql://x", "--contract", "none.toml")
    told = ("--workspace", "--state", "--contract", "none.toml", "mysql")
    all_told(
        shopkpi("run", "shop", "gopher://x", *bad, "--kpis", "orders"), *told, "--kpis", "gopher"
    )
    days = ("--from", "monday", "--to", "2025-02-30")
    all_told(
        shopkpi("transform", *bad, *days, "--kpis", "x"), *told, "monday", "2025-02-30", "--kpis"
    )
    all_told(shopkpi("query", "orders", *bad, *days), *told, "monday", "2025-02-30")
    all_told(shopkpi("audit", *bad, *days), *told, "monday", "2025-02-30")
    assert not Path(".shopkpi").exists()


@pytest.mark.parametrize("question", [["query", "orders"], ["ledger"], ["query", "category"]])
def test_a_question_makes_no_database(shopkpi: Shopkpi, question: list[str]) -> None:
    done = shopkpi(*question, "--workspace", "mispelt")
    all_told(done, "mispelt", "nothing is there")
    assert not Path("mispelt").exists()


def test_a_place_that_cannot_be_written_is_told(shopkpi: Shopkpi) -> None:
    put_shop()
    put("file", "in the way")
    for place in ("file", "/proc/nowhere"):
        done = shopkpi("run", "shop", "--workspace", place, "--format", "json")
        assert done.code == 1
        assert place in done.err
        assert len(done.err.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(shopkpi: Shopkpi) -> None:
    put_shop()
    Path("shop/orders/1.csv").chmod(0)
    done = shopkpi("run", "shop", "--format", "json")
    assert done.code == 1
    assert "shop/orders/1.csv" in done.err
    assert "Permission denied" in done.err


def test_a_folder_that_is_named_like_a_file_is_no_file(shopkpi: Shopkpi) -> None:
    put("shop/orders/1.csv/2.csv", ORDERS + "1,7,x,2025-03-01\n")
    assert shopkpi("run", "shop").code == 0
    assert len(shopkpi("ledger", "--format", "json").json) == 1


def test_a_workspace_may_lie_among_the_files(shopkpi: Shopkpi) -> None:
    put_shop()
    for _ in range(3):
        assert shopkpi("run", "shop", "--workspace", "shop/kpis").code == 0
    receipts = shopkpi("ledger", "--workspace", "shop/kpis", "--format", "json").json
    assert sorted(one["url"].rsplit("/", 1)[-1] for one in receipts) == ["1.csv"] * 3


def test_one_file_under_two_spellings_is_one_source(shopkpi: Shopkpi) -> None:
    put_shop()
    for spelling in ("shop", "./shop", "shop/../shop", str(Path("shop").absolute())):
        assert shopkpi("run", spelling).code == 0
    assert len(shopkpi("ledger", "--format", "json").json) == 3


def test_one_wild_date_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    """Between the years 1 and 9999 there are 3.6 million days."""
    orders = ORDERS + "1,7,x,0001-06-01\n2,7,x,2025-03-01\n3,7,x,9999-06-01\n"
    path = tmp_path / "shop" / "orders" / "1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(orders)
    run = shopkpi_process(tmp_path, "run", "shop", "--format", "json")
    assert run.code == 0
    assert json.loads(run.out.splitlines()[-1])["days"] == 3
    assert run.peak_mib < 500  # it was 4.3 GB when each day was a task
    assert run.user_s < 20


def test_an_audit_finds_days_that_were_never_published(shopkpi: Shopkpi) -> None:
    put_shop()
    shopkpi("run", "shop")
    assert shopkpi("audit").code == 0
    with sqlite3.connect(".shopkpi/shopkpi.db") as db:
        for table in ("order_kpis", "category_kpis", "days"):
            db.execute(f"DELETE FROM {table} WHERE order_date = '2025-03-02'")
    db.close()
    found = shopkpi("audit", "--format", "json")
    assert found.code == 3
    told = [json.loads(line) for line in found.out.splitlines()]
    assert {one["order_date"] for one in told[:-1]} == {"2025-03-02"}
    assert shopkpi("audit", "--to", "2025-03-01").code == 0


# Other layouts.


def test_the_olist_layout_gives_the_rows_of_the_oracle(shopkpi: Shopkpi, tmp_path: Path) -> None:
    spec = SampleSpec(orders=1500, days=20, layout="olist", files=2)
    report = write_sample(tmp_path / "olist", spec)
    done = shopkpi("run", "olist", "--contract", "olist", "--kpis", "order,category,product")
    assert done.code == 0, done.err
    files: dict[str, list[Path]] = {}
    for file in report.files:
        files.setdefault(file.dataset, []).append(file.path)
    expected = oracle.kpis(files, oracle.OLIST)
    for name, table in SHORT_NAMES.items():
        rows = shopkpi("query", name, "--format", "json").json
        plain = [
            {key: f"{one:f}" if isinstance(one, Decimal) else one for key, one in row.items()}
            for row in expected[table]
        ]
        assert rows == plain
        assert len(rows) > 10


# Help.


def examples() -> Iterator[tuple[str, str]]:
    """Every example of every command's help that needs no cloud."""

    def commands(parent: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
        for command in parent.commands.values():
            path = f"{name} {command.name}"
            if isinstance(command, click.Group):
                yield from commands(command, path)
            else:
                yield path, command

    for path, command in commands(group, "shopkpi"):
        text = (command.help or "").replace("\\\n", " ")
        lines = re.findall(r"^\s*(shopkpi .*)$", text, re.MULTILINE)
        assert lines, f"{path} has no example"
        for line in lines:
            assert line.startswith(path), line
            if "://" not in line:
                yield path, line


def prepare(shopkpi: Shopkpi) -> str:
    """The files that the examples speak of; the id of one."""
    write_sample(Path("shop"), SampleSpec(orders=200, days=3, dirty=0.05))
    for name in ("shop/orders/monday.csv", "year/order_items/2025.csv"):
        put(name, (Path("shop") / "orders" / "orders_part1.csv").read_bytes())
    items = Path("shop/order_items/order_items_part1.csv").read_bytes()
    put("year/order_items/2025.csv", items)
    put("my-contract.toml", shopkpi("contract", "show", "olist").out)
    assert shopkpi("run", "shop").code == 0
    (receipt,) = shopkpi("ledger", "monday.csv", "--format", "json").json
    return str(receipt["source_id"])


@pytest.mark.parametrize(("path", "example"), list(examples()))
def test_examples_of_the_help_can_be_run(shopkpi: Shopkpi, path: str, example: str) -> None:
    source_id = prepare(shopkpi)
    words = shlex.split(example, comments=True)[1:]
    if ">" in words:
        words = words[: words.index(">")]
    words = [re.sub(r"^[0-9a-f]{16}$", source_id, word) for word in words]
    if path == "shopkpi sample":
        words = [re.sub(r"^\d{7}$", "1000", word) for word in words]  # not the whole year
    if "monday.csv.gz" in example:
        Path("shop/orders/monday.csv").rename("shop/orders/monday.csv.gz")
    if "--range" in words:
        plan = shopkpi("plan", "year/order_items/2025.csv").json
        words[words.index("--range") + 1] = plan[0]["range"]
    if path == "shopkpi sample":
        words[1] = f"new {words[1]}"  # a folder of its own
    done = shopkpi(*words)
    assert done.code == 0, done.err
