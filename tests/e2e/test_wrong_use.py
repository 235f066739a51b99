"""Wrong settings, places and files: one message that names each problem."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.e2e.files import ORDERS, put, put_shop
from tests.support.commands import Done, Shopkpi, shopkpi_process


def assert_names(done: Done, *words: str) -> None:
    assert done.code == 2
    missing = [word for word in words if word not in done.err]
    assert not missing, done.err


def test_every_bad_setting_is_told_at_once(shopkpi: Shopkpi) -> None:
    put_shop()
    bad = ("--workspace", "ftp://x", "--state", "mysql://x", "--contract", "none.toml")
    named = ("--workspace", "--state", "--contract", "none.toml", "mysql")
    assert_names(
        shopkpi("run", "shop", "gopher://x", *bad, "--kpis", "orders"), *named, "--kpis", "gopher"
    )
    days = ("--from", "monday", "--to", "2025-02-30")
    assert_names(
        shopkpi("transform", *bad, *days, "--kpis", "x"), *named, "monday", "2025-02-30", "--kpis"
    )
    assert_names(shopkpi("query", "orders", *bad, *days), *named, "monday", "2025-02-30")
    assert_names(shopkpi("audit", *bad, *days), *named, "monday", "2025-02-30")
    assert not Path(".shopkpi").exists()


@pytest.mark.parametrize("question", [["query", "orders"], ["ledger"], ["query", "category"]])
def test_a_question_makes_no_database(shopkpi: Shopkpi, question: list[str]) -> None:
    done = shopkpi(*question, "--workspace", "mispelt")
    assert_names(done, "mispelt", "nothing is there")
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


# How Python reads the byte 0xff of an argument.
NOT_UTF8 = "\udcff"


@pytest.mark.parametrize(
    "words",
    [
        "query category --category ?",
        "query product --product ?",
        "query orders --state dynamodb://?",
        "transform --source-id ?",
        "transform --kpis ?",
        "transform --from ?",
        "run ?://x",
        "run s3://b/?",
        "run shop --workspace s3://b/?",
        "validate s3://b/orders/1.csv --version-id ?",
        "validate shop/orders/1.csv --range ?",
        "plan s3://b/?",
        "plan shop/orders/1.csv --output s3://b/?",
        "archive s3://b/? --to x",
        "archive shop/orders/1.csv --to s3://b/?",
        "archive s3://b/x --version-id ? --to x",
        "serve --queue http://h/?",
        "serve --queue q --workspace s3://b/?",
        "tables create --state dynamodb://?",
        "ledger ?",
        "rejects ?",
        "contract show ?",
        "?",
    ],
)
def test_what_is_not_utf8_is_told(shopkpi: Shopkpi, words: str) -> None:
    put_shop()
    if words.startswith(("ledger", "rejects", "query category", "transform")):
        assert shopkpi("run", "shop").code == 0
    assert_names(shopkpi(*words.replace("?", NOT_UTF8).split()), "\\udcff")


def test_names_of_files_may_be_any_bytes(shopkpi: Shopkpi) -> None:
    file = put(f"shop/orders/{NOT_UTF8}.csv", ORDERS + "1,7,x,2025-03-01\n")
    places = ("--workspace", f"w{NOT_UTF8}", "--state", f"sqlite://{Path.cwd()}/{NOT_UTF8}.db")
    assert shopkpi("run", "shop", *places).code == 0
    assert len(shopkpi("query", "orders", *places).json) == 1
    assert shopkpi("validate", str(file), *places).code == 0
    (moved,) = shopkpi("archive", str(file), "--to", NOT_UTF8, *places).events
    assert moved["key"].endswith("shop/orders/\\xff.csv")
    assert not file.exists()
    assert len(list(Path(NOT_UTF8).rglob(file.name))) == 1


def test_numbers_of_any_length_are_told(shopkpi: Shopkpi) -> None:
    """Python reads none of more than 4300 digits."""
    put_shop()
    for digits in ("9" * 32, "9" * 5000):
        file = "shop/orders/1.csv"
        assert_names(shopkpi("validate", file, "--range", f"0-{digits}"), "--range", "0-1048576")
        assert_names(shopkpi("sample", "x", "--days", digits), "days")
        assert_names(shopkpi("sample", "x", "--start", digits), "--start")
        assert_names(shopkpi("serve", "--queue", "q", "--concurrency", digits), "--concurrency")
    many = "9" * 5000
    assert_names(shopkpi("query", "orders", "--top", many), "--top")
    assert_names(shopkpi("plan", "--days", many), "--days")


def test_a_sample_that_cannot_be_written_is_told(shopkpi: Shopkpi) -> None:
    put("file", "in the way")
    for place in ("file/x", "/proc/nowhere", "x" * 5000):
        done = shopkpi("sample", place, "--orders", "3")
        assert done.code == 1
        assert place in done.err
        assert len(done.err.splitlines()) == 1


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
