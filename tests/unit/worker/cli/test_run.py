"""`run` and `validate`: options that exclude each other, headers, files that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import worker.objects.local
from tests.support.commands import shopkpi
from worker.errors import SourceChanged, SourcesLeft
from worker.objects import ObjectInfo


@pytest.mark.parametrize("option", ["--version-id=1", "--range=0-9", "--commit-ranges"])
def test_option_of_one_source_with_two_is_refused(tmp_path: Path, option: str) -> None:
    done = shopkpi(tmp_path, "validate", "a.csv", "b.csv", option)
    assert done.code == 2
    assert f"{option.split('=', maxsplit=1)[0]} goes with one SOURCE" in done.err


def test_range_and_commit_exclude_each_other(tmp_path: Path) -> None:
    done = shopkpi(tmp_path, "validate", "a.csv", "--range=0-9", "--commit-ranges")
    assert done.code == 2
    assert "expected --range or --commit-ranges, not both" in done.err


def test_commit_without_all_ranges_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "orders" / "1.csv"
    file.parent.mkdir()
    file.write_bytes(b"order_id,customer_id,status,created_at\n1,1,x,2025-03-01T00:00:00\n")
    done = shopkpi(tmp_path, "validate", "orders/1.csv", "--commit-ranges")
    assert done.code == 1
    size = file.stat().st_size
    assert f"not all ranges are in: nothing from byte 0 of {size} on" in done.err


def test_only_a_table_shows_the_header_of_a_refused_file(tmp_path: Path) -> None:
    file = tmp_path / "shop" / "orders" / "1.csv"
    file.parent.mkdir(parents=True)
    file.write_text("Jane Doe,hunter2,[red]x:smile:\nJohn,y,z\n")
    table = shopkpi(tmp_path, "run", "shop", "--format", "table")
    assert table.code == 4
    assert "its first record: Jane Doe, hunter2, [red]x:smile:" in table.out
    events = shopkpi(tmp_path, "validate", "shop", "--workspace=w", "--format", "json")
    ledger = shopkpi(tmp_path, "ledger", "--format", "json")
    for text in (events.out, events.err, ledger.out):
        assert "hunter2" not in text
        assert "Jane" not in text
    assert "none of them known" in ledger.out


ORDERS = "order_id,user_id,status,created_at\n"


def put_orders(tmp_path: Path, count: int) -> list[Path]:
    folder = tmp_path / "shop" / "orders"
    folder.mkdir(parents=True)
    files = []
    for number in range(count):
        files.append(folder / f"{number}.csv")
        files[-1].write_text(f"{ORDERS}{number},7,x,2025-03-01T00:00:00\n")
    return files


def change_while_read(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let some files seem to change while they are read."""
    read = worker.objects.local._read

    def changed(info: ObjectInfo, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        if info.key.rsplit("/", 1)[-1] in names:
            raise SourceChanged(url=info.url)
        return read(info, ranges)

    monkeypatch.setattr(worker.objects.local, "_read", changed)


@pytest.mark.parametrize("output", ["json", "table"])
def test_file_that_changes_keeps_no_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    put_orders(tmp_path, 6)
    change_while_read(monkeypatch, "1.csv", "4.csv")
    done = shopkpi(tmp_path, "run", "shop", "--format", output)
    assert done.code == 1
    assert "2 of 6 files could not be read" in done.err
    for name in ("1.csv", "4.csv"):
        assert f"shop/orders/{name}" in done.err
    (row,) = shopkpi(tmp_path, "query", "orders", "--format", "json").json
    assert row["total_orders"] == 4
    if output == "json":
        left = [json.loads(line) for line in done.out.splitlines() if "source.left" in line]
        assert [one["error"] for one in left] == ["SourceChanged"] * 2
        assert json.loads(done.err)["retryable"] is True
    monkeypatch.undo()
    assert shopkpi(tmp_path, "run", "shop").code == 0
    (row,) = shopkpi(tmp_path, "query", "orders", "--format", "json").json
    assert row["total_orders"] == 6


def test_only_source_left_is_reported_by_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_orders(tmp_path, 1)
    change_while_read(monkeypatch, "0.csv")
    done = shopkpi(tmp_path, "validate", "shop/orders/0.csv", "--format", "table")
    assert done.code == 1
    assert "could not be read" not in done.err
    assert "shop/orders/0.csv: it was changed or deleted while it was being read" in done.err


def test_message_names_ten_of_many_sources_left() -> None:
    errors = {f"file:///{number}.csv": SourceChanged(url="x") for number in range(12)}
    error = SourcesLeft(errors, of=20)
    assert str(error).count(".csv: ") == 10
    assert "12 of 20" in str(error)
    assert "; and 2 more" in str(error)
    assert len(error.errors) == 12
